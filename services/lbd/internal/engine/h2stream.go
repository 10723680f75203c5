package engine

import (
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/services/lbd/internal/loop"
)

// h2stream is a request's client side that is a stream of HTTP/2. It is used again and again, with its timer.
type h2stream struct {
	h2half
	c    *h2conn // nil: not in use
	ref  loop.Ref
	code http2.ErrCode

	prev, next *h2stream // of the same connection
}

var _ front = (*h2stream)(nil)

// maxH2Spare bounds the h2streams that a worker keeps.
const maxH2Spare = 1024

// newStream returns an h2stream for a stream of c.
func (c *h2conn) newStream(s *http2.Stream) *h2stream {
	var h *h2stream
	if n := len(c.w.h2.free); n > 0 {
		h, c.w.h2.free = c.w.h2.free[n-1], c.w.h2.free[:n-1]
	} else {
		h = new(h2stream)
		h.ref = c.w.loop.Timer(h)
	}
	h.link, h.s = &c.h2link, s
	h.c, h.next, h.code = c, c.streams, http2.InternalError
	if h.next != nil {
		h.next.prev = h
	}
	c.streams = h
	s.User = h
	return h
}

// begin takes a request.
func (c *h2conn) begin(ev http2.Event) {
	c.setTimer(untimed, 0)
	h := c.newStream(ev.Stream)
	x := c.w.take(h)
	h.x = x
	b := c.core.Take(&x.req, x.in.b)
	x.in.b, x.in.r, x.in.w = b[:cap(b)], 0, len(b)
	x.began = c.w.loop.Now() // it came whole
	if ev.Kind == http2.Refused {
		h.refuse(ev.Why)
		return
	}
	if h.holding = !ev.End && x.req.Body.Kind == http1.Length && x.req.Body.Length == 0; h.holding {
		c.w.loop.SetDeadline(h.ref, c.w.loop.Now()+c.w.e.o.Header)
		return
	}
	x.decide()
	x.drive()
}

// refuse answers a request that is malformed by a status where that says more than an error of the stream.
func (h *h2stream) refuse(why http1.Refusal) {
	x := h.x
	x.malformed(why)
	if why.Status() == 400 {
		h.code = http2.ProtocolError
		x.abort(Reason(why.String()))
		return
	}
	x.drive()
}

// came takes content, and goes on.
func (h *h2stream) came(b []byte, end bool) {
	if h.holding {
		if h.holding = !end; end {
			h.c.w.loop.SetDeadline(h.ref, 0)
			h.x.decide()
			h.drive()
		}
		return
	}
	h.fill(b)
	h.drive()
}

// wasReset takes it that the stream has ended before it was complete.
func (h *h2stream) wasReset(why http2.Reason) {
	h.broken = errReset
	if h.holding {
		h.x.malformed(http1.BadLength)
	}
	if why == http2.PeerReset {
		h.x.abort(ClientGone)
		return
	}
	h.x.abort(BadBody)
}

// Ready is called by way of Again.
func (h *h2stream) Ready(loop.Events) { h.drive() }

// Expired takes the deadline's passing.
func (h *h2stream) Expired() {
	if h.x != nil {
		h.x.clientLate()
	}
}

func (h *h2stream) from() *origin           { return &h.c.origin }
func (h *h2stream) timer() loop.Ref         { return h.ref }
func (h *h2stream) relays() bool            { return false }
func (h *h2stream) readHead(*exchange) bool { return false }
func (h *h2stream) socket() int             { return h.c.fd }

// read reads content. The last byte of content whose length is known is given only when the client has said that it was the last: a
// request with more content than its Content-Length says never gets whole to a member.
func (h *h2stream) read(p []byte) (int, error) {
	if b := h.x.req.Body; b.Kind == http1.Length && !h.s.Ended() && h.broken == nil {
		if p = p[:min(int64(len(p)), max(b.Length-1-h.given, 0))]; len(p) == 0 {
			return 0, errAgain
		}
	}
	return h.h2half.read(p)
}

// over takes the exchange back. A client that has not sent all of its request learns that it need not.
func (h *h2stream) over(x *exchange, _ bool) {
	h.settle(x)
}

// cut resets the stream.
func (h *h2stream) cut(x *exchange) {
	if x.plan.Drop || x.canceled {
		h.code = http2.Cancel
	}
	h.c.prepare()
	h.c.core.Reset(h.s, h.code)
	h.settle(x)
}

// fail is cut after a panic.
func (h *h2stream) fail() {
	x := h.x
	h.x = nil
	h.c.prepare()
	h.c.core.Reset(h.s, http2.InternalError)
	h.leave()
	if x != nil {
		x.fail()
		x.c = nil
	}
}

// settle gives back what the stream had.
func (h *h2stream) settle(x *exchange) {
	h.x = nil
	w := h.c.w
	w.give(x)
	h.leave()
}

// leave takes the stream out of its connection, and makes it one to be used again.
func (h *h2stream) leave() {
	c := h.c
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		c.streams = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.forget()
	c.w.loop.SetDeadline(h.ref, 0)
	*h = h2stream{h2half: h.h2half, ref: h.ref}
	if len(c.w.h2.free) < maxH2Spare {
		c.w.h2.free = append(c.w.h2.free, h)
	} else {
		c.w.loop.Remove(h.ref)
	}
}
