// Package client calls the REST API of Orion, or of any Prefect 2 server: the
// same nouns, the same errors.
//
// A [Client] is safe for concurrent use. Requests that failed because the
// server was busy or the connection broke are sent again, as Prefect's own
// client does; an error that the server explains comes back as an
// [orion.Error] of the same kind. Start with [New].
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/orionflows/orion"
)

// Options say which server, and as whom.
type Options struct {
	// URL is the API's, such as http://127.0.0.1:4200/api.
	URL string
	// Key is sent as a bearer token when it is not empty.
	Key string
	// UserAgent names the program; "orion" when empty.
	UserAgent string
	// Insecure accepts any certificate.
	Insecure bool
	// Retries bounds how often a request is sent again; 5 when 0, none when
	// negative.
	Retries int
}

// Client talks to one server.
type Client struct {
	o     Options
	base  *url.URL
	http  *http.Client
	orion atomic.Bool // the server is Orion
}

// Unreachable is the error for a server that does not answer at all.
type Unreachable struct {
	URL string
	Err error
}

func (e *Unreachable) Error() string {
	why := e.Err
	var ue *url.Error
	if errors.As(why, &ue) {
		why = ue.Err
	}
	if errors.Is(why, syscall.ECONNREFUSED) {
		return fmt.Sprintf("cannot reach %s: connection refused", e.URL)
	}
	return fmt.Sprintf("cannot reach %s: %v", e.URL, why)
}

// Unwrap gives the cause.
func (e *Unreachable) Unwrap() error { return e.Err }

// New makes a client. It does not call the server.
func New(o Options) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(o.URL, "/"))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, orion.Errorf(orion.Invalid, "%q is not the URL of an API; it looks like http://127.0.0.1:4200/api", o.URL)
	}
	if o.UserAgent == "" {
		o.UserAgent = "orion"
	}
	if o.Retries == 0 {
		o.Retries = 5
	}
	// Keep-alives below four minutes: load balancers cut connections that idle
	// longer without a word.
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: 90 * time.Second,
	}
	if o.Insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // asked for by name
	}
	return &Client{o: o, base: u, http: &http.Client{Transport: t}}, nil
}

// URL is the API's.
func (c *Client) URL() string { return c.base.String() }

// Page is the address of the server's web page, the API's without /api.
func (c *Client) Page() string { return strings.TrimSuffix(c.base.String(), "/api") }

// IsOrion reports whether the server has said that it is Orion. It is known
// after the first answer.
func (c *Client) IsOrion() bool { return c.orion.Load() }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Header is an extra header of one request.
type Header struct{ Name, Value string }

// Do sends a request and decodes the answer into out, unless out is nil. Path
// is below the API's URL and starts with a slash; its variable parts are
// escaped by the caller (see [Path]).
func (c *Client) Do(ctx context.Context, method, path string, in, out any, hs ...Header) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = orion.Encode(in); err != nil {
			return err
		}
	}
	return c.retried(ctx, func() (retry, error) { return c.once(ctx, method, path, body, out, hs) })
}

// retry says after what time a request may be sent again.
type retry time.Duration

const (
	again retry = 0  // after a time of the sender's choice
	never retry = -1 // it was answered
)

// retried sends until it succeeds or there is no use in it.
func (c *Client) retried(ctx context.Context, send func() (retry, error)) error {
	for try := 0; ; try++ {
		after, err := send()
		if err == nil || after == never || try >= c.o.Retries || ctx.Err() != nil {
			return err
		}
		wait := time.Duration(after)
		if after == again {
			wait = time.Duration(1<<min(try, 5)) * 100 * time.Millisecond
		}
		wait += time.Duration(rand.Int64N(int64(wait)/5 + 1))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// send sends one request as this client.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader, contentType string, hs ...Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.o.UserAgent)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.o.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.o.Key)
	}
	for _, h := range hs {
		req.Header.Set(h.Name, h.Value)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Unreachable{c.base.String(), err}
	}
	if res.Header.Get("Orion-Version") != "" {
		c.orion.Store(true)
	}
	return res, nil
}

// once sends a request and reads its answer.
func (c *Client) once(ctx context.Context, method, path string, body []byte, out any, hs []Header) (retry, error) {
	contentType := ""
	if body != nil {
		contentType = "application/json"
	}
	res, err := c.send(ctx, method, path, bytes.NewReader(body), contentType, hs...)
	if err != nil {
		return again, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return again, &Unreachable{c.base.String(), err}
	}
	if after, err := verdict(res, b); err != nil || out == nil || len(b) == 0 {
		return after, err
	}
	if s, ok := out.(*[]byte); ok {
		*s = b
		return never, nil
	}
	if err := orion.Decode(b, out); err != nil {
		return never, fmt.Errorf("%s %s: the answer is not understood: %w", method, path, err)
	}
	return never, nil
}

// verdict is the error that an answer holds, if any.
func verdict(res *http.Response, body []byte) (retry, error) {
	if res.StatusCode < 300 {
		return never, nil
	}
	after := never
	switch res.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable:
		after = again
		if s, e := strconv.ParseFloat(res.Header.Get("Retry-After"), 64); e == nil && s > 0 {
			after = retry(s * float64(time.Second))
		}
	}
	return after, errorOf(res.StatusCode, body)
}

// errorOf turns an answer back into the error that the server had.
func errorOf(status int, body []byte) error {
	var e struct {
		Detail    orion.JSON         `json:"detail"`
		Exception string             `json:"exception_message"`
		Fields    []orion.FieldError `json:"exception_detail"`
	}
	orion.Decode(body, &e)
	out := &orion.Error{Message: e.Exception, Fields: e.Fields}
	if orion.Decode(e.Detail, &out.Message) != nil && len(e.Detail) > 0 {
		out.Message = string(e.Detail)
	}
	if out.Message == "" {
		out.Message = fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))
	}
	if len(out.Fields) > 0 {
		out.Message = out.Fields[0].Error()
	}
	switch status {
	case http.StatusBadRequest:
		out.Kind = orion.BadRequest
	case http.StatusUnauthorized:
		out.Kind = orion.Unauthorized
	case http.StatusForbidden:
		out.Kind = orion.Forbidden
	case http.StatusNotFound:
		out.Kind = orion.NotFound
	case http.StatusConflict:
		out.Kind = orion.Conflict
	case http.StatusUnprocessableEntity:
		out.Kind = orion.Invalid
	case http.StatusLocked:
		out.Kind = orion.Locked
	case http.StatusRequestEntityTooLarge:
		out.Kind = orion.TooLarge
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		out.Kind = orion.Unavailable
	}
	return out
}

// Path joins the parts of a path, escaping each that varies: Path("/work_pools/%s/queues/%s", pool, queue).
func Path(format string, parts ...any) string {
	for i, p := range parts {
		parts[i] = url.PathEscape(fmt.Sprint(p))
	}
	return fmt.Sprintf(format, parts...)
}
