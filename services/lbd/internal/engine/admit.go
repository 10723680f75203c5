package engine

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/dos"
)

// Admission bounds the connections of each source. Its methods are called on the workers' threads.
type Admission interface {
	// Enter lets a connection from an address in, or not. Leave is called with what it returned when one that was let in has ended.
	Enter(peer netip.Addr) (dos.Key, bool)
	Leave(dos.Key)
}

// admitted asks whether the connection is let in, once it is known whose it is. One that is not is to be closed, and is reset then, so that
// refusing many leaves nothing behind in the kernel.
func (h *hello) admitted() (ok bool) {
	e := h.w.e
	if e.o.Admission == nil {
		return true
	}
	if h.origin.source, ok = e.o.Admission.Enter(h.origin.peer.Addr()); !ok {
		h.origin.source = dos.Key{}
		unix.SetsockoptLinger(h.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // a wish
		e.tell(&Begun{Peer: h.origin.peer, Fault: FaultBusy})
	}
	return ok
}

// SetTarpits bounds the requests that wait as their plan's Delay says; further ones do not wait.
func (e *Engine) SetTarpits(n int) { e.maxDelayed.Store(int64(n)) }

// Waiting returns how many requests wait as their plan says.
func (e *Engine) Waiting() int { return int(e.delayed.Load()) }

// delay has the request wait as its plan says; false if it does not, for there is no delay, no room or no time.
func (x *exchange) delay() bool {
	e := x.w.e
	if x.plan.Delay <= 0 || x.w.closing {
		return false
	}
	if e.delayed.Add(1) > e.maxDelayed.Load() {
		e.delayed.Add(-1)
		e.counts.undelayed.Add(1)
		return false
	}
	e.counts.delayed.Add(1)
	x.phase = delayed
	x.w.delayed[x] = struct{}{}
	x.w.loop.SetDeadline(x.c.timer(), x.w.loop.Now()+x.plan.Delay)
	return true
}

// stay waits on. Of the client only its end is looked for: what it sends stays in the kernel, and a client that has ended its side
// counts as one that has gone.
func (x *exchange) stay() bool {
	if c, ok := x.c.(interface{ gone() bool }); ok && c.gone() {
		x.clientGone()
	}
	return false
}

// waited ends the wait: what follows is as if there had been none.
func (x *exchange) waited() {
	if x.phase == delayed {
		x.phase = reading
		x.rec.Delay = x.w.loop.Now() - x.start
		delete(x.w.delayed, x)
		x.w.e.delayed.Add(-1)
	}
}

// hurry ends the waits of a worker that drains.
func (w *worker) hurry() {
	for x := range w.delayed {
		w.loop.SetDeadline(x.c.timer(), w.loop.Now())
	}
}

// gone reports whether the client has ended its side, or the connection is broken.
func (c *client) gone() bool { return c.hangup }

// answered tells of an answer's content type, once.
func (x *exchange) answered(kind []byte) {
	if x.plan.Watch != nil && !x.typed {
		x.typed = true
		x.plan.Watch.Answered(&x.rec.Request, kind)
	}
}

// over tells, once, that the request is over.
func (x *exchange) over() {
	if w := x.plan.Watch; w != nil {
		x.plan.Watch = nil
		w.Over()
	}
}
