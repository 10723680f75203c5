package pool

import (
	"time"

	"github.com/everup/everup/shared/probe"
)

// Status is what is known of a pool.
type Status struct {
	Name    string         `json:"pool"`
	Balance Balance        `json:"balance"`
	Usable  int            `json:"usable"` // members that may serve
	Active  int            `json:"active"` // requests under way
	Queued  int            `json:"queued"` // requests that wait for a member
	Panic   bool           `json:"panic,omitempty"`
	Backups bool           `json:"backups,omitempty"` // they serve in place of the primaries
	Members []MemberStatus `json:"members"`
}

// status describes the pool.
func (c *Core) status(now time.Duration) Status {
	return Status{
		Balance: c.rules.Balance, Usable: c.usable, Active: c.active, Queued: c.queue.n, Panic: c.panicking, Backups: c.onBackups,
		Members: c.Snapshot(now),
	}
}

// Status returns the pool as it is now.
func (p *Pool) Status(now time.Time) Status {
	p.mu.Lock()
	s := p.core.status(p.since(now))
	p.mu.Unlock()
	s.Name = p.name
	for i := range s.Members {
		if st, ok := p.env.Runner.Status(p.key(s.Members[i].ID)); ok {
			s.Members[i].Detail = st.Last.Detail
		}
	}
	return s
}

// Counts are how many members a pool has.
type Counts struct {
	Members   int
	Usable    int // that may serve; in a panic all
	Well      int // of them, those that nothing is known against
	Unchecked int // without a first result
	Panic     bool
	Backups   bool // they serve in place of the primaries
}

// Counts returns how many members there are.
func (p *Pool) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Counts{
		Members: p.core.Len(), Usable: p.core.Usable(), Well: p.core.well, Unchecked: p.core.Unchecked(), Panic: p.core.panicking, Backups: p.core.onBackups,
	}
}

// State returns what a member's check says.
func (p *Pool) State(id ID) probe.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.State(id)
}

// Has reports whether id is a member.
func (p *Pool) Has(id ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.backends[id] != nil
}

// Names returns the members, in no order.
func (p *Pool) Names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]string, 0, len(p.backends))
	for id := range p.backends {
		out = append(out, string(id))
	}
	return out
}
