package udp

import (
	"encoding/binary"
	"net/netip"

	"github.com/everup/everup/services/cached/internal/session"
)

// maxSteps bounds the turns that one datagram may take.
const maxSteps = 4096

const (
	errTooLarge = "SERVER_ERROR answer too large for UDP\r\n"
	errProve    = "SERVER_ERROR larger than the request: send a cookie\r\n"
	errShort    = "ERROR\r\n"
	authFailure = 0x20
)

// handler decides what a datagram is answered. It does no I/O and is used by one goroutine.
type handler struct {
	srv  *Server
	peer *session.Peer
	text session.Session // kept from one datagram to the next when nothing is left in it; nil: none
	bin  session.Session
	out  session.Out
	msg  []byte // the answer, where it does not fit into out at once
}

// handle returns the answer to a datagram from a source, nil for none. The answer holds until the next call. now is the time in ns of a clock
// that does not go back.
func (h *handler) handle(d []byte, from netip.Addr, now int64) (f Frame, answer []byte) {
	n := &h.srv.counts
	f, body, ok := parseFrame(d)
	switch {
	case !ok || len(body) == 0:
		n.Short.Add(1)
		return f, nil
	case f.Total != 1:
		n.Fragmented.Add(1)
		return f, nil
	}
	trusted := h.srv.trusts(from)
	if !trusted && !h.admit(from, now) {
		return f, nil
	}
	size := len(body)
	proven := trusted
	if c, rest, ok := takeCookie(body); ok {
		if len(rest) == 0 || !h.srv.jar.proves(c, from, h.srv.o.Env.Clock.Now()) {
			return f, h.giveCookie(from, size)
		}
		body, proven = rest, true
	}
	if !trusted && !getsOnly(body) {
		n.Refused.Add(1)
		return f, nil
	}
	answer = h.answer(body)
	if !proven && weight(len(answer)) > weight(size) && len(answer) > 0 {
		n.TooLarge.Add(1)
		answer = h.instead(body, size)
	}
	if extra := datagrams(len(answer)) - 1; !trusted && extra > 0 {
		h.srv.charge(from, now, int64(extra))
	}
	return f, answer
}

// admit reports whether a stranger may ask now.
func (h *handler) admit(from netip.Addr, now int64) bool {
	switch {
	case h.srv.o.Deny:
		h.srv.counts.Denied.Add(1)
		return false
	case !h.srv.allow(from, now):
		h.srv.counts.Limited.Add(1)
		return false
	}
	return true
}

// giveCookie answers with a cookie when that is not longer than the size bytes asked by.
func (h *handler) giveCookie(from netip.Addr, size int) []byte {
	if size < cookieLine {
		h.srv.counts.Refused.Add(1)
		return nil
	}
	h.srv.counts.Cookies.Add(1)
	c := h.srv.jar.cookie(from, h.srv.o.Env.Clock.Now())
	h.msg = append(append(append(h.msg[:0], cookieAnswer...), c[:]...), "\r\n"...)
	return h.msg
}

// instead is the answer in place of one that would be larger than the request of size bytes: the longest error that is not.
func (h *handler) instead(body []byte, size int) []byte {
	if body[0] == binaryRequest {
		b := append(h.msg[:0], binaryResponse, body[1], 0, 0, 0, 0, 0, authFailure, 0, 0, 0, 0)
		h.msg = append(append(b, body[12:16]...), make([]byte, 8)...)
		return h.msg
	}
	for _, e := range []string{errProve, errShort} {
		if len(e) <= size {
			h.msg = append(h.msg[:0], e...)
			return h.msg
		}
	}
	return nil
}

// answer has a session answer body.
func (h *handler) answer(body []byte) []byte {
	kept := &h.text
	if body[0] == binaryRequest {
		kept = &h.bin
	}
	if *kept == nil {
		*kept = h.srv.o.New(body[0], h.peer)
	}
	h.peer.Meter.Batch()
	answer, clean := h.converse(*kept, body)
	if !clean {
		(*kept).End()
		*kept = nil
	}
	return answer
}

// converse gives body to s and collects the answer; clean reports that s holds nothing of it any more.
func (h *handler) converse(s session.Session, body []byte) (answer []byte, clean bool) {
	h.msg = h.msg[:0]
	for range maxSteps {
		h.out.Buf = h.out.Buf[:0]
		n, next := s.Step(body, &h.out)
		body = body[n:]
		done := next != session.Flush && next != session.Yield
		if done && len(h.msg) == 0 && h.out.Big.Len() == 0 {
			answer = h.out.Buf
		} else if answer = h.collect(); answer == nil {
			return h.tooLarge(s), false
		}
		if !done {
			continue
		}
		if next == session.Abort || next == session.Detach {
			return nil, false
		}
		return answer, next == session.More && len(body) == 0 && s.State() == idleState
	}
	return nil, false
}

// idleState is what a session says that waits for a command and has nothing in hand.
const idleState = "conn_new_cmd"

// collect moves what is in out to msg; nil when the answer becomes longer than it may.
func (h *handler) collect() []byte {
	defer h.out.Big.Unpin()
	if len(h.msg)+len(h.out.Buf)+h.out.Big.Len() > h.srv.o.MaxAnswer {
		return nil
	}
	h.msg = append(h.msg, h.out.Buf...)
	for h.out.Big.Len() > 0 {
		p := h.out.Big.Next()
		h.msg = append(h.msg, p...)
		h.out.Big.Advance(len(p))
	}
	return h.msg
}

// tooLarge is the answer in place of one beyond MaxAnswer.
func (h *handler) tooLarge(s session.Session) []byte {
	h.srv.counts.Oversize.Add(1)
	if s == h.bin {
		return nil
	}
	h.msg = append(h.msg[:0], errTooLarge...)
	return h.msg
}

// end lets go of the kept sessions.
func (h *handler) end() {
	for _, s := range []session.Session{h.text, h.bin} {
		if s != nil {
			s.End()
		}
	}
	h.text, h.bin = nil, nil
}

// network is the network that from is limited with: a /24 or a /56.
func network(from netip.Addr) uint64 {
	if from.Is4() {
		a := from.As4()
		return uint64(a[0])<<16 | uint64(a[1])<<8 | uint64(a[2])
	}
	a := from.As16()
	return binary.BigEndian.Uint64(a[:8]) | 0xff // never that of a /24
}
