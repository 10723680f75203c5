package pool

import (
	"strconv"
	"time"

	"github.com/everup/everup/shared/limit"
)

// circuit is the state of a breaker (Nygard, "Release It!", 2007).
type circuit uint8

const (
	closed   circuit = iota // requests pass
	open                    // none does
	halfOpen                // a few do, to see
)

// String returns the state as a word, "" for closed.
func (s circuit) String() string { return [...]string{"", "open", "half-open"}[s] }

// breaker is a member's circuit.
type breaker struct {
	state         circuit
	until         time.Duration // it is open
	given, passed int           // trials that were let through, and that succeeded
	all, failed   limit.Window
}

// reset closes the circuit without a word.
func (b *breaker) reset() { *b = breaker{} }

// trialsLeft reports whether the member's circuit lets one more through.
func (c *Core) trialsLeft(m *Member) bool {
	return m.breaker.state != halfOpen || c.panicking || m.breaker.given < c.rules.Breaker.Trials
}

// judgeBreaker opens and closes the circuit by what came of a request.
func (c *Core) judgeBreaker(s Seat, failed bool) {
	b, r := &s.Member.breaker, &c.rules.Breaker
	if r.Percent == 0 {
		if b.state != closed {
			b.reset()
			c.dirty = true
		}
		return
	}
	switch b.state {
	case closed:
		n, bad := b.all.Add(r.Window, int64(c.now), 1), uint64(0)
		if failed {
			bad = b.failed.Add(r.Window, int64(c.now), 1)
		}
		if bad > 0 && n >= uint64(r.MinRequests) && bad*100 >= n*uint64(r.Percent) {
			c.openCircuit(s.Member, strconv.FormatUint(bad, 10)+" of "+strconv.FormatUint(n, 10)+" requests failed")
		}
	case halfOpen:
		if !s.trial {
			return // it began before
		}
		if failed {
			c.openCircuit(s.Member, "a trial failed")
			return
		}
		if b.passed++; b.passed >= r.Trials {
			b.reset()
			s.Member.startRamp(c.now)
			c.dirty = true
			c.tell(BreakerClosed, s.Member, "")
		}
	}
}

func (c *Core) openCircuit(m *Member, why string) {
	m.breaker = breaker{state: open, until: c.now + c.rules.Breaker.Open}
	c.dirty = true
	c.tell(BreakerOpened, m, why)
}

// halfOpen lets trials through once a circuit was open for its time.
func (c *Core) halfOpen(m *Member) {
	b := &m.breaker
	switch {
	case c.rules.Breaker.Percent == 0:
		b.reset()
	case b.state == open && b.until <= c.now:
		*b = breaker{state: halfOpen}
	case b.state == open:
		c.dueAt(b.until)
	}
}
