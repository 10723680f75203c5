// Package pool keeps groups of servers that answer alike: who is in, who is well, who serves the next request.
//
// Core is the pure part that decides: schedulers, ranks of members, ejections, circuits, the queue. Pool is the shell around it: it has
// members checked by a probe.Runner, and a member whose request failed checked at once; it knows the members' addresses, and tells
// events. A Pool lives over reloads, so that unchanged members keep health and connections.
//
// # Who owns what
//
// A Pool has a goroutine that tells events, and one for each suspect while it is checked; Close waits for them. Its lock is held for
// the time of a decision, which allocates nothing, does no I/O and calls nobody; a request takes it twice, once to be
// given a seat and once to give it back. Waiters are told without it, by whoever gave a seat back.
//
// # Bounds
//
// Members: what Configure and SetMembers give. Requests that wait: Rules.Queue; further ones are turned away (QueueFull). Events that are not
// told yet: maxEvents, further ones are lost.
package pool

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/probe"
)

// Settings of a pool that may change while it lives. They are not changed after they were given.
type Settings struct {
	Rules    Rules
	Sessions Sessions // nil: clients do not stick to members
	Check    probe.Config
	Connect  time.Duration // longest wait for a connection
	Timeout  time.Duration // until the answer's head, and longest silence in its body
	PerTry   time.Duration // 0: none of its own
	Wait     time.Duration // longest in the queue
	Retries  int
	RetryOn  Statuses // answers that are thrown away for another try, where that is safe
	MaxBody  int64    // 0: no bound
}

// Sessions name members in clients' cookies. Safe for concurrent use.
type Sessions interface {
	// Tags returns what may stand for a member; the first is what clients are told.
	Tags(id ID) []Tag
	// Cookie returns the value of Set-Cookie that tells a client a tag.
	Cookie(t Tag) []byte
}

// Env is what a Pool needs.
type Env struct {
	Runner   *probe.Runner
	Backends *Backends
	// Event is told what happened, one at a time, by the pool's own goroutine.
	Event func(p *Pool, e Event)
}

// Pool is one group. Safe for concurrent use.
type Pool struct {
	name   string
	env    Env
	origin time.Time       // of the core's clock
	ctx    context.Context // ends the pool's goroutines
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{} // there is something to be told

	settings atomic.Pointer[Settings]

	mu       sync.Mutex
	checker  probe.Checker
	core     *Core
	backends map[ID]*Backend
	suspects map[*Member]bool // a fast check runs
	untold   []Event
	closed   bool
}

// New returns a pool without members. Close it.
func New(name string, env Env) *Pool {
	p := &Pool{
		name: name, env: env, origin: time.Now(), core: NewCore(rand.Uint64()), wake: make(chan struct{}, 1),
		backends: map[ID]*Backend{}, suspects: map[*Member]bool{},
	}
	p.settings.Store(&Settings{})
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.tellEvents)
	return p
}

// Name returns the pool's name.
func (p *Pool) Name() string { return p.name }

// Settings returns what is in force. It must not be changed.
func (p *Pool) Settings() *Settings { return p.settings.Load() }

// since is the core's time.
func (p *Pool) since(now time.Time) time.Duration { return now.Sub(p.origin) }

// unlock ends a call that may have changed something, and tells the news.
func (p *Pool) unlock() {
	if !p.core.Pending() {
		p.mu.Unlock()
		return
	}
	events, grants := p.core.Take()
	p.untold = append(p.untold, events[:min(len(events), maxEvents-min(len(p.untold), maxEvents))]...)
	p.mu.Unlock()
	for _, g := range grants {
		g.Waiter.Granted(g)
	}
	if len(events) > 0 {
		select {
		case p.wake <- struct{}{}:
		default: // it is due already
		}
	}
}

// tellEvents tells what has happened until the pool is closed, and what is left then.
func (p *Pool) tellEvents() {
	for {
		select {
		case <-p.ctx.Done():
			p.tellNow()
			return
		case <-p.wake:
			p.tellNow()
		}
	}
}

func (p *Pool) tellNow() {
	p.mu.Lock()
	events := p.untold
	p.untold = nil
	p.mu.Unlock()
	for _, e := range events {
		p.env.Event(p, e)
	}
}

// Configure puts settings and members in force. checker must be of s.Check. Members that stay keep health and
// connections. The error tells of members that are not checked (too many, or the pool is closed); the rest is done.
func (p *Pool) Configure(s *Settings, checker probe.Checker, specs []Spec) error {
	p.mu.Lock()
	defer p.unlock()
	if p.closed {
		return fault.New(fault.Unavailable, "pool: configure %s: it is closed", p.name)
	}
	p.settings.Store(s)
	p.checker = checker
	p.core.SetRules(p.since(time.Now()), &s.Rules)
	return p.setLocked(s, specs)
}

