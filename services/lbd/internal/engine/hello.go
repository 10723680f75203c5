package engine

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/loop"
	"github.com/everup/everup/services/lbd/internal/tlsconn"
	"github.com/everup/everup/shared/netio/proxyproto"
)

// hello is a connection from a client until a request can come: it takes the PROXY header and does the TLS handshake. All of it has
// Options.Header's time.
type hello struct {
	sock
	w      *worker
	o      *Opening
	origin origin
	header bool          // the PROXY header is still to come
	began  time.Duration // the handshake
}

// accepted takes a connection.
func (w *worker) accepted(fd int, peer netip.AddrPort, o *Opening) {
	h := &hello{w: w, o: o, origin: origin{peer: peer}}
	h.fd = fd
	if o.Proxy != ProxyOff {
		h.header = o.trusts(peer.Addr())
		if o.Proxy == ProxyRequire && !h.header {
			unix.Close(fd)
			w.e.leave(nil)
			w.e.tell(&Begun{Peer: peer, Fault: FaultStranger})
			return
		}
	}
	if !h.header && !h.admitted() {
		unix.Close(fd)
		w.e.leave(nil)
		return
	}
	var err error
	if h.ref, err = w.loop.Add(fd, h); err != nil {
		unix.Close(fd)
		w.e.leave(&h.origin)
		return
	}
	w.e.counts.accepted.Add(1)
	if !h.header && o.TLS == nil && o.HTTP2 == nil {
		h.serve()
		return
	}
	w.hellos[h] = struct{}{}
	w.loop.SetDeadline(h.ref, w.loop.Now()+w.e.o.Header)
}

// Ready takes events.
func (h *hello) Ready(ev loop.Events) {
	h.note(ev)
	if h.header {
		if !h.readHeader() {
			return
		}
		h.header = false
		if !h.admitted() {
			h.close()
			return
		}
	}
	if h.o.TLS != nil && !h.secured() {
		return
	}
	h2, known := h.speaksH2()
	if !known {
		return
	}
	delete(h.w.hellos, h)
	if h2 {
		h.serveH2()
		return
	}
	h.serve().rouse()
}

// Expired takes the deadline's passing.
func (h *hello) Expired() {
	if !h.header && h.o.TLS == nil {
		h.close() // nothing was asked
		return
	}
	h.fail(FaultLate, nil)
}

// readHeader reads the PROXY header, and no byte behind it. False if it has not come, or the connection has ended.
func (h *hello) readHeader() bool {
	if !h.readable {
		return false
	}
	var b buffer
	h.w.buffers.get(&b, bufferLen)
	defer h.w.buffers.put(&b)
	p := b.b[:proxyproto.MaxLen]
	n, err := h.peek(p, complete)
	if err == errAgain {
		return false
	}
	if err != nil {
		h.fail(string(tlsconn.Closed), nil)
		return false
	}
	head, used, err := proxyproto.Parse(p[:n])
	switch {
	case errors.Is(err, proxyproto.ErrShort):
		h.readable = false // the next bytes are told
		return false
	case errors.Is(err, proxyproto.ErrNone) && h.o.Proxy == ProxyAccept:
		return true
	case errors.Is(err, proxyproto.ErrNone):
		h.fail(FaultNoHeader, nil)
		return false
	case err != nil:
		h.fail(FaultBadHeader, err)
		return false
	}
	if head.Transport == proxyproto.TCP { // else the connection's own addresses count, as in a proxy's own check
		h.origin.peer, h.origin.local = head.Source, head.Destination
	}
	if n, err := unix.Read(h.fd, p[:used]); n != used {
		h.fail(FaultBadHeader, err) // the kernel has not what it has just shown
		return false
	}
	return true
}

// peek reads into p what comes next, and leaves it there. io.EOF at the end, also where that comes before it is enough.
func (h *hello) peek(p []byte, enough func([]byte) bool) (int, error) {
	for {
		n, _, err := unix.Recvfrom(h.fd, p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			h.readable = false
			return 0, errAgain
		case err != nil:
			return 0, os.NewSyscallError("recv", err)
		case n == 0 || h.hangup && n < len(p) && !enough(p[:n]):
			return 0, io.EOF
		}
		return n, nil
	}
}

// complete reports whether p is no mere beginning of a header.
func complete(p []byte) bool {
	_, _, err := proxyproto.Parse(p)
	return !errors.Is(err, proxyproto.ErrShort)
}

// secured goes on with the handshake. False if it is not over, or the connection has ended.
func (h *hello) secured() bool {
	l := h.w.loop
	if h.tls == nil {
		if !h.readable {
			return false // a connection that says nothing costs no handshake
		}
		if !h.w.e.allows(h.origin.peer.Addr()) {
			h.fail(FaultLimited, nil)
			return false
		}
		h.began = l.Now()
		h.tls = tlsconn.Server((*wire)(&h.sock), h.o.TLS, h.w.shaking())
	}
	if !h.w.pace.step(l.Now()) {
		l.Again(h.ref)
		return false
	}
	switch err := h.tls.Handshake(); {
	case err == errAgain:
		return false
	case err != nil:
		h.fail(faultOf(err), err)
		return false
	}
	h.origin.tls = h.tls.State()
	if f := h.w.e.o.Identify; f != nil {
		h.origin.known = f(h.origin.tls)
	}
	h.origin.handshake = time.Since(h.w.began) - h.began
	h.w.e.tell(&Begun{Peer: h.origin.peer, TLS: h.origin.tls, Took: h.origin.handshake, Session: true})
	return true
}

// serve makes it a client, of which the first request is awaited.
func (h *hello) serve() *client {
	c := &client{w: h.w, origin: h.origin, either: h.o.HTTP2 != nil && h.tls == nil}
	c.sock = h.hand((*wire)(&c.sock), c)
	c.w.clients[c] = struct{}{}
	c.w.loop.SetDeadline(c.ref, c.w.loop.Now()+c.w.e.o.Header)
	return c
}

// hand gives the socket away: to who is called for it from now on, and to the wire that TLS's records travel on.
func (h *hello) hand(to *wire, who loop.Handler) sock {
	s := h.sock
	if s.tls != nil {
		s.tls.Move(to, h.w.tls)
	}
	h.sock = sock{fd: -1}
	h.w.loop.Hand(s.ref, who)
	return s
}

// fail ends the connection and says why.
func (h *hello) fail(why string, err error) {
	h.w.e.tell(&Begun{Peer: h.origin.peer, Fault: why, Err: err, Session: h.tls != nil})
	h.close()
}

func (h *hello) close() {
	if h.fd < 0 {
		return
	}
	h.w.loop.Closing(h.ref)
	h.shut()
	delete(h.w.hellos, h)
	h.w.e.leave(&h.origin)
}
