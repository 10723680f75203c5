package lbd

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/everup/everup/services/lbd/internal/affinity"
	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/netio"
	"github.com/everup/everup/shared/probe"
	"github.com/everup/everup/shared/vip"
)

// Reload swaps routes and pools at once; members that stay keep health and connections, requests under way end as they
// began. Listeners that stay are not touched; one that goes closes, its connections live on.
func (s *Service) Reload(_ context.Context, c *Config) error {
	s.mu.Lock()
	old, draining := s.cfg, s.draining
	s.mu.Unlock()
	if draining {
		return fault.New(fault.Unavailable, "lbd: reload: the daemon stops")
	}
	if what := needsRestart(old, c); what != "" {
		return fault.New(fault.Config, "lbd: %s changes only with a restart", what)
	}
	return s.apply(c, s.vips.Reload)
}

// needsRestart names what differs and cannot change while the daemon runs.
func needsRestart(a, b *Config) string {
	switch {
	case a.MaxHeader != b.MaxHeader:
		return "max_header"
	case a.Timeouts.Header != b.Timeouts.Header:
		return "timeouts.header"
	case a.Timeouts.Idle != b.Timeouts.Idle:
		return "timeouts.idle"
	case a.Buffers.Dir != b.Buffers.Dir:
		return "buffers.dir"
	}
	return ""
}

// apply puts c in force. What can fail comes first; on an error nothing has changed. vips takes c's virtual addresses; nil: they are there
// already.
func (s *Service) apply(c *Config, vips func(vip.Config) error) error {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	table, err := c.Table()
	if err != nil {
		return err
	}
	checkers, err := newCheckers(c)
	if err != nil {
		return err
	}
	contents, err := newContents(c)
	if err != nil {
		return err
	}
	pages, err := readPages(c)
	if err != nil {
		return err
	}
	shakes, err := handshakeRate(c)
	if err != nil {
		return err
	}
	commitCerts, err := s.prepareCerts(c)
	if err != nil {
		return err
	}
	logs, err := s.log.Prepare(logSpecs(c, s.env.Node))
	if err != nil {
		return err
	}
	limits, err := s.guards.prepare(c)
	if err != nil {
		return err
	}
	keys, err := newKeys(c)
	if err != nil {
		return err
	}
	listeners, fresh, err := s.listen(c)
	if err == nil && vips != nil {
		s.foretell(c)
		err = vips(c.Tracked())
	}
	if err != nil {
		closeAll(fresh)
		s.log.Discard(logs)
		return err
	}
	commitCerts()
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		closeAll(fresh)
		s.log.Discard(logs)
		return fault.New(fault.Unavailable, "lbd: reload: the daemon stops")
	}
	gone := s.configurePoolsLocked(c, checkers)
	s.cfg = c
	l := s.liveLocked(c, table, pages, keys, contents)
	l.guard = s.guards.configure(c, limits, s.counters.dos.limited)
	s.site.live.Store(l)
	goneListeners := s.swapListenersLocked(c, listeners, fresh)
	s.mu.Unlock()
	s.engine.SetLimit(c.Connections)
	s.engine.SetTarpits(c.Tarpits)
	s.setBuffers(c)
	s.log.Use(logs)
	s.engine.SetHandshakeRate(shakes)
	s.engine.SetHandshakes(c.Handshakes.Most)
	s.engine.SetWindows(int64(c.Buffers.Windows))
	closeAll(goneListeners)
	for _, p := range gone {
		p.Close()
		s.forgetPool(p.Name())
	}
	s.announce(listeners)
	s.lookAtRoots(time.Now())
	s.refreshMaintenance(time.Now())
	s.refreshHealth()
	s.forgetTraffic()
	return nil
}

// newCheckers makes every pool's checker, which finds what is wrong with it.
func newCheckers(c *Config) (map[conf.Name]probe.Checker, error) {
	out := make(map[conf.Name]probe.Checker, len(c.Pools))
	for name, p := range c.Pools {
		k, err := probe.New(checkOf(p))
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "lbd: pools.%s.check", name)
		}
		out[name] = k
	}
	return out, nil
}

// checkOf returns the pool's check, by default a TCP connection.
func checkOf(p *config.Pool) probe.Config {
	if p.Check != nil {
		return *p.Check
	}
	var c probe.Config
	conf.SetDefaults(&c)
	return c
}

// configurePoolsLocked makes, changes and takes out pools. It returns those that no route reaches any more.
func (s *Service) configurePoolsLocked(c *Config, checkers map[conf.Name]probe.Checker) (gone []*pool.Pool) {
	view := s.env.Fleet.View()
	for name, pc := range c.Pools {
		p := s.pools[name]
		if p == nil {
			p = pool.New(string(name), pool.Env{Runner: s.runner, Backends: s.backends, Event: s.event})
			s.pools[name] = p
		}
		if err := p.Configure(settings(pc, s.sessionsOf(name, pc)), checkers[name], s.specs(name, pc, p, view)); err != nil {
			s.env.Log.Error().Err(err).Str("pool", string(name)).Msg("some members are not checked")
		}
	}
	for name, p := range s.pools {
		if c.Pools[name] == nil {
			gone = append(gone, p)
			delete(s.pools, name)
		}
	}
	return gone
}

