package pool

import (
	"slices"
	"time"
)

// Ask is what a request wants of Pick.
type Ask struct {
	Key      uint64 // hash of what Hash balances by
	Keyed    bool   // there is one
	Tag      Tag    // of the member that its session is at
	Tagged   bool
	Priority uint8     // in the queue: 0 goes first, 9 last
	Retry    bool      // it is a further try, which Retry has allowed
	Tried    []*Member // that it has failed at
	Waiter   Waiter    // is told when a queued one may go on; nil: it does not wait
}

// Outcome is what becomes of a request.
type Outcome uint8

// The outcomes.
const (
	Granted     Outcome = iota
	Queued              // its Waiter will be told
	NoMember            // none may serve
	CircuitOpen         // none may serve, and open circuits are why
	QueueFull           // all that may serve have no room, and too many wait already, or none may
)

// Pick chooses the member for a request and counts it in. A member in Tried is chosen again only when no other may serve. The
// seat is given back by Release; a ticket may be given back by Cancel while nobody was told.
func (c *Core) Pick(now time.Duration, a *Ask) (Seat, *Ticket, Outcome) {
	s, t, out := c.seat(now, a)
	if a.Retry && s.Member == nil && t == nil {
		c.retries--
	}
	return s, t, out
}

func (c *Core) seat(now time.Duration, a *Ask) (Seat, *Ticket, Outcome) {
	c.advance(now)
	if !a.Retry {
		c.budget.Request(c.now)
	}
	full := c.rules.MaxRequests > 0 && c.active >= c.rules.MaxRequests
	if a.Tagged {
		if m := c.tags[a.Tag]; m != nil && m.sticks() && !slices.Contains(a.Tried, m) {
			if !full && c.takes(m) {
				return c.enter(m, a), nil, Granted
			}
			if t := c.wait(a, m); t != nil {
				return Seat{}, t, Queued
			}
		}
	}
	if c.usable == 0 {
		return Seat{}, nil, c.whyNone()
	}
	if !full {
		if m := c.place(a, c.rules.Queue > 0); m != nil {
			return c.enter(m, a), nil, Granted
		}
	}
	if t := c.wait(a, nil); t != nil {
		return Seat{}, t, Queued
	}
	return Seat{}, nil, QueueFull
}

// whyNone returns why no member may serve.
func (c *Core) whyNone() Outcome {
	for _, m := range c.members {
		if m.eligible() && m.breaker.state == open {
			return CircuitOpen
		}
	}
	return NoMember
}

// place chooses a member with room, nil if there is none. With patience it does not fall back to a lower rank, or to a member that
// the request has failed at, where a better one only lacks room.
func (c *Core) place(a *Ask, patient bool) *Member {
	for _, tried := range [2]bool{false, true} {
		for i := range c.ranks {
			r := &c.ranks[i]
			if len(r.members) == 0 {
				continue
			}
			if !r.limited && len(a.Tried) == 0 {
				return c.choose(r, a)
			}
			some, full := c.among(r, a, tried)
			if len(some.members) > 0 {
				return c.choose(&some, a)
			}
			if full && patient {
				return nil
			}
		}
		if len(a.Tried) == 0 {
			break
		}
	}
	return nil
}

// among returns those of a rank with room that the request has failed at, or has not; full says that others only lack room.
func (c *Core) among(r *rank, a *Ask, tried bool) (some rank, full bool) {
	some = rank{members: c.scratch[:0]}
	some.reset()
	for _, m := range r.members {
		if len(a.Tried) > 0 && slices.Contains(a.Tried, m) != tried {
			continue
		}
		if !c.takes(m) {
			full = true
			continue
		}
		some.add(m)
	}
	c.scratch = some.members
	return some, full
}

// enter counts a request in.
func (c *Core) enter(m *Member, a *Ask) Seat {
	c.active++
	m.active++
	s := Seat{Member: m, retry: a.Retry}
	if m.breaker.state == halfOpen {
		m.breaker.given++
		s.trial = true
	}
	return s
}

// choose picks among the members of a rank; there is at least one.
func (c *Core) choose(r *rank, a *Ask) *Member {
	if len(r.members) == 1 {
		return r.members[0]
	}
	switch c.rules.Balance {
	case Least:
		return leastLoaded(r)
	case Random, EWMA:
		return c.lighter(r)
	case Hash:
		if a.Keyed {
			return c.hashed(r, a.Key)
		}
	}
	return inTurn(r)
}

// inTurn is smooth weighted round robin.
func inTurn(r *rank) *Member {
	best := r.members[0]
	for _, m := range r.members {
		if m.current += m.weight; m.current > best.current {
			best = m
		}
	}
	best.current -= r.sum
	return best
}

// leastLoaded takes the smallest active/weight, compared without division, and among equals whose turn it is.
func leastLoaded(r *rank) *Member {
	least, sum := r.members[0], 0
	for _, m := range r.members {
		a, b := m.active*least.weight, least.active*m.weight
		if a < b {
			least, sum = m, 0
		}
		if a <= b {
			sum += m.weight
		}
	}
	var best *Member
	active, weight := least.active, least.weight
	for _, m := range r.members {
		if m.active*weight != active*m.weight {
			continue
		}
		if m.current += m.weight; best == nil || m.current > best.current {
			best = m
		}
	}
	best.current -= sum
	return best
}
