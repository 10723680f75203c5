package lbd

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/probe"
)

const (
	lookEvery     = time.Second           // overrides expire
	firstLook     = 50 * time.Millisecond // until the first checks are done
	gossipPause   = 2 * time.Second       // the fleet's time to tell of the first members
	firstAtMost   = 15 * time.Second
	maxFromGossip = 256 // members of a pool from gossip
)

// fieldState and fieldWeight are what an override may change of a member.
const (
	fieldState  = "state"
	fieldWeight = "weight"
	drained     = "drain"
	drainedAll  = "drain-sessions" // its sessions, too
)

// objectOf names a member in overrides and events.
func objectOf(name string, id pool.ID) string { return "pool/" + name + "/member/" + string(id) }

// specs returns the members of a pool: those of the configuration, then those of gossip, with overrides applied.
func (s *Service) specs(name conf.Name, c *config.Pool, p *pool.Pool, v member.View) []pool.Spec {
	var out []pool.Spec
	for _, m := range c.Members {
		out = append(out, pool.Spec{ID: pool.ID(m.Addr), Weight: m.Weight, Backup: m.Backup, MaxRequests: cmp.Or(m.Requests, c.PerMember)})
	}
	if c.From != nil {
		for _, g := range fromGossip(c.From, v, func(id pool.ID) bool { return p.State(id) == probe.Up }) {
			if !slices.ContainsFunc(out, func(o pool.Spec) bool { return o.ID == g.ID }) && len(out) < len(c.Members)+maxFromGossip {
				g.MaxRequests = c.PerMember
				out = append(out, g)
			}
		}
	}
	now := time.Now()
	for i := range out {
		object := objectOf(string(name), out[i].ID)
		if v, ok := s.overrides.Get(now, object, fieldState); ok {
			out[i].Drain = max(out[i].Drain, s.drainBy(now, object, v, c))
		}
		if v, ok := s.overrides.Get(now, object, fieldWeight); ok {
			if w, err := strconv.Atoi(v); err == nil {
				out[i].Weight = w
			}
		}
	}
	return out
}

// fromGossip returns the members that a service's daemons make, in the order of their ids. One that gossip holds for dead stays
// while its own check passes: gossip advises, the check decides. One that said good-bye goes.
func fromGossip(f *config.From, v member.View, up func(pool.ID) bool) []pool.Spec {
	var out []pool.Spec
	for _, m := range v.Members {
		if m.Service != f.Service || m.State == member.Left {
			continue
		}
		for _, e := range m.Endpoints {
			id := pool.ID(e.Addr.String())
			if e.Name != f.Endpoint || e.Proto != "tcp" || m.State != member.Alive && !up(id) {
				continue
			}
			out = append(out, pool.Spec{ID: id, Weight: int(m.Weight), Drain: drainOf(m)})
		}
	}
	return out
}

// drainBy is how far an operator has taken a member out: sessions stay, unless they were to go, or have had their time.
func (s *Service) drainBy(now time.Time, object, value string, c *config.Pool) pool.Drain {
	switch {
	case value == drainedAll:
		return pool.Drained
	case value != drained:
		return pool.Serving
	case c.Sticky == nil || c.Sticky.DrainTimeout == 0:
		return pool.Draining
	}
	for _, o := range s.overrides.List(now) {
		if o.Object == object && o.Field == fieldState && now.Sub(o.Since) >= c.Sticky.DrainTimeout.Std() {
			return pool.Drained
		}
	}
	return pool.Draining
}

// drainOf is how far a member that says itself that it drains is taken out: it is about to end, so that its sessions go, too.
func drainOf(m member.Member) pool.Drain {
	if m.Draining {
		return pool.Drained
	}
	return pool.Serving
}

// follow keeps members and health in step with gossip, overrides and checks until ctx ends.
func (s *Service) follow(ctx context.Context) {
	view, cancel := s.env.Fleet.Watch()
	defer cancel()
	started := time.Now()
	first, every := time.NewTicker(firstLook), time.NewTicker(lookEvery)
	defer first.Stop()
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-view:
			s.refresh()
		case <-s.look:
			s.refresh()
		case now := <-every.C:
			s.lookAtRoots(now)
			s.refresh()
			s.events.Tick()
		case now := <-first.C:
			if s.firstRoundDone(now.Sub(started)) {
				s.checked.OK()
				s.tellBackends()
				s.vips.Ready()
				first.Stop()
			}
		}
	}
}

// firstRoundDone reports whether every member has had its first check, or had the time for it.
func (s *Service) firstRoundDone(ran time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, p := range s.pools {
		c := s.cfg.Pools[name]
		n := p.Counts()
		patience := min(checkOf(c).Timeout.Std()+gossipPause, firstAtMost)
		if waits := n.Unchecked > 0 || n.Members == 0 && c.From != nil; waits && ran < patience {
			return false
		}
	}
	return true
}

// refresh computes all members anew.
func (s *Service) refresh() {
	view := s.env.Fleet.View()
	s.mu.Lock()
	for name, p := range s.pools {
		if err := p.SetMembers(s.specs(name, s.cfg.Pools[name], p, view)); err != nil {
			s.env.Log.Error().Err(err).Str("pool", string(name)).Msg("some members are not checked")
		}
	}
	s.mu.Unlock()
	s.refreshMaintenance(time.Now())
	s.refreshHealth()
	s.forgetTraffic()
}

// event is told what happened in a pool.
func (s *Service) event(p *pool.Pool, e pool.Event) {
	object := "pool/" + p.Name()
	if e.Member != "" {
		object = objectOf(p.Name(), e.Member)
	}
	s.env.Log.Info().Str("pool", p.Name()).Str("member", string(e.Member)).Str("detail", e.Detail).Msg(e.Kind)
	s.events.Emit(e.Kind, object, map[string]any{"pool": p.Name(), "member": string(e.Member), "detail": e.Detail})
	s.poolHealth(p)
	select {
	case s.look <- struct{}{}:
	default: // a look is already due
	}
}

// refreshHealth sets every pool's item.
func (s *Service) refreshHealth() {
	for _, p := range s.poolList() {
		s.poolHealth(p)
	}
	s.tellBackends()
}

func noMembers(name string) string { return "lbd.pool.no-members." + name }

func inPanic(name string) string { return "lbd.pool.panic." + name }

// poolHealth sets a pool's item. It does not gate readiness: the other pools still serve.
func (s *Service) poolHealth(p *pool.Pool) {
	s.healthMu.Lock()
	defer s.healthMu.Unlock()
	item := s.env.Health.Item(noMembers(p.Name()), health.Options{Title: "pool " + p.Name() + " has no member that may serve"})
	panics := s.env.Health.Item(inPanic(p.Name()), health.Options{Title: "pool " + p.Name() + " uses members that are not well"})
	n := p.Counts()
	if n.Panic {
		panics.Warn(strconv.Itoa(n.Well)+" of "+strconv.Itoa(n.Members)+" members are well, which is below panic_threshold", "see why: lbd pool list")
	} else {
		panics.OK()
	}
	switch {
	case n.Usable > 0:
		item.OK()
	case n.Members == 0:
		item.Fail("it has no members", "see whether the service it takes members from runs: everup status")
	default:
		item.Fail(strconv.Itoa(n.Members)+" members, none may serve", "see why: lbd pool list")
	}
}

// forgetPool removes what is kept of a pool that is gone.
func (s *Service) forgetPool(name string) {
	s.healthMu.Lock()
	defer s.healthMu.Unlock()
	s.env.Health.Remove(noMembers(name))
	s.env.Health.Remove(inPanic(name))
	s.vips.Set(valueOf(name), 0)
}
