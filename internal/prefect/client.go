// Package prefect holds what differs between the generations of Prefect's
// clients, and nothing else: which client is asking, and how answers change
// for it. Everything else speaks Orion's nouns. Start with [ClientOf].
package prefect

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/orionflows/orion"
)

// Client is who is asking.
type Client struct {
	// Generation is 2 or 3: the major version of the Prefect client. Whoever
	// is not Prefect 3 is answered as Prefect 2 is.
	Generation int
	// Version is the client's own version, "" when it does not say (clients
	// before 2.17).
	Version string
	// API is the protocol version the client asked for; the newest when it
	// asked for none.
	API [3]int
	// UI marks polls that must leave no trace (Prefect 2's web UI).
	UI bool
}

// ServerVersion is the Prefect release whose behaviour Orion follows.
const ServerVersion = "2.20.26"

// APIVersion is the protocol version that Prefect 2.8 to 3.8 all speak.
const APIVersion = "0.8.4"

var userAgent = regexp.MustCompile(`^prefect/(\d+)(\.[^ ]*)? \(API [^)]+\)`)

// ClientOf reads the request's headers. It refuses a protocol version that is
// malformed or older than 0.8.0, in the words of Prefect 2.20.
func ClientOf(h http.Header) (Client, error) {
	c := Client{Generation: 2, API: [3]int{0, 8, 4}, UI: strings.EqualFold(h.Get("X-Prefect-UI"), "true")}
	if ua := h.Get("User-Agent"); strings.HasPrefix(ua, "prefect/") {
		if m := userAgent.FindStringSubmatch(ua); m != nil {
			c.Version = m[1] + m[2]
			if m[1] == "3" {
				c.Generation = 3
			}
		}
	}
	v := h.Get("X-PREFECT-API-VERSION")
	if v == "" || v == APIVersion {
		return c, nil
	}
	parts := strings.Split(v, ".")
	if len(parts) != 3 {
		return c, orion.Errorf(orion.BadRequest, "Invalid X-PREFECT-API-VERSION header format.Expected header in format 'x.y.z' where x,y,z are integers.Got header value: %s", v)
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return c, orion.Errorf(orion.BadRequest, "Invalid X-PREFECT-API-VERSION header format.Expected header in format 'x.y.z' where x,y,z are integers.Got header value: %s", v)
		}
		c.API[i] = n
	}
	if c.olderThan(0, 8, 0) {
		return c, orion.Errorf(orion.BadRequest, "The request specified API version %s but this server requires version 0.8.0 or higher.", v)
	}
	return c, nil
}

func (c Client) olderThan(major, minor, patch int) bool {
	w := [3]int{major, minor, patch}
	for i := range w {
		if c.API[i] != w[i] {
			return c.API[i] < w[i]
		}
	}
	return false
}

// ResetsTasksOnRetry: protocols before 0.8.3 expect a flow's retry to put its
// failed tasks back to AwaitingRetry on the server.
func (c Client) ResetsTasksOnRetry() bool { return c.olderThan(0, 8, 3) }

// TracksPauses: protocols from 0.8.4 keep which pauses have fired.
func (c Client) TracksPauses() bool { return !c.olderThan(0, 8, 4) }

// AdminVersion is the package version the client expects of its server: a
// Prefect 3 client refuses another major version than its own.
func (c Client) AdminVersion() string {
	if c.Generation == 3 {
		if c.Version != "" {
			return c.Version
		}
		return "3.8.8"
	}
	return ServerVersion
}
