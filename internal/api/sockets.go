package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/orionflows/orion"
)

// The websockets of Prefect's clients. Events are off, so that nothing is
// published or streamed: what comes in is read and dropped, and who waits for
// events or for background tasks is kept waiting, as on a quiet server.

// socketMessage is what of a frame decides how to go on.
type socketMessage struct {
	Type string   `json:"type"`
	Keys []string `json:"keys"`
}

func (a *API) eventsIn(w http.ResponseWriter, r *http.Request, _ []string) {
	a.socket(w, r, func(ctx context.Context, c *websocket.Conn) error {
		for {
			var m socketMessage
			if err := readMessage(ctx, c, &m); err != nil {
				return err
			}
			if m.Type == "auth" { // Prefect 3 says who it is; Prefect 2 begins at once
				if err := wsjson.Write(ctx, c, map[string]string{"type": "auth_success"}); err != nil {
					return err
				}
			}
		}
	})
}

func (a *API) eventsOut(w http.ResponseWriter, r *http.Request, _ []string) {
	a.socket(w, r, func(ctx context.Context, c *websocket.Conn) error {
		m, err := handshake(ctx, c)
		if err != nil {
			return err
		}
		if m.Type != "filter" {
			return c.Close(websocket.StatusProtocolError, "Expected 'filter' message")
		}
		return idle(ctx, c)
	})
}

func (a *API) scheduledTaskRuns(w http.ResponseWriter, r *http.Request, _ []string) {
	a.socket(w, r, func(ctx context.Context, c *websocket.Conn) error {
		m, err := handshake(ctx, c)
		switch {
		case err != nil:
			return err
		case m.Type != "subscribe":
			return c.Close(4001, "Protocol violation: expected 'subscribe' message")
		case len(m.Keys) == 0:
			return c.Close(4001, "Protocol violation: expected 'keys' in subscribe message")
		}
		return idle(ctx, c)
	})
}

// socket runs f on an accepted websocket until f, the client or the server ends.
func (a *API) socket(w http.ResponseWriter, r *http.Request, f func(context.Context, *websocket.Conn) error) {
	o := &websocket.AcceptOptions{OriginPatterns: []string{"*"}}
	offered := strings.FieldsFunc(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(offered, "prefect") {
		o.Subprotocols = []string{"prefect"}
	}
	c, err := websocket.Accept(w, r, o)
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow()
	c.SetReadLimit(4 << 20)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	stopped := make(chan struct{})
	defer func() { <-stopped }()
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
		case <-a.o.Stopping:
			c.Close(websocket.StatusGoingAway, "the server stops")
		}
	}()
	defer cancel()
	if err := f(ctx, c); err == nil {
		c.Close(websocket.StatusNormalClosure, "")
	}
}

// handshake greets a client of the prefect subprotocol and reads what it wants.
func handshake(ctx context.Context, c *websocket.Conn) (m socketMessage, err error) {
	if c.Subprotocol() != "prefect" {
		c.Close(websocket.StatusProtocolError, "the prefect subprotocol is required")
		return m, errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err = readMessage(ctx, c, &m); err != nil {
		return m, err
	}
	if m.Type != "auth" {
		c.Close(websocket.StatusProtocolError, "Expected 'auth' message")
		return m, errClosed
	}
	if err = wsjson.Write(ctx, c, map[string]string{"type": "auth_success"}); err != nil {
		return m, err
	}
	return m, readMessage(ctx, c, &m)
}

// idle reads until the client goes.
func idle(ctx context.Context, c *websocket.Conn) error {
	for {
		if _, _, err := c.Read(ctx); err != nil {
			return err
		}
	}
}

var errClosed = errors.New("the socket was closed")

// readMessage reads a frame; one that is no JSON object is an empty message.
func readMessage(ctx context.Context, c *websocket.Conn, m *socketMessage) error {
	_, b, err := c.Read(ctx)
	if err != nil {
		return err
	}
	*m = socketMessage{}
	if orion.Decode(b, m) != nil {
		*m = socketMessage{}
	}
	return nil
}
