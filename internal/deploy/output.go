package deploy

import (
	"fmt"
	"sync"
)

// tail keeps the last bytes written to it: what went wrong stands at the end.
type tail struct {
	mu    sync.Mutex
	limit int
	kept  []byte
	lost  int
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	// Let it grow to twice the limit, lest every write moves everything.
	if over := len(t.kept) - t.limit; over > t.limit {
		t.lost += over
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept, lost := t.kept, t.lost
	if over := len(kept) - t.limit; over > 0 {
		kept, lost = kept[over:], lost+over
	}
	if lost == 0 {
		return append([]byte(nil), kept...)
	}
	return append(fmt.Appendf(nil, "… %d bytes left out …\n", lost), kept...)
}
