package conns

import (
	"net"
	"sync"
	"time"
)

// Timed is a net.Conn for a detached session: each write has its time, and after Stop nothing waits any more, whatever deadlines
// the session sets.
type Timed struct {
	net.Conn
	Limits func() *Limits

	mu      sync.Mutex
	stopped bool
}

// Write gives the write the time of Limits.Write, in place of a deadline set before.
func (c *Timed) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if d := c.Limits().Write; d > 0 {
		if err := c.SetWriteDeadline(time.Now().Add(d)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// SetDeadline sets both deadlines, until Stop.
func (c *Timed) SetDeadline(t time.Time) error { return c.unlessStopped(c.Conn.SetDeadline, t) }

// SetReadDeadline sets one deadline, until Stop.
func (c *Timed) SetReadDeadline(t time.Time) error { return c.unlessStopped(c.Conn.SetReadDeadline, t) }

// SetWriteDeadline sets one deadline, until Stop.
func (c *Timed) SetWriteDeadline(t time.Time) error {
	return c.unlessStopped(c.Conn.SetWriteDeadline, t)
}

func (c *Timed) unlessStopped(set func(time.Time) error, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return net.ErrClosed
	}
	return set(t)
}

// Stop ends reads and writes under way and to come.
func (c *Timed) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.Conn.SetDeadline(time.Unix(1, 0)) // fails only when all is over already
}
