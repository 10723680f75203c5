package engine

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/loop"
)

// client is a connection from a client. Between two requests this is all there is of it.
type client struct {
	sock
	w    *worker
	peer netip.AddrPort
	x    *exchange // nil: idle

	lingering bool // our last answer is sent: what comes is thrown away until the end
	lingered  int
}

// Ready takes events.
func (c *client) Ready(ev loop.Events) {
	c.note(ev)
	switch {
	case c.lingering:
		c.linger()
		return
	case c.x == nil:
		if !c.readable {
			return
		}
		c.x = c.w.take(c)
		c.x.begin()
	}
	c.x.drive()
}

// Expired takes the deadline's passing.
func (c *client) Expired() {
	if c.x == nil || c.lingering {
		c.close()
		return
	}
	c.x.clientLate()
}

// fail closes the connection after a panic. The exchange is not used again, and nothing of it is told: that may have been what failed.
func (c *client) fail() {
	if x := c.x; x != nil {
		c.x = nil
		if x.m != nil {
			x.m.close()
		}
		if x.phase == tunnel {
			c.w.e.tunnels.Add(-1)
		}
		if x.choice.Member != "" {
			x.plan.Pool.Release(x.choice.Member)
		}
	}
	c.close()
}

// park lets go of everything but the connection.
func (c *client) park() {
	x := c.x
	c.x = nil
	c.w.give(x)
	c.w.loop.SetDeadline(c.ref, c.w.loop.Now()+c.w.e.o.Idle)
}

// close closes the connection.
func (c *client) close() {
	if c.fd < 0 {
		return
	}
	c.w.loop.Closing(c.ref)
	unix.Close(c.fd)
	c.fd = -1
	delete(c.w.clients, c)
	if x := c.x; x != nil {
		c.x = nil
		c.w.give(x)
	}
	c.w.e.leave()
}

const (
	lingerTime  = 2 * time.Second
	lingerBytes = 16 << 20
)

// startLinger ends the sending side and reads on for a while, so that a client which still sends gets to read the answer
// before the connection is reset.
func (c *client) startLinger() {
	x := c.x
	c.x = nil
	c.w.give(x)
	if c.end() != nil {
		c.close()
		return
	}
	c.lingering = true
	c.w.loop.SetDeadline(c.ref, c.w.loop.Now()+lingerTime)
	c.linger()
}

func (c *client) linger() {
	var b buffer
	c.w.buffers.get(&b, bufferLen)
	defer c.w.buffers.put(&b)
	for {
		n, err := c.read(b.b)
		if err == errAgain {
			return
		}
		if c.lingered += n; err != nil || c.lingered > lingerBytes {
			c.close()
			return
		}
	}
}
