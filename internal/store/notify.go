package store

import (
	"sync"
)

// hub wakes those who wait for something to change. A lost notice costs
// latency, never correctness: whoever waits also looks now and then.
type hub struct {
	mu     sync.Mutex
	topics map[string]map[chan struct{}]struct{}
	closed bool
}

func newHub() *hub { return &hub{topics: map[string]map[chan struct{}]struct{}{}} }

func (h *hub) wake(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.topics[topic] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, t := range h.topics {
		for c := range t {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}

// Topics that the store announces.
const (
	TopicScheduled  = "scheduled"  // a run waits for an agent, or a queue was opened
	TopicCancelling = "cancelling" // a run is to be cancelled by whoever runs it
	TopicDeployment = "deployment" // a deployment or schedule changed
)

// Subscribe returns a channel that receives after each notice of the topics,
// and a function that ends it.
func (s *Store) Subscribe(topics ...string) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	s.hub.mu.Lock()
	for _, t := range topics {
		if s.hub.topics[t] == nil {
			s.hub.topics[t] = map[chan struct{}]struct{}{}
		}
		s.hub.topics[t][c] = struct{}{}
	}
	s.hub.mu.Unlock()
	return c, func() {
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		for _, t := range topics {
			delete(s.hub.topics[t], c)
		}
	}
}

// Notify wakes the subscribers of a topic, on every replica, after the commit.
func (tx *Tx) Notify(topic string) {
	if tx.d == postgresDialect {
		if err := tx.later("SELECT pg_notify('orion', ?)", topic); err == nil {
			return
		}
	}
	tx.OnCommit(func() { tx.s.hub.wake(topic) })
}
