// Package pool keeps groups of servers that answer alike: who is in, who is well, who serves the next request.
//
// Core is the pure part that decides. Pool is the shell around it: it has members checked by a probe.Runner, and a
// member whose request failed checked at once; it knows the members' addresses and bounds retries. A Pool lives over
// reloads, so that unchanged members keep health and connections.
package pool

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/probe"
)

// Settings of a pool that may change while it lives. They are not changed after they were given.
type Settings struct {
	Balance Balance
	Check   probe.Config
	Connect time.Duration // longest wait for a connection
	Timeout time.Duration // until the answer's head, and longest silence in its body
	PerTry  time.Duration // 0: none of its own
	Retries int
	Percent int   // retry budget
	MaxBody int64 // 0: no bound
}

// Env is what a Pool needs.
type Env struct {
	Runner   *probe.Runner
	Backends *Backends
	// Event is told what happened, without locks held. It must not block.
	Event func(p *Pool, e Event)
}

// Pool is one group. Safe for concurrent use.
type Pool struct {
	name   string
	env    Env
	ctx    context.Context // ends the checks of suspects
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	settings *Settings
	checker  probe.Checker
	core     *Core
	budget   Budget
	backends map[ID]*Backend
	suspects map[ID]bool // a fast check runs
	closed   bool
}

// New returns a pool without members. Close it.
func New(name string, env Env) *Pool {
	p := &Pool{name: name, env: env, core: NewCore(WRR), backends: map[ID]*Backend{}, suspects: map[ID]bool{}, settings: &Settings{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Name returns the pool's name.
func (p *Pool) Name() string { return p.name }

// Settings returns what is in force. It must not be changed.
func (p *Pool) Settings() *Settings {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settings
}

// Configure puts settings and members in force. checker must be of s.Check. Members that stay keep health and
// connections. The error tells of members that are not checked (too many, or the pool is closed); the rest is done.
func (p *Pool) Configure(s *Settings, checker probe.Checker, specs []Spec) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return fault.New(fault.Unavailable, "pool: configure %s: it is closed", p.name)
	}
	p.settings, p.checker = s, checker
	p.core.SetBalance(s.Balance)
	p.budget.SetPercent(s.Percent)
	events, err := p.setLocked(specs)
	p.mu.Unlock()
	p.tell(events)
	return err
}

// SetMembers changes the members alone.
func (p *Pool) SetMembers(specs []Spec) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	events, err := p.setLocked(specs)
	p.mu.Unlock()
	p.tell(events)
	return err
}

func (p *Pool) setLocked(specs []Spec) (events []Event, err error) {
	events = p.core.Set(specs)
	keep := make(map[ID]bool, len(specs))
	for _, s := range specs {
		keep[s.ID] = true
		if p.backends[s.ID] == nil {
			p.backends[s.ID] = p.env.Backends.Get(string(s.ID))
		}
		if e := p.env.Runner.Add(p.key(s.ID), target(s.ID), p.settings.Check, p.notify(s.ID)); e != nil && err == nil {
			err = e
		}
		// A check may begin with a state that its configuration names, of which no change tells.
		if st, ok := p.env.Runner.Status(p.key(s.ID)); ok && p.core.State(s.ID) == probe.Unknown && st.State != probe.Unknown {
			events = append(events, p.core.Checked(s.ID, st.State, st.Last.Detail)...)
		}
	}
	for id, b := range p.backends {
		if !keep[id] {
			p.env.Runner.Remove(p.key(id))
			p.env.Backends.Release(b)
			delete(p.backends, id)
		}
	}
	return events, err
}

func (p *Pool) key(id ID) string { return p.name + "/" + string(id) }

// target is what a member's check asks; a member given by name is resolved at each check.
func target(id ID) probe.Target {
	if a, err := netip.ParseAddrPort(string(id)); err == nil {
		return probe.Target{Addr: a}
	}
	host, port := splitHostPort(string(id))
	return probe.Target{Host: host, Addr: netip.AddrPortFrom(netip.Addr{}, port)}
}

func (p *Pool) notify(id ID) func(probe.Change) {
	return func(c probe.Change) {
		if c.From == c.To {
			return
		}
		p.mu.Lock()
		events := p.core.Checked(id, c.To, c.Result.Detail)
		p.mu.Unlock()
		p.tell(events)
	}
}

func (p *Pool) tell(events []Event) {
	for _, e := range events {
		p.env.Event(p, e)
	}
}

// Pick chooses the member for a request that failed at those in tried; ok is false where none may serve. Done gives the choice
// back.
func (p *Pool) Pick(now time.Time, tried []ID) (id ID, at netip.AddrPort, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id, ok = p.core.Pick(now, tried); ok {
		at = p.backends[id].Addr()
	}
	return id, at, ok
}

// Done counts a request of the member out.
func (p *Pool) Done(id ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core.Done(id)
}

// Request counts a request into the retry budget.
func (p *Pool) Request(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget.Request(now)
}

// Retry reports whether the budget allows one more retry, and counts it.
func (p *Pool) Retry(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.budget.Retry(now)
}

// Close stops the checks, gives the connections back and waits for its goroutines. Requests under way end as they would.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for id, b := range p.backends {
		p.env.Runner.Remove(p.key(id))
		p.env.Backends.Release(b)
	}
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
}

// Status is what is known of a pool.
type Status struct {
	Name    string         `json:"pool"`
	Balance Balance        `json:"balance"`
	Usable  int            `json:"usable"` // members that may serve
	Members []MemberStatus `json:"members"`
}

// Status returns the pool as it is now.
func (p *Pool) Status(now time.Time) Status {
	p.mu.Lock()
	s := Status{Name: p.name, Balance: p.core.balance, Usable: p.core.Usable(), Members: p.core.Snapshot(now)}
	p.mu.Unlock()
	for i := range s.Members {
		if st, ok := p.env.Runner.Status(p.key(s.Members[i].ID)); ok {
			s.Members[i].Detail = st.Last.Detail
		}
	}
	return s
}

// Counts returns how many members there are, how many may serve, and how many have no first result yet.
func (p *Pool) Counts() (members, usable, unchecked int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.Len(), p.core.Usable(), p.core.Unchecked()
}

// State returns what a member's check says.
func (p *Pool) State(id ID) probe.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.State(id)
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

// Has reports whether id is a member.
func (p *Pool) Has(id ID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.backends[id] != nil
}
