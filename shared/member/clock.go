package member

import (
	"sync"
	"time"
)

// stamp is a hybrid logical time: milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
// Stamps of one clock only grow, and grow beyond every stamp the clock has observed.
type stamp uint64

const stampBits = 16

// maxSkew is how far a stamp may lie ahead of our own clock. Beyond it a record is refused: one host whose clock is
// years ahead would otherwise win every later write of the fleet. It is the difference of clocks that pki accepts.
const maxSkew = 24 * time.Hour

func stampOf(t time.Time) stamp { return stamp(max(t.UnixMilli(), 0)) << stampBits }

// time returns the physical part.
func (s stamp) time() time.Time { return time.UnixMilli(int64(s >> stampBits)) }

// sane reports whether s is not too far ahead of now.
func (s stamp) sane(now time.Time) bool { return s.time().Before(now.Add(maxSkew)) }

// hlc is a hybrid logical clock. The zero value is ready. Safe for concurrent use.
type hlc struct {
	mu   sync.Mutex
	last stamp
}

// next returns a stamp for an event here at now.
func (c *hlc) next(now time.Time) stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, stampOf(now))
	return c.last
}

// observe makes later stamps of c follow s.
func (c *hlc) observe(s stamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, s)
}
