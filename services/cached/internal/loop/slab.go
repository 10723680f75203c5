package loop

import (
	"github.com/everup/everup/services/cached/internal/session"
)

// conn is a connection of a loop. Its size is what an idle one costs: see TestIdleBytes.
type conn struct {
	sess session.Session // nil until the first byte
	peer *session.Peer   // likewise
	held []byte          // input not consumed, borrowed from the pool; nil most of the time
	out  *backlog        // output not written; nil most of the time
	id   int64
	fd   int32
	gen  uint32 // distinguishes the slot's successive connections
	slot uint32
	off  uint32 // consumed part of held
	last uint32 // second of the last input
	from uint16 // index of its listener
	want want
	is   flags
}

// want is what the session waits for.
type want uint8

const (
	wantInput want = iota
	wantBody       // bytes for Body
	wantStep       // nothing: Step may be called
)

type flags uint8

const (
	live     flags = 1 << iota // the slot is taken
	readable                   // an edge was seen that reading has not used up
	hungUp                     // the client sends no more: reading on will tell the end
	queued                     // in the ready queue
	ending                     // to be closed once the output is written
	asksOut                    // EPOLLOUT is in force
)

func (c *conn) has(f flags) bool { return c.is&f != 0 }
func (c *conn) set(f flags)      { c.is |= f }
func (c *conn) clear(f flags)    { c.is &^= f }

// ref names a connection in the ready queue; it goes stale when the connection ends.
type ref struct{ slot, gen uint32 }

const (
	chunkBits = 8
	chunkLen  = 1 << chunkBits
)

// slab holds a loop's connections. They keep their place, and freed ones are used again, so that as many exist as
// were open at once.
type slab struct {
	chunks []*[chunkLen]conn
	free   []uint32
	used   uint32 // slots ever used
}

func (s *slab) at(slot uint32) *conn { return &s.chunks[slot>>chunkBits][slot&(chunkLen-1)] }

// find returns the connection that slot and gen name, nil when it is gone.
func (s *slab) find(slot, gen uint32) *conn {
	if c := s.at(slot); c.gen == gen && c.has(live) {
		return c
	}
	return nil
}

func (s *slab) take() *conn {
	if n := len(s.free); n > 0 {
		c := s.at(s.free[n-1])
		s.free = s.free[:n-1]
		c.set(live)
		return c
	}
	if s.used == uint32(len(s.chunks))<<chunkBits {
		s.chunks = append(s.chunks, new([chunkLen]conn))
	}
	c := s.at(s.used)
	c.slot, c.is = s.used, live
	s.used++
	return c
}

func (s *slab) drop(c *conn) {
	*c = conn{slot: c.slot, gen: c.gen + 1}
	s.free = append(s.free, c.slot)
}
