package engine

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/loop"
)

// client is a connection from a client that speaks HTTP/1.1. Between two requests this is all there is of it.
type client struct {
	sock
	w      *worker
	x      *exchange // nil: idle
	origin origin

	either    bool // HTTP/2 is spoken here, too, and no request has come
	roused    bool // by bytes, since it was parked: the deadline stands until a request has come
	lingering bool // our last answer is sent: what comes is thrown away until the end
	lingered  int
}

var _ front = (*client)(nil)

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
		c.rouse()
		return
	}
	c.x.drive()
}

// rouse looks for a request.
func (c *client) rouse() {
	c.roused = true
	c.x = c.w.take(c)
	c.x.drive()
}

// Expired takes the deadline's passing.
func (c *client) Expired() {
	switch {
	case c.x == nil || c.lingering || c.x.phase == reading:
		c.leave() // within a head, too, nothing was asked
	default:
		c.x.clientLate()
	}
}

func (c *client) from() *origin     { return &c.origin }
func (c *client) timer() loop.Ref   { return c.ref }
func (c *client) relays() bool      { return true }
func (c *client) endSending() error { return c.end() }

// readHead reads the request's head.
func (c *client) readHead(x *exchange) bool {
	lim := &c.w.e.o.Limits
	for {
		if !x.in.empty() {
			done, why := x.req.ParseRequest(x.in.bytes(), lim)
			if why == http1.BadVersion && c.either { // neither protocol: who knows what an answer would look like there
				c.leave()
				return false
			}
			if why != http1.OK {
				x.malformed(why)
				return true
			}
			if done {
				c.either = false
				x.decide()
				return true
			}
			if x.in.w-x.in.r == len(x.in.b) {
				x.in.grow(lim.Head + 1) // one more, so that it is the parser that refuses
			}
		}
		n, err := c.read(x.in.room())
		switch {
		case err == nil:
			x.in.w += n
		case err == errAgain && x.in.empty():
			c.park()
			return false
		case err == errAgain:
			return false
		default: // between two requests, or within a head: nobody waits for an answer
			c.leave()
			return false
		}
	}
}

// over goes on with the next request, unless the connection ends.
func (c *client) over(x *exchange, rest bool) {
	switch {
	case rest, x.rec.Refusal != http1.OK, x.last && !x.in.empty() && x.in.w > x.in.r+x.req.Len:
		c.startLinger()
	case x.last:
		c.leave()
	default:
		c.roused = false
		x.consume()
		if x.in.empty() && !c.more() {
			c.park()
			return
		}
		x.reset()
	}
}

// cut closes the connection.
func (c *client) cut(*exchange) { c.close() }

// fail closes the connection after a panic. The exchange is not used again, and nothing of it is told: that may have been what failed.
func (c *client) fail() {
	if x := c.x; x != nil {
		c.x = nil
		x.fail()
	}
	c.close()
}

// park lets go of everything but the connection. What was no request, such as a part of a TLS record, is no reason to wait longer.
func (c *client) park() {
	x := c.x
	c.x = nil
	c.w.give(x)
	if !c.roused {
		c.w.loop.SetDeadline(c.ref, c.w.loop.Now()+c.w.e.o.Idle)
	}
}

// leave closes the connection in order.
func (c *client) leave() {
	if c.fd >= 0 {
		c.farewell()
	}
	c.close()
}

// close closes the connection. A TLS peer is not told that this is the end of what it was to get.
func (c *client) close() {
	if c.fd < 0 {
		return
	}
	c.w.loop.Closing(c.ref)
	c.shut()
	delete(c.w.clients, c)
	if x := c.x; x != nil {
		c.x = nil
		c.w.give(x)
	}
	c.w.e.leave(&c.origin)
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

// socket is the connection's descriptor.
func (c *client) socket() int { return c.fd }
