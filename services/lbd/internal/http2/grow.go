package http2

import "sync/atomic"

// A window bounds what comes in a round trip, so that a long way makes an upload slow however much there is room for. A stream whose content is
// used as fast as it comes gets a larger window, by what has come within a round trip, which a PING measures: was that most of the window,
// it is doubled, up to Options.MaxWindow, as long as the connection (ConnWindow once more) and all connections together (Growth) have room. It stays
// as large until the stream is released. A peer that answers no PING keeps the windows that it has.

// Growth bounds by how much all streams of a process together may have larger windows than their options say. Anybody may use it.
type Growth struct {
	limit, used atomic.Int64
	full        atomic.Uint64
}

// SetLimit sets the bound in bytes. What was given before is not taken back.
func (g *Growth) SetLimit(n int64) { g.limit.Store(n) }

// Used returns the bytes given, Full how often there was no room.
func (g *Growth) Used() int64  { return g.used.Load() }
func (g *Growth) Full() uint64 { return g.full.Load() }

func (g *Growth) take(n int32) bool {
	if g == nil {
		return false
	}
	if g.used.Add(int64(n)) <= g.limit.Load() {
		return true
	}
	g.used.Add(-int64(n))
	g.full.Add(1)
	return false
}

// probe measures what comes of a stream in a round trip.
type probe struct {
	id   uint32 // 0: none is under way
	came int32
}

// probePing tells by its acknowledgement that a round trip is over.
var probePing = [8]byte{'e', 'v', 'e', 'r', 'u', 'p', 0, 2}

const (
	// probeTries are the measurements in a row of which one has to find that the window is used. The one after a growth still sees what was
	// sent before it, and one that begins within a burst sees a part of that.
	probeTries = 3
	// probeRest is how many windows of content come before a stream that was not held up by its window is looked at again.
	probeRest = 4
)

// probeContent takes it that content has come.
func (c *Conn) probeContent(s *Stream, n int) {
	switch {
	case c.probe.id == s.id:
		c.probe.came += int32(n)
	case c.probe.id == 0 && s.window < c.o.MaxWindow && s.received >= s.probeAt && c.pool.Growth != nil:
		c.probe = probe{s.id, int32(n)}
		c.Out = appendPing(c.Out, 0, probePing)
	}
}

// probed takes it that the round trip is over.
func (c *Conn) probed() {
	p := c.probe
	c.probe = probe{}
	s := c.table.get(p.id)
	if s == nil || s.remoteEnd {
		return
	}
	s.probes++
	if int64(p.came)*3 >= int64(s.window)*2 && s.held <= s.window/4 && c.grow(s) {
		s.probes = 0
	}
	if s.probes == probeTries {
		s.probes, s.probeAt = 0, s.received+probeRest*int64(s.window)
	}
}

// grow makes a stream's window larger; false if there is no room.
func (c *Conn) grow(s *Stream) bool {
	more := min(s.window, c.o.MaxWindow-s.window)
	if int64(c.grown)+int64(more) > min(int64(c.o.ConnWindow), maxWindow-int64(c.o.ConnWindow)) || !c.pool.Growth.take(more) {
		return false
	}
	c.grown += more
	s.window += more
	c.credit(more)
	c.tellRoom(s, more)
	return true
}

// ungrow gives back what a stream had.
func (c *Conn) ungrow(s *Stream) {
	more := s.window - c.o.StreamWindow
	if more == 0 {
		return
	}
	c.grown -= more
	c.owed -= more // so much less is told of what is used from now on
	c.pool.Growth.give(more)
}

func (g *Growth) give(n int32) { g.used.Add(-int64(n)) }
