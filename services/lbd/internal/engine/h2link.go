package engine

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/http2"
)

// h2Buffer is the size of what is read at once, by all connections of a worker in turn.
const h2Buffer = 64 << 10

// maxHeads bounds what waits to be sent before no more heads are, which have no window, and nothing is read that may have to be answered.
const maxHeads = 2 * largeLen

// HTTP2Options returns the usual options of a connection, for an engine with these limits. What of them may be another way for a listener are
// MaxStreams, the windows and Allow. Windows grow where MaxWindow says so and SetWindows gives room.
func HTTP2Options(lim http1.Limits) *http2.Options {
	o := http2.DefaultOptions()
	o.Limits = lim
	o.ConnWindow = int32(o.MaxStreams) * o.StreamWindow // no stream keeps another waiting: 6.25 MiB of content at most
	o.MaxPending = largeLen - 4<<10                     // with heads and frame headers it fits a large buffer, as a rule
	return &o
}

// h2 is what the connections of a worker share.
type h2 struct {
	options *http2.Options // of members, and of listeners that say nothing else
	pool    http2.Pool
	begun   [2]atomic.Uint64 // connections, by role
	ended   [2]atomic.Uint64
	conns   map[*h2conn]struct{}
	free    []*h2stream
	ups     map[idleKey][]*h2up
	spare   []*h2call
	in      []byte
}

func newH2(lim http1.Limits, g *http2.Growth) h2 {
	return h2{options: HTTP2Options(lim), pool: http2.Pool{Growth: g}, conns: map[*h2conn]struct{}{}, ups: map[idleKey][]*h2up{}}
}

// h2link is a connection of HTTP/2, with a client or a member: what is read goes through the core to its owner, what the core has to send is
// written.
type h2link struct {
	sock
	w       *worker
	owner   h2owner
	core    http2.Conn
	held    []byte    // the beginning of a frame
	stalled []*h2half // those with a head to send once the peer has read some more
	choked  bool      // nothing is read before what waits is sent
	deaf    bool      // the core has ended
}

// h2owner is whose link it is.
type h2owner interface {
	// event does what comes of what the peer has sent.
	event(ev http2.Event)
	// lost takes it that the connection is broken, or at its end.
	lost(err error)
}

// prepare gives the core memory to write to.
func (l *h2link) prepare() {
	if cap(l.core.Out) == 0 {
		l.core.Out = l.w.buffers.take(largeLen)[:0]
	}
}

// release gives the memory for output back.
func (l *h2link) release() {
	l.w.buffers.keep(l.core.Out[:cap(l.core.Out)])
	l.core.Out = nil
}

// later has what waits written at the end of the turn.
func (l *h2link) later() { l.w.loop.Later(l.ref) }

// pull reads what has come, up to a turn's share.
func (l *h2link) pull() {
	in := &l.w.h2.in
	if *in == nil {
		*in = make([]byte, h2Buffer)
	}
	l.prepare()
	for budget := turnBytes; l.fd >= 0 && !l.deaf; {
		if l.choked = l.core.Pending() > maxHeads; l.choked {
			return
		}
		if budget <= 0 {
			l.w.loop.Again(l.ref)
			return
		}
		kept := copy(*in, l.held)
		n, err := l.sock.read((*in)[kept:])
		switch {
		case err == errAgain:
			return
		case err != nil:
			l.owner.lost(err)
			return
		}
		budget -= n
		l.take((*in)[:kept+n])
	}
}

// take gives the core bytes and tells what comes of it.
func (l *h2link) take(b []byte) {
	for l.fd >= 0 && !l.deaf {
		ev, n := l.core.Next(l.w.loop.Now(), b)
		b = b[n:]
		if ev.Kind == http2.None {
			l.keep(b)
			return
		}
		l.owner.event(ev)
	}
}

// keep keeps the beginning of a frame.
func (l *h2link) keep(b []byte) {
	if len(b) == 0 && cap(l.held) > 1<<10 {
		l.held = nil
	}
	l.held = append(l.held[:0], b...)
}

// push writes what the turn has gathered, and lets those go on that have waited for room, as long as there is some. False if the connection
// has ended.
func (l *h2link) push() bool {
	for budget := turnBytes; l.fd >= 0 && !l.deaf; {
		before := l.core.Pending()
		if !l.flush() {
			return false
		}
		budget -= before
		if l.core.Pending() > 0 || !l.resume() || budget <= 0 {
			break
		}
	}
	switch {
	case l.fd < 0 || l.deaf:
		return false
	case l.core.Pending() > 0 && l.writable:
		l.w.loop.Again(l.ref) // it has had its share
	case l.core.Pending() == 0:
		l.release()
		if l.choked {
			l.choked = false
			l.w.loop.Again(l.ref)
		}
	}
	return true
}

// flush writes what waits, as far as it goes; false if the connection has ended.
func (l *h2link) flush() bool {
	for l.core.Pending() > 0 {
		n, err := l.sock.write(l.core.Output(), nil, nil)
		if err == errAgain {
			return true
		}
		if err != nil {
			l.owner.lost(err)
			return false
		}
		l.core.Flushed(n)
	}
	return true
}