// SetMembers changes the members alone.
func (p *Pool) SetMembers(specs []Spec) error {
	p.mu.Lock()
	defer p.unlock()
	if p.closed {
		return nil
	}
	return p.setLocked(p.Settings(), specs)
}

func (p *Pool) setLocked(settings *Settings, specs []Spec) (err error) {
	keep := make(map[ID]bool, len(specs))
	for i := range specs {
		keep[specs[i].ID] = true
		specs[i].Tags = p.tagsOf(settings, specs[i].ID)
	}
	now := p.since(time.Now())
	p.core.Set(now, specs)
	for _, s := range specs {
		if p.backends[s.ID] == nil {
			p.backends[s.ID] = p.env.Backends.Get(string(s.ID))
		}
		m := p.core.Find(s.ID)
		m.place = p.backends[s.ID]
		if m.sessions != settings.Sessions {
			if m.sessions, m.cookie = settings.Sessions, nil; m.sessions != nil {
				m.cookie = m.sessions.Cookie(m.Tags[0])
			}
		}
		if e := p.env.Runner.Add(p.key(s.ID), target(s.ID), settings.Check, p.notify(s.ID)); e != nil && err == nil {
			err = e
		}
		// A check may begin with a state that its configuration names, of which no change tells.
		if st, ok := p.env.Runner.Status(p.key(s.ID)); ok && p.core.State(s.ID) == probe.Unknown && st.State != probe.Unknown {
			p.core.Checked(now, s.ID, st.State, st.Last.Detail)
		}
	}
	for id, b := range p.backends {
		if !keep[id] {
			p.env.Runner.Remove(p.key(id))
			p.env.Backends.Release(b)
			delete(p.backends, id)
		}
	}
	return err
}

// tagsOf returns what the member's sessions are told by, computed once.
func (p *Pool) tagsOf(s *Settings, id ID) []Tag {
	if s.Sessions == nil {
		return nil
	}
	if m := p.core.Find(id); m != nil && m.sessions == s.Sessions {
		return m.Tags
	}
	return s.Sessions.Tags(id)
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
		defer p.unlock()
		p.core.Checked(p.since(time.Now()), id, c.To, c.Result.Detail)
	}
}

// Choice is a seat with what is needed to use it.
type Choice struct {
	Seat   Seat
	Addr   netip.AddrPort // not valid: the member's name has no address yet
	Cookie []byte         // value of Set-Cookie that makes the client's session stick to the member; nil: it does, or there are no sessions
}

// choice adds to a seat what a request needs.
func (p *Pool) choice(s Seat, a *Ask) Choice {
	c := Choice{Seat: s}
	if m := s.Member; m != nil {
		c.Addr = m.place.Addr()
		if len(m.Tags) > 0 && (!a.Tagged || m.Tags[0] != a.Tag) {
			c.Cookie = m.cookie
		}
	}
	return c
}

// Pick chooses the member for a request; see Core.Pick. Release gives the seat back.
func (p *Pool) Pick(now time.Time, a *Ask) (c Choice, t *Ticket, o Outcome) {
	at := p.since(now)
	p.mu.Lock()
	s, t, o := p.core.Pick(at, a)
	c = p.choice(s, a)
	p.unlock()
	return c, t, o
}

// Seated returns the choice of a seat that was granted out of the queue.
func (p *Pool) Seated(s Seat, a *Ask) Choice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.choice(s, a)
}

// Cancel gives up waiting; false: the Waiter was told, or will be.
func (p *Pool) Cancel(t *Ticket) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.Cancel(t)
}

// Report says what came of a request in a seat that is kept.
func (p *Pool) Report(now time.Time, s Seat, r Result) {
	p.mu.Lock()
	p.reportLocked(p.since(now), s, r)
	p.unlock()
}

func (p *Pool) reportLocked(now time.Duration, s Seat, r Result) {
	if p.core.Report(now, s, r) {
		p.suspectLocked(s.Member)
	}
}

// Release gives a seat back. A result that was not reported yet is.
func (p *Pool) Release(now time.Time, s Seat, r Result, reported bool) {
	at := p.since(now)
	p.mu.Lock()
	if !reported {
		p.reportLocked(at, s, r)
	}
	p.core.Release(at, s)
	p.unlock()
}

// Retry reports whether one more retry is allowed, and counts it; Pick must follow.
func (p *Pool) Retry(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.Retry(p.since(now))
}

// Close stops the checks, gives the connections back and waits for its goroutines. Requests under way end as they would, and
// those that wait go on.
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
