package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is what a number of clients do at the same time, and what they saw.
type load struct {
	s      *subject
	mu     sync.Mutex
	took   []time.Duration
	errors atomic.Int64
	first  atomic.Pointer[error] // the first error, to be told when all fail
}

func newLoad(s *subject) *load { return &load{s: s} }

// headers are those of a 2.20 client.
func headers(req *http.Request) {
	req.Header.Set("User-Agent", "prefect/2.20.26 (API 0.8.4)")
	req.Header.Set("X-PREFECT-API-VERSION", "0.8.4")
	req.Header.Set("Accept", "*/*")
	if req.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
}

// call sends a request, notes how long the answer took, and counts an error
// for a status from 400, unless it is the expected one.
func (l *load) call(ctx context.Context, method, path string, body []byte, out any, hs ...[2]string) error {
	var rd io.Reader
	if body != nil {
		rd = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, l.s.url(path), rd)
	if err != nil {
		return err
	}
	headers(req)
	for _, h := range hs {
		req.Header.Set(h[0], h[1])
	}
	began := time.Now()
	res, err := l.s.client.Do(req)
	if err != nil {
		return l.failed(ctx, err)
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	took := time.Since(began)
	l.mu.Lock()
	l.took = append(l.took, took)
	l.mu.Unlock()
	if err != nil {
		return l.failed(ctx, err)
	}
	if res.StatusCode >= 400 && !(path[1] == 'c' && res.StatusCode == 422) { // csrf-token: there is none
		return l.failed(ctx, fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, b))
	}
	if out != nil {
		return json.Unmarshal(b, out)
	}
	return nil
}

func (l *load) failed(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		l.errors.Add(1)
		l.first.CompareAndSwap(nil, &err)
	}
	return err
}

// must is call for setting up: a busy server is asked again.
func (l *load) must(ctx context.Context, method, path string, body, out any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		b = nil
	}
	for try := 0; ; try++ {
		if err = l.call(ctx, method, path, b, out); err == nil || try >= 20 || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Duration(try+1) * 50 * time.Millisecond)
	}
}

// each runs f n times, by as many clients, and counts how often it went well.
func (l *load) each(ctx context.Context, clients, n int, f func(i int) error) int {
	var next, good atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if f(i) == nil {
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(good.Load())
}

// err is the first error when nothing at all went well.
func (l *load) err(good int) error {
	if e := l.first.Load(); good == 0 && e != nil {
		return *e
	}
	return nil
}

// latencies are the percentiles of the requests, as values.
func (l *load) latencies() []value {
	l.mu.Lock()
	defer l.mu.Unlock()
	return []value{{"request p50", "ms", percentile(l.took, 50), false}, {"request p95", "ms", percentile(l.took, 95), false}, {"request p99", "ms", percentile(l.took, 99), false}}
}

func percentile(d []time.Duration, p int) float64 {
	if len(d) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(d))
	return ms(s[min(len(s)-1, len(s)*p/100)])
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }
