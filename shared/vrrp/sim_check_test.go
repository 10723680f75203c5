package vrrp

import (
	"fmt"
	"time"
)

// checker watches who holds the address and for how long it is two or nobody.
type checker struct {
	s       *simulation
	failure string

	// For two routers a and b: since when both hold it and nothing has disturbed them: a cut or a lost packet between
	// them, or a freeze of one. Never: not both.
	both   [][]time.Duration
	nobody time.Duration   // since when nobody has it who runs; Never: somebody has it
	able   []time.Duration // since when a router could have it; Never: it could not
	thawed []bool          // that time began with a thaw

	maxBoth, maxNobody time.Duration // the longest, as parts of what is allowed: 1000 is the bound
	takeovers          int
	last               []bool
}

func newChecker(s *simulation) *checker {
	n := len(s.routers)
	c := &checker{s: s, able: make([]time.Duration, n), thawed: make([]bool, n), last: make([]bool, n)}
	for a := range s.routers {
		c.able[a] = Never
		row := make([]time.Duration, n)
		for i := range row {
			row[i] = Never
		}
		c.both = append(c.both, row)
	}
	return c
}

func (c *checker) fail(format string, args ...any) {
	if c.failure == "" {
		c.failure = fmt.Sprintf("at %v: ", c.s.now) + fmt.Sprintf(format, args...)
	}
}

// interval is the longest interval of all routers.
func (c *checker) interval() time.Duration {
	longest := time.Duration(0)
	for _, r := range c.s.routers {
		longest = max(longest, r.cfgs[0].Interval)
	}
	return longest
}

// bothBound: one advert interval and the time of the advert and of its answer.
func (c *checker) bothBound() time.Duration { return c.interval() + 2*c.s.delay + 2*c.s.jitter }

// nobodyBound: three intervals and the longest skew, and the packet that was the last under way. After a freeze one more
// interval and skew is waited.
func (c *checker) nobodyBound(thawed bool) time.Duration {
	skew := c.interval()
	if c.s.routers[0].cfgs[0].Version == V2 {
		skew = time.Second
	}
	bound := 3*c.interval() + skew + 2*c.s.delay + 2*c.s.jitter
	if thawed {
		bound += c.interval() + skew + c.s.jitter
	}
	return bound
}

// pass checks that what has been so since the last change may last until now.
func (c *checker) pass(now time.Duration) {
	if c.s.members > 1 {
		return // groups may have to wait for each other: only what they come to is checked
	}
	for a, row := range c.both {
		for b, since := range row {
			if since == Never {
				continue
			}
			c.maxBoth = max(c.maxBoth, 1000*(now-since)/c.bothBound())
			if now-since > c.bothBound() {
				c.fail("routers %d and %d both hold the address since %v", a, b, since)
			}
		}
	}
	for a, able := range c.able {
		if able == Never || c.nobody == Never {
			continue
		}
		since, bound := max(able, c.nobody), c.nobodyBound(c.thawed[a])
		c.maxNobody = max(c.maxNobody, 1000*(now-since)/bound)
		if now-since > bound {
			c.fail("nobody holds the address since %v, though router %d could", since, a)
		}
	}
}

// changed takes in that a router holds the address or does not any more, or may or may not.
func (c *checker) changed(now time.Duration) {
	somebody := false
	for a, r := range c.s.routers {
		holds := r.up && r.frozen == running && r.held[0]
		if holds && !c.last[a] {
			c.takeovers++
		}
		c.last[a] = holds
		somebody = somebody || holds
		switch {
		case !r.up || r.frozen != running || !r.able():
			c.able[a] = Never
		case c.able[a] == Never:
			c.able[a], c.thawed[a] = now, false
		}
		for b := range a {
			c.pair(a, b, now)
		}
	}
	switch {
	case somebody:
		c.nobody = Never
	case c.nobody == Never:
		c.nobody = now
	}
}

func (c *checker) pair(a, b int, now time.Duration) {
	holds := func(r *simRouter) bool { return r.up && r.frozen == running && r.held[0] }
	calm := !c.s.cut[a][b] && !c.s.cut[b][a] && holds(c.s.routers[a]) && holds(c.s.routers[b])
	switch {
	case !calm:
		c.both[a][b] = Never
	case c.both[a][b] == Never:
		c.both[a][b] = now
	}
}

// disturb takes in that something came between two routers: their time as two holders begins anew.
func (c *checker) disturb(a, b int) {
	a, b = max(a, b), min(a, b)
	c.both[a][b] = Never
	c.pair(a, b, c.s.now)
}

// thaw takes in that a router runs again, or that its clock has leapt.
func (c *checker) thaw(id int) {
	for b := range c.s.routers {
		if b != id {
			c.disturb(id, b)
		}
	}
	c.changed(c.s.now)
	if c.able[id] != Never {
		c.able[id], c.thawed[id] = c.s.now, true
	}
}
