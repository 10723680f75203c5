package pool

import (
	"slices"
	"time"

	"github.com/everup/everup/shared/probe"
)

// ID names a member within its pool: its address, host:port.
type ID string

// Balance is how a member is chosen among those that may serve.
type Balance string

// The ways to balance.
const (
	// WRR is smooth weighted round robin: each pick adds its weight to every member's current value, takes the largest
	// and subtracts the sum of the weights from it, so that picks of one member are spread evenly.
	WRR Balance = "wrr"
	// Least takes the member with the fewest requests under way for its weight, by WRR among equals.
	Least Balance = "least"
)

// Spec is what is wanted of a member.
type Spec struct {
	ID      ID
	Weight  int  // 0: no requests
	Drained bool // no new requests, by an operator or by the member's own word
}

// hold is how long a member that failed a request is spared unless nobody else is there. A check that fails meanwhile
// prolongs it.
const hold = time.Second

// member is the core's knowledge of one.
type member struct {
	Spec
	state   probe.State
	suspect time.Time // spared until then
	current int       // of smooth weighted round robin
	active  int       // requests under way
}

// Event is something worth telling about a pool.
type Event struct {
	Kind   string // "pool-member-up", -down, -drained, -undrained, "pool-empty"
	Member ID     // "" for pool-empty
	Detail string
}

// Core decides which member serves the next request. It is pure: it knows only the times it is given. Not safe for
// concurrent use.
//
// A member serves when it is not drained, has a weight and its check does not say down. Those that are up and not
// suspect come first; unknown and suspect ones are tried when nobody else is left.
type Core struct {
	balance Balance
	members []*member // in the order of the configuration
	empty   bool      // pool-empty was told
}

// NewCore returns a core without members.
func NewCore(b Balance) *Core { return &Core{balance: b} }

// SetBalance changes how members are chosen.
func (c *Core) SetBalance(b Balance) { c.balance = b }

// Set makes specs the members. Those there before keep what is known of them.
func (c *Core) Set(specs []Spec) []Event {
	var out []Event
	next := make([]*member, 0, len(specs))
	for _, s := range specs {
		m := c.find(s.ID)
		if m == nil {
			m = &member{Spec: s, state: probe.Unknown}
			if s.Drained {
				out = append(out, Event{Kind: "pool-member-drained", Member: s.ID})
			}
		} else if m.Drained != s.Drained {
			kind := "pool-member-undrained"
			if s.Drained {
				kind = "pool-member-drained"
			}
			out = append(out, Event{Kind: kind, Member: s.ID})
		}
		m.Spec = s
		next = append(next, m)
	}
	c.members = next
	return append(out, c.emptied()...)
}

// Checked takes a change of a member's check.
func (c *Core) Checked(id ID, s probe.State, detail string) []Event {
	m := c.find(id)
	if m == nil || m.state == s {
		return nil
	}
	m.state, m.suspect = s, time.Time{}
	kind := "pool-member-up"
	if s != probe.Up {
		kind = "pool-member-down"
	}
	return append([]Event{{Kind: kind, Member: id, Detail: detail}}, c.emptied()...)
}

// emptied tells once that no member may serve.
func (c *Core) emptied() []Event {
	was := c.empty
	c.empty = c.Usable() == 0
	if c.empty && !was {
		return []Event{{Kind: "pool-empty"}}
	}
	return nil
}

// Suspect says that a request to the member failed at now before anything came back, or that its check failed while it
// was suspect. It reports whether the member was above suspicion, so that the caller has it checked at once.
func (c *Core) Suspect(id ID, now time.Time) (first bool) {
	m := c.find(id)
	if m == nil || m.state == probe.Down {
		return false
	}
	first = !now.Before(m.suspect)
	m.suspect = now.Add(hold)
	return first
}

// Suspected reports whether the member is still to be spared at now.
func (c *Core) Suspected(id ID, now time.Time) bool {
	m := c.find(id)
	return m != nil && m.state != probe.Down && now.Before(m.suspect)
}

// Pick chooses the member for a request that has failed at those in tried, and counts the request in. A member in tried
// is chosen again only when no other may serve.
func (c *Core) Pick(now time.Time, tried []ID) (ID, bool) {
	best := tier(-1)
	for _, m := range c.members {
		best = max(best, m.tier(now, tried))
	}
	if best < 0 {
		return "", false
	}
	m := c.choose(func(m *member) bool { return m.tier(now, tried) == best })
	m.active++
	return m.ID, true
}

// Done counts a request of the member out.
func (c *Core) Done(id ID) {
	if m := c.find(id); m != nil && m.active > 0 {
		m.active--
	}
}

// tier orders how gladly a member is used; below 0 not at all.
type tier int

func (m *member) tier(now time.Time, tried []ID) tier {
	if !m.usable() {
		return -1
	}
	t := tier(0)
	if m.state == probe.Up && !now.Before(m.suspect) {
		t++
	}
	if !slices.Contains(tried, m.ID) {
		t += 2
	}
	return t
}

func (m *member) usable() bool { return m.state != probe.Down && !m.Drained && m.Weight > 0 }

// choose picks among the members that may; there is at least one.
func (c *Core) choose(may func(*member) bool) *member {
	among := make([]*member, 0, 16) // on the stack for usual pools
	for _, m := range c.members {
		if may(m) {
			among = append(among, m)
		}
	}
	if c.balance == Least {
		among = leastLoaded(among)
	}
	var best *member
	total := 0
	for _, m := range among {
		m.current += m.Weight
		total += m.Weight
		if best == nil || m.current > best.current {
			best = m
		}
	}
	best.current -= total
	return best
}

// leastLoaded keeps those with the smallest active/weight, compared without division.
func leastLoaded(in []*member) []*member {
	out := in[:0]
	for _, m := range in {
		if len(out) > 0 {
			least := out[0]
			a, b := m.active*least.Weight, least.active*m.Weight
			if a > b {
				continue
			}
			if a < b {
				out = out[:0]
			}
		}
		out = append(out, m)
	}
	return out
}

// Usable is the number of members that may serve.
func (c *Core) Usable() (n int) {
	for _, m := range c.members {
		if m.usable() {
			n++
		}
	}
	return n
}

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
	if m := c.find(id); m != nil {
		return m.state
	}
	return probe.Unknown
}

// MemberStatus is one member of a Status.
type MemberStatus struct {
	ID      ID          `json:"member"`
	State   probe.State `json:"state"`
	Suspect bool        `json:"suspect,omitempty"`
	Drained bool        `json:"drained,omitempty"`
	Weight  int         `json:"weight"`
	Active  int         `json:"active"` // requests under way
	Detail  string      `json:"detail,omitempty"`
}

// Snapshot returns the members in order.
func (c *Core) Snapshot(now time.Time) []MemberStatus {
	out := make([]MemberStatus, len(c.members))
	for i, m := range c.members {
		out[i] = MemberStatus{
			ID: m.ID, State: m.state, Suspect: now.Before(m.suspect), Drained: m.Drained, Weight: m.Weight, Active: m.active,
		}
	}
	return out
}

func (c *Core) find(id ID) *member {
	for _, m := range c.members {
		if m.ID == id {
			return m
		}
	}
	return nil
}
