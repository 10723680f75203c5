package pool

import (
	"math/rand/v2"
	"time"

	"github.com/everup/everup/shared/probe"
)

// hold is how long a member that failed a request is spared unless nobody else is there. A check that fails meanwhile
// prolongs it.
const hold = time.Second

// never is later than any time.
const never = time.Duration(1<<63 - 1)

// Core decides which member serves the next request. It is pure: it knows only the times that it is given, counted from any one
// instant, and its chance comes from a seed. A time before an earlier one counts as that. Not safe for concurrent use.
//
// What may be told or granted after a call lies in Take.
//
// A member serves when it is not drained, has a weight, its check does not say down, it is not ejected and its circuit is not open.
// What holds until a certain time is looked at when that has come (settle): in between a pick reads lists that are ready (rank).
type Core struct {
	rules   Rules
	rng     *rand.Rand
	members []*Member // in the order of the configuration
	tags    map[Tag]*Member
	now     time.Duration

	dirty bool          // members are to be ranked anew
	due   time.Duration // likewise, from then on

	ranks     [ranks]rank
	scratch   []*Member // of a pick
	usable    int       // members that may be chosen
	well      int       // of them, in a panic too, those that are not out
	empty     bool      // pool-empty was told
	panicking bool
	onBackups bool
	wellSince time.Duration // of primaries, while backups serve; never: they are not

	sweepAt time.Duration // of success rates

	active  int // requests under way
	retries int // of them
	budget  Budget
	queue   queue

	events []Event
	grants []Grant
}

// NewCore returns a core without members.
func NewCore(seed uint64) *Core {
	return &Core{rng: rand.New(rand.NewPCG(seed, seed)), tags: map[Tag]*Member{}, wellSince: never, due: never}
}

// SetRules changes what is said of the pool.
func (c *Core) SetRules(now time.Duration, r *Rules) {
	if r.Outliers.Interval != c.rules.Outliers.Interval {
		c.sweepAt = max(c.now, now) + r.Outliers.Interval
	}
	c.rules = *r
	c.budget.SetPercent(r.Budget)
	c.dirty = true
	if c.members != nil { // else Set follows
		c.advance(now)
	}
}

// Set makes specs the members. Those there before keep what is known of them. Requests under way at one that goes end as they would.
func (c *Core) Set(now time.Duration, specs []Spec) {
	first := c.members == nil
	byID := make(map[ID]*Member, len(c.members))
	for _, m := range c.members {
		byID[m.ID], m.gone = m, true
	}
	next := make([]*Member, 0, len(specs))
	clear(c.tags)
	for _, s := range specs {
		m := byID[s.ID]
		if m == nil {
			m = NewMember(s.ID)
			m.old = first
		}
		switch {
		case m.Drain != Serving && s.Drain == Serving:
			c.tell(MemberUndrained, m, "")
		case m.Drain != s.Drain:
			c.tell(MemberDrained, m, "")
		}
		m.Spec, m.gone = s, false
		for _, t := range s.Tags {
			c.tags[t] = m
		}
		next = append(next, m)
	}
	for _, m := range c.members {
		if m.gone {
			c.queue.free(m)
		}
	}
	c.members, c.dirty = next, true
	c.advance(now)
}

// Checked takes a change of a member's check.
func (c *Core) Checked(now time.Duration, id ID, s probe.State, detail string) {
	m := c.Find(id)
	if m == nil || m.state == s {
		return
	}
	if s != probe.Up {
		c.tell(MemberDown, m, detail)
		m.ejection.until, m.ejection.row = 0, 0 // what it was ejected for may be over when it is back
		m.breaker.reset()
	} else {
		c.tell(MemberUp, m, detail)
		if m.old && m.state == probe.Unknown { // the daemon has just begun
			m.ramping = false
		} else {
			m.startRamp(max(c.now, now))
		}
		m.old = true
	}
	m.state, m.suspect, c.dirty = s, 0, true
	c.advance(now)
}

// Suspect says that a request to the member failed before anything came back, or that its check failed while it was suspect. It
// reports whether the member was above suspicion, so that the caller has it checked at once.
func (c *Core) Suspect(now time.Duration, m *Member) (first bool) {
	now = max(c.now, now)
	if m.gone || m.state == probe.Down {
		return false
	}
	first = m.suspect <= now
	m.suspect, c.dirty = now+hold, c.dirty || first
	return first
}

// Suspected reports whether the member is still to be spared.
func (c *Core) Suspected(now time.Duration, m *Member) bool {
	return !m.gone && m.state != probe.Down && m.suspect > now
}

// Tick lets happen what is due by now.
func (c *Core) Tick(now time.Duration) { c.advance(now) }

// Take returns what is to be told and who may go on since it was last called. Each of the granted has a seat to give back.
func (c *Core) Take() (events []Event, grants []Grant) {
	events, grants = c.events, c.grants
	c.events, c.grants = nil, nil
	return events, grants
}

// Pending reports whether Take has something.
func (c *Core) Pending() bool { return len(c.events)+len(c.grants) > 0 }

// advance moves the clock, and settles what has changed.
func (c *Core) advance(now time.Duration) {
	c.now = max(c.now, now)
	if c.dirty || c.now >= c.due {
		c.settle()
	}
}

// settle lets happen what the clock or a change has made due, and ranks the members.
func (c *Core) settle() {
	c.dirty, c.due = false, never
	c.sweep()
	for _, m := range c.members {
		c.endEjection(m)
		c.halfOpen(m)
		m.weigh(c.now, c.rules.SlowStart)
		if m.ramping {
			c.dueAt(c.now + max(c.rules.SlowStart/100, 10*time.Millisecond))
		}
		if m.suspect > c.now {
			c.dueAt(m.suspect)
		}
		m.standing = m.judge(c.now)
	}
	c.rank()
	c.queue.unstick(c.members)
	c.admit()
}

// dueAt has settle called at a time, at the latest.
func (c *Core) dueAt(at time.Duration) { c.due = min(c.due, at) }

// Usable is the number of members that may serve.
func (c *Core) Usable() int { return c.usable }

// Unchecked is the number of members without a first result.
func (c *Core) Unchecked() (n int) {
	for _, m := range c.members {
		if m.state == probe.Unknown {
			n++
		}
	}
	return n
}

// Len is the number of members.
func (c *Core) Len() int { return len(c.members) }

// State returns what the member's check says, Unknown for a stranger.
func (c *Core) State(id ID) probe.State {
	if m := c.Find(id); m != nil {
		return m.state
	}
	return probe.Unknown
}

// Snapshot returns the members in order.
func (c *Core) Snapshot(now time.Duration) []MemberStatus {
	out := make([]MemberStatus, len(c.members))
	for i, m := range c.members {
		out[i] = m.status(max(c.now, now))
	}
	return out
}

// Find returns a member by its name, nil for a stranger.
func (c *Core) Find(id ID) *Member {
	for _, m := range c.members {
		if m.ID == id {
			return m
		}
	}
	return nil
}
