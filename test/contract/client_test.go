package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/orionflows/orion/internal/testenv"
)

// client sends JSON to a server.
type client struct {
	server *testenv.Server
	http   *http.Client
}

func newClient(server *testenv.Server) *client {
	return &client{server: server, http: &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 16},
	}}
}

// do sends a request and decodes the answer: JSON, or else plain text. A real
// Prefect on SQLite says 503 while its database is locked, and expects to be
// asked again; Orion has no such excuse.
func (c *client) do(method, path string, headers map[string]string, body []byte) (status int, answer any, err error) {
	for attempt := range 20 {
		status, answer, err = c.once(method, path, headers, body)
		if err != nil || status != http.StatusServiceUnavailable || c.server.Kind != "prefect" {
			break
		}
		time.Sleep(time.Duration(attempt+1) * 50 * time.Millisecond)
	}
	return status, answer, err
}

func (c *client) once(method, path string, headers map[string]string, body []byte) (status int, answer any, err error) {
	req, err := http.NewRequest(method, c.server.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &answer); err != nil {
			answer = string(data)
		}
	}
	return resp.StatusCode, answer, nil
}

// call is do for requests that must succeed, into a typed answer.
func call[T any](c *client, method, path string, request any) (T, error) {
	var answer T
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return answer, err
		}
	}
	status, v, err := c.do(method, "/api"+path, nil, body)
	if err != nil {
		return answer, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if status >= 300 {
		return answer, fmt.Errorf("%s %s %s: status %d: %s", method, path, clip(string(body), 300), status, show(v))
	}
	data, err := json.Marshal(v)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, fmt.Errorf("%s %s: %w in %s", method, path, err, show(v))
	}
	return answer, nil
}
