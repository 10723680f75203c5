package http2

import "github.com/everup/everup/services/lbd/internal/http1"

// Stream is a stream of a connection. It is the caller's from the event that brings it, or from Open, until Release.
type Stream struct {
	// User is the caller's.
	User any

	id   uint32
	next *Stream // of the same hash

	localEnd  bool // we have sent END_STREAM, or RST_STREAM came or went
	remoteEnd bool // the peer has
	closed    bool // in both directions: it is no longer in the connection's table
	headed    bool // the head has come: for an answer the final one
	bodiless  bool // the answer has no content, whatever its fields say

	send    int32 // what may be sent; it may be negative
	window  int32 // bytes of content that are kept
	receive int32 // what the peer may send
	owed    int32 // what was used of it, and not told yet
	held    int32 // what came and was not used

	declared int64 // Content-Length, -1: not said
	received int64 // bytes of content
	probeAt  int64 // bytes of it after which a round trip may be measured
	probes   uint8 // measurements since then, or since the window grew

	lastFrame int // where in Out the header of its last frame is; its END_STREAM may still be set there

	waiting  bool    // in the queue
	blocked  bool    // by the stream's own window
	nextWait *Stream // behind it in the queue

	trailers http1.Chunks
}

// ID returns the stream's number.
func (s *Stream) ID() uint32 { return s.id }

// Closed reports whether the stream has ended in both directions: nothing can be sent on it.
func (s *Stream) Closed() bool { return s.closed }

// Ended reports whether the peer has sent all.
func (s *Stream) Ended() bool { return s.remoteEnd }

// Trailers returns the fields that came behind the content; nil if none did.
func (s *Stream) Trailers() *http1.Chunks {
	if !s.trailers.HasTrailers() {
		return nil
	}
	return &s.trailers
}

// Pool keeps the memory of streams that have ended for new ones, and what heads are decoded to, for all connections of one goroutine. The
// zero value is ready.
type Pool struct {
	Tallies [2]Tally // by Role
	Growth  *Growth  // nil: windows stay as they are

	free []*Stream
	head http1.Head
	text arena
}

// maxFree bounds the streams that are kept.
const maxFree = 1024

func (p *Pool) get() *Stream {
	n := len(p.free)
	if n == 0 {
		return new(Stream)
	}
	s := p.free[n-1]
	p.free = p.free[:n-1]
	return s
}

func (p *Pool) put(s *Stream) {
	t := s.trailers
	t.Reset()
	*s = Stream{trailers: t}
	if len(p.free) < maxFree {
		p.free = append(p.free, s)
	}
}

// streams finds the streams of a connection by number. Numbers follow each other, so that the chains are short.
type streams struct {
	slots []*Stream // a power of two of them
	n     int
}

func (t *streams) get(id uint32) *Stream {
	if len(t.slots) == 0 {
		return nil
	}
	for s := t.slots[int(id>>1)&(len(t.slots)-1)]; s != nil; s = s.next {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (t *streams) add(s *Stream) {
	if t.n >= len(t.slots) {
		t.grow()
	}
	at := &t.slots[int(s.id>>1)&(len(t.slots)-1)]
	s.next, *at = *at, s
	t.n++
}

func (t *streams) grow() {
	old := t.slots
	t.slots = make([]*Stream, max(8, 2*len(old)))
	for _, s := range old {
		for s != nil {
			next := s.next
			at := &t.slots[int(s.id>>1)&(len(t.slots)-1)]
			s.next, *at = *at, s
			s = next
		}
	}
}

func (t *streams) remove(s *Stream) {
	for at := &t.slots[int(s.id>>1)&(len(t.slots)-1)]; *at != nil; at = &(*at).next {
		if *at == s {
			*at, s.next = s.next, nil
			t.n--
			return
		}
	}
}

// each calls f with every stream. f may remove the one it is called with, and add none.
func (t *streams) each(f func(*Stream)) {
	for _, s := range t.slots {
		for s != nil {
			next := s.next
			f(s)
			s = next
		}
	}
}

// history remembers how the last streams have ended, for frames that come after.
type history struct {
	ids []uint32 // with resetByUs, if it was we
	at  int      // where the oldest is, once it is full
}

const resetByUs = 1 << 31

// add adds a stream, in place of the oldest if there are most.
func (h *history) add(id uint32, mine bool, most int) {
	if mine {
		id |= resetByUs
	}
	if len(h.ids) < most {
		h.ids = append(h.ids, id)
		return
	}
	h.ids[h.at] = id
	h.at = (h.at + 1) % len(h.ids)
}

// find reports whether a stream is remembered, and whether we reset it: then what still comes is no fault of the peer's.
func (h *history) find(id uint32) (known, mine bool) {
	for _, v := range h.ids {
		if v&^resetByUs == id {
			return true, v&resetByUs != 0
		}
	}
	return false, false
}