// liveLocked is what requests from now on see.
func (s *Service) liveLocked(c *Config, table *rule.Table, pages *pages, keys map[conf.Name]*affinity.Key, contents *contents) *live {
	now := time.Now()
	l := &live{
		table: table, trusted: c.Proxies(), reasonHeader: c.ReasonHeader, acceptID: c.RequestID.Accept, answerID: c.RequestID.Answer,
		pages: pages.all, shut: shutOf(c, pages.maintenance, s.overrides.List(now)),
		read: c.Timeouts.Read.Std(), write: c.Timeouts.Write.Std(), tunnel: c.Timeouts.Tunnel.Std(),
	}
	l.noRoute = way{cell: s.counters.traffic.Route("")}
	for i := range c.Routes {
		name := nameOf(c.Routes[i].Name, i)
		l.routes = append(l.routes, way{name, s.counters.traffic.Route(name)})
	}
	via, backs := map[conf.Name]*transport{}, c.Backs()
	for _, n := range c.PoolNames() {
		name := conf.Name(n)
		f := &c.Pools[name].Forwarded
		g := &group{
			Pool: s.pools[name], traffic: s.counters.traffic.Pool(n), content: contents.pools[n],
			key: keys[name], read: c.Pools[name].Read.Std(), inform: f.Inform(), beginsTraces: f.Enabled && f.Trace == "make", sampled: f.Sampled,
		}
		if t := s.transportOf(name, c.Pools[name], backs[n]); t != nil {
			via[name], g.via = t, &t.Transport
		}
		g.sessions, _ = g.Settings().Sessions.(*affinity.Sessions)
		l.groups = append(l.groups, g)
	}
	for i := range c.Routes {
		l.priorities = append(l.priorities, uint8(c.Routes[i].Priority))
	}
	s.via = via
	s.roots.gate.SetLimit(c.Connections)
	for i, tree := range s.roots.configure(c.Routes, now) {
		l.own = append(l.own, liveRoute{tree, contents.files[i], pages.routes[i], c.Routes[i].Intercept})
	}
	return l
}

func closeAll(listeners []*listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// listen returns the listeners of c, those open already and fresh ones, these also on an error.
func (s *Service) listen(c *Config) (all, fresh []*listener, err error) {
	s.mu.Lock()
	have := slices.Clone(s.listeners)
	s.mu.Unlock()
	taken := map[string]bool{}
	for _, l := range have {
		taken[l.name] = true
	}
	for i := range c.Listen {
		a := c.Listen[i].Addr
		if i := slices.IndexFunc(have, func(l *listener) bool { return l.want == string(a) }); i >= 0 {
			all = append(all, have[i])
			continue
		}
		name := freeName(taken)
		ln, err := s.env.Net.Listen(name, "tcp", string(a), netio.Options{FreeBind: c.Virtual(a)})
		if err != nil {
			return nil, fresh, err
		}
		taken[name] = true
		l := &listener{Listener: ln, name: name, want: string(a)}
		all, fresh = append(all, l), append(fresh, l)
		if err := l.open(s.engine); err != nil {
			return nil, fresh, err
		}
	}
	return all, fresh, nil
}

// freeName returns the first of http-0, http-1, … that is not taken: names are stable for socket activation.
func freeName(taken map[string]bool) string {
	for i := 0; ; i++ {
		if name := "http-" + strconv.Itoa(i); !taken[name] {
			return name
		}
	}
}

// swapListenersLocked puts all in force, serves the fresh ones and returns those that are to be closed.
func (s *Service) swapListenersLocked(c *Config, all, fresh []*listener) (gone []*listener) {
	for _, l := range s.listeners {
		if !slices.Contains(all, l) {
			gone = append(gone, l)
		}
	}
	s.listeners = all
	for i, l := range all { // in the order of the configuration
		l.begin(s.openingOf(c, &c.Listen[i]))
	}
	for _, l := range fresh {
		l.serve(s.engine)
	}
	return gone
}

// announce tells the fleet where HTTP is served, with TLS or without. A wildcard address is told as the address gossip uses.
func (s *Service) announce(listeners []*listener) {
	var ends []member.Endpoint
	for _, l := range listeners {
		at, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil {
			continue
		}
		if at.Addr().IsUnspecified() && s.env.Fleet.Addr().IsValid() {
			at = netip.AddrPortFrom(s.env.Fleet.Addr().Addr(), at.Port())
		}
		name := "http"
		if l.how.TLS != nil {
			name = "https"
		}
		ends = append(ends, member.Endpoint{Name: name, Proto: "tcp", Addr: at})
	}
	s.env.Announce(func(a *member.Announcement) { a.Endpoints = ends })
}