// resume lets streams go on to send; false if none had anything.
func (l *h2link) resume() bool {
	some := false
	for len(l.stalled) > 0 && l.core.Pending() == 0 {
		h := l.stalled[0]
		l.stalled = append(l.stalled[:0], l.stalled[1:]...)
		h.stalled = false
		h.drive()
		some = true
	}
	for l.fd >= 0 {
		s := l.core.Writable()
		if s == nil {
			break
		}
		s.User.(interface{ drive() }).drive()
		some = true
	}
	return some && l.core.Pending() > 0
}

// h2half is a stream as the source and the sink of an exchange, on either side.
type h2half struct {
	link *h2link // nil: not in use
	s    *http2.Stream
	x    *exchange

	pieces  [][]byte // content that was not read, in buffers of bufferLen: the first from at on, the last up to end
	at, end int
	broken  error // why the stream has ended before it was complete
	given   int64 // bytes of content that were read
	stalled bool  // in the link's list
	holding bool  // the exchange does not begin yet
	block   []byte
}

var (
	errReset    = errors.New("the stream was reset")
	errCanceled = errors.New("the stream is not wanted any more") // CANCEL: the peer gave up, and nothing is wrong with it
)

// drive lets the exchange go on.
func (h *h2half) drive() {
	if h.x != nil && !h.holding {
		h.x.drive()
	}
}

// fill takes content.
func (h *h2half) fill(b []byte) {
	for len(b) > 0 {
		if len(h.pieces) == 0 || h.end == bufferLen {
			h.pieces = append(h.pieces, h.link.w.buffers.take(bufferLen))
			h.end = 0
		}
		n := copy(h.pieces[len(h.pieces)-1][h.end:], b)
		h.end += n
		b = b[n:]
	}
}

func (h *h2half) framed() bool            { return true }
func (h *h2half) endSending() error       { return nil }
func (h *h2half) trailers() *http1.Chunks { return h.s.Trailers() }

// read reads content, and gives the peer room for as much.
func (h *h2half) read(p []byte) (int, error) {
	n := 0
	for n < len(p) && len(h.pieces) > 0 {
		first, end := h.pieces[0], bufferLen
		if len(h.pieces) == 1 {
			end = h.end
		}
		k := copy(p[n:], first[h.at:end])
		n += k
		if h.at += k; h.at == end {
			h.link.w.buffers.keep(first)
			h.pieces = append(h.pieces[:0], h.pieces[1:]...)
			h.at = 0
		}
	}
	switch {
	case n > 0:
		h.given += int64(n)
		h.link.prepare()
		h.link.core.Took(h.s, n)
		h.link.later()
		return n, nil
	case h.broken != nil:
		return 0, h.broken
	case h.s != nil && h.s.Ended():
		return 0, io.EOF
	}
	return 0, errAgain
}

// write sends a head and content.
func (h *h2half) write(ahead, data, _ []byte) (n int, err error) {
	l := h.link
	switch {
	case h.broken != nil:
		return 0, h.broken
	case h.s == nil:
		return 0, errAgain
	case h.s.Closed():
		return 0, errReset
	}
	l.prepare()
	if len(ahead) > 0 {
		if l.core.Pending() > maxHeads {
			h.stall()
			return 0, errAgain
		}
		l.core.SendHead(h.s, ahead, false)
		n = len(ahead)
	}
	if len(data) > 0 {
		n += l.core.SendData(h.s, data, false)
	}
	if n == 0 {
		return 0, errAgain
	}
	l.later()
	return n, nil
}

// stall has the exchange driven when what waits was sent.
func (h *h2half) stall() {
	if !h.stalled {
		h.stalled = true
		h.link.stalled = append(h.link.stalled, h)
	}
	h.link.later()
}

// finish ends the message. What of it was not sent yet is in the connection's output, as it would be in the kernel's.
func (h *h2half) finish(t *http1.Chunks) error {
	l := h.link
	if h.broken != nil || h.s.Closed() {
		return errReset
	}
	l.prepare()
	l.later()
	if t == nil || !t.HasTrailers() {
		l.core.End(h.s)
		return nil
	}
	h.block = h.block[:0]
	t.Trailers(func(name, value []byte) { h.block = http2.AppendField(h.block, name, value) })
	l.core.SendHead(h.s, h.block, true)
	return nil
}

// forget gives the stream back to its connection, which is told of a rest of it that is not wanted, and what it has kept.
func (h *h2half) forget() {
	l := h.link
	l.prepare()
	if h.s != nil {
		l.core.Release(h.s)
	}
	for _, b := range h.pieces {
		l.w.buffers.keep(b)
	}
	for i, s := range l.stalled {
		if s == h {
			l.stalled = append(l.stalled[:i], l.stalled[i+1:]...)
			break
		}
	}
	if l.fd >= 0 {
		l.later()
	}
	*h = h2half{pieces: h.pieces[:0], block: h.block[:0]}
}
