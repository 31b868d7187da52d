package storage

import (
	"net/http"
	"time"
)

// Transport is how stores reach theirs: with a connection for each of the files
// that move side by side, and without waiting for ever for a server that takes
// a request and does not answer.
func Transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16
	t.ResponseHeaderTimeout = time.Minute
	return t
}
