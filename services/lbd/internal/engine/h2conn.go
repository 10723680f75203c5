package engine

import (
	"cmp"
	"time"

	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/services/lbd/internal/loop"
)

// h2conn is a connection from a client that speaks HTTP/2. What is read is used up at once: frames of content go to their streams' own
// buffers, so that a connection keeps nothing but a frame that has not come whole. What its streams have to say in a turn of the loop is
// written at the turn's end in one call.
type h2conn struct {
	h2link
	origin  origin
	streams *h2stream // all that have an exchange

	timing    h2Timing
	lingering bool // the end is told: what comes is thrown away until the client's
	lingered  int
}

// h2Timing is what the connection's own deadline is for. Streams have theirs.
type h2Timing uint8

const (
	untimed   h2Timing = iota
	openingH2          // the preface and SETTINGS are to come
	parking            // no stream is open
	heading            // a header block has begun
)

// serveH2 makes it a connection that speaks HTTP/2, whose first bytes may have come.
func (h *hello) serveH2() {
	w := h.w
	c := &h2conn{origin: h.origin}
	c.w, c.owner = w, c
	c.sock = h.hand((*wire)(&c.sock), c)
	c.prepare()
	c.core.Begin(http2.Server, cmp.Or(h.o.HTTP2, w.h2.options), &w.h2.pool)
	w.h2.conns[c] = struct{}{}
	w.h2.begun[http2.Server].Add(1)
	c.setTimer(openingH2, w.e.o.Header)
	if w.closing {
		c.core.Drain()
	}
	c.Ready(0)
}

// speaksH2 reports whether the client speaks HTTP/2; known is false if that will be seen from what it sends next, or there is nothing more.
func (h *hello) speaksH2() (yes, known bool) {
	if h.tls != nil {
		return h.origin.tls.NegotiatedProtocol == "h2", true
	}
	if h.o.HTTP2 == nil {
		return false, true
	}
	if !h.readable {
		return false, false
	}
	var p [len(http2.Preface)]byte
	n, err := h.peek(p[:], func(b []byte) bool { begins, whole := http2.IsPreface(b); return !begins || whole })
	switch {
	case err == errAgain:
		return false, false
	case err != nil:
		h.close() // nothing was asked
		return false, false
	}
	begins, whole := http2.IsPreface(p[:n])
	if begins && !whole {
		h.readable = false // the next bytes are told
		return false, false
	}
	return begins, true
}

// Ready takes events.
func (c *h2conn) Ready(ev loop.Events) {
	c.note(ev)
	if c.lingering {
		c.linger()
		return
	}
	c.pull()
	if c.fd >= 0 {
		c.later()
	}
}

// event does what comes of what the client has sent.
func (c *h2conn) event(ev http2.Event) {
	switch ev.Kind {
	case http2.Failed:
		c.broken(ev)
	case http2.Head, http2.Refused:
		c.begin(ev)
	case http2.Data:
		ev.Stream.User.(*h2stream).came(ev.Data, ev.End)
	case http2.Reset:
		ev.Stream.User.(*h2stream).wasReset(ev.Reason)
	}
}

// lost takes it that the connection is broken, or at its end.
func (c *h2conn) lost(error) { c.close(ClientGone) }

// broken ends a connection whose client has broken the rules, and tells it.
func (c *h2conn) broken(ev http2.Event) {
	if c.w.e.o.Broken != nil {
		c.w.e.o.Broken(c.origin.peer, ev.Reason)
	}
	c.abandon(ClientGone)
	c.farewellH2()
}

// farewellH2 sends what waits, ends the sending side, and reads on for a while, as after the last answer of HTTP/1.
func (c *h2conn) farewellH2() {
	if !c.flush() {
		return
	}
	if c.sock.end() != nil {
		c.close(NoReason)
		return
	}
	c.lingering, c.deaf = true, true
	c.w.loop.SetDeadline(c.ref, c.w.loop.Now()+lingerTime)
	c.linger()
}

func (c *h2conn) linger() {
	for c.fd >= 0 {
		n, err := c.sock.read(c.w.h2.in)
		if err == errAgain {
			return
		}
		if c.lingered += n; err != nil || c.lingered > lingerBytes {
			c.close(NoReason)
		}
	}
}

// Finish writes what the turn has gathered, and lets those go on that have waited for room, as long as there is some.
func (c *h2conn) Finish() {
	if !c.push() {
		return
	}
	if c.core.Done() && c.core.Pending() == 0 {
		c.farewellH2()
		return
	}
	c.time()
}

// time sets the connection's own deadline.
func (c *h2conn) time() {
	switch {
	case !c.core.Settled():
	case c.core.Partial():
		c.setTimer(heading, c.w.e.o.Header)
	case c.core.Active() == 0:
		c.setTimer(parking, c.w.e.o.Idle)
	default:
		c.setTimer(untimed, 0)
	}
}

// setTimer sets the deadline where it is for something else than before: what goes on does not put it off.
func (c *h2conn) setTimer(t h2Timing, d time.Duration) {
	if c.timing == t {
		return
	}
	c.timing = t
	if d > 0 {
		d += c.w.loop.Now()
	}
	c.w.loop.SetDeadline(c.ref, d)
}

// Expired takes the deadline's passing.
func (c *h2conn) Expired() {
	if c.lingering {
		c.close(NoReason)
		return
	}
	c.leave()
}

// leave ends the connection in order: streams that there are end as by cut.
func (c *h2conn) leave() {
	c.prepare()
	c.core.FinishDrain()
	c.abandon(ClientGone)
	c.farewellH2()
}

// abandon ends all exchanges.
func (c *h2conn) abandon(why Reason) {
	for c.streams != nil {
		c.streams.x.abort(why)
	}
}

// close ends the connection and all its exchanges.
func (c *h2conn) close(why Reason) {
	if c.fd < 0 {
		return
	}
	c.w.loop.Closing(c.ref)
	c.shut()
	delete(c.w.h2.conns, c)
	c.w.h2.ended[http2.Server].Add(1)
	c.prepare()
	c.abandon(why)
	c.release()
	c.w.e.leave(&c.origin)
}

// drain tells the client to open no more streams.
func (c *h2conn) drain() {
	c.prepare()
	c.core.Drain()
	c.later()
}

// fail ends the connection after a panic.
func (c *h2conn) fail() {
	for c.streams != nil {
		c.streams.fail()
	}
	c.close(Stopped)
}
