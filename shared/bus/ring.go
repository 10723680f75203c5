package bus

import "sync"

const (
	ringLen   = 1024
	ringBytes = 4 << 20
)

// ring keeps the last events: at most 1024, and fewer where their data would exceed 4 MiB. The zero value is empty.
type ring struct {
	mu     sync.Mutex
	events []Event // a circle once it has ringLen elements
	first  int     // index of the oldest
	n      int
	bytes  int
}

func (r *ring) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.n > 0 && (r.n == ringLen || r.bytes+len(e.Data) > ringBytes) {
		r.dropOldestLocked()
	}
	if at := (r.first + r.n) % ringLen; at < len(r.events) {
		r.events[at] = e
	} else {
		r.events = append(r.events, e)
	}
	r.n++
	r.bytes += len(e.Data)
}

func (r *ring) dropOldestLocked() {
	r.bytes -= len(r.events[r.first].Data)
	r.events[r.first] = Event{}
	r.first = (r.first + 1) % ringLen
	r.n--
}

// last returns up to n events, oldest first.
func (r *ring) last(n int) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = max(0, min(n, r.n))
	out := make([]Event, n)
	for i := range out {
		out[i] = r.events[(r.first+r.n-n+i)%ringLen]
	}
	return out
}
