// Package lbd is everup's load balancer: HTTP/1.1 requests go by host and path to pools of servers whose health is checked,
// and a request is not lost when one of them stops.
//
// # Who owns what
//
// The engine owns a few loops, each in a goroutine of its own, which carry all connections and ask site what to do with each request.
// Each pool has its members checked by one probe.Runner. One goroutine follows gossip, overrides and their expiry, and tells the
// vip.Manager, which has its own, how many backends there are. One looks at the files of certificates (certs.Keeper), one tells people and the fleet
// which clients ask too much (teller), one writes down who is held (keeper). Run waits for all of them. What is shared is small: the routes in force (swapped whole), the pools (each with
// its lock), what counts clients (package dos), and the service's own maps under mu.
package lbd

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/everup/everup/services/lbd/internal/accesslog"
	"github.com/everup/everup/services/lbd/internal/certs"
	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/events"
	"github.com/everup/everup/services/lbd/internal/files"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/spool"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/probe"
	"github.com/everup/everup/shared/state"
	"github.com/everup/everup/shared/vip"
)

// Config is the daemon's configuration.
type Config = config.Config

// Spec describes lbd to the floor.
func Spec() daemon.Spec[Config] {
	return daemon.Spec[Config]{
		Name: "lbd", Short: "A load balancer for HTTP that loses no request when a server stops.", Common: config.Of,
		New:      func(c *Config, env *daemon.Env) (daemon.Service[Config], error) { return New(c, env) },
		Commands: commands, Upgrades: true,
	}
}

// Service is a running load balancer.
type Service struct {
	env       *daemon.Env
	site      *site
	engine    *engine.Engine
	runner    *probe.Runner
	backends  *pool.Backends
	overrides *state.Overrides
	log       *accesslog.Log
	counters  *counters
	encoders  *encoding.Pool
	spools    *spool.Store
	events    *events.Emitter
	begun     *beginnings
	vips      *vip.Manager
	certs     *certs.Keeper
	guards    *guards
	kept      *keeper
	checked   *health.Item  // gates readiness until the first checks are done
	look      chan struct{} // something changed that refresh should see

	sessionKeys [][]byte // of the cookies of pools

	healthMu sync.Mutex // a look at a pool and the setting of its item are one step

	reloadMu sync.Mutex // one Reload or Drain at a time

	rootsMu   sync.Mutex // one look at the roots at a time
	toldRoots map[string]bool

	mu        sync.Mutex // guards what follows
	cfg       *Config
	pools     map[conf.Name]*pool.Pool
	via       map[conf.Name]*transport // of pools whose members are not spoken to plainly
	listeners []*listener
	draining  bool
	roots     roots
}

var (
	_ daemon.Service[Config] = (*Service)(nil)
	_ daemon.Replaceable     = (*Service)(nil)
)

// New binds the listeners and begins to check the pools.
func New(c *Config, env *daemon.Env) (*Service, error) {
	s := &Service{env: env, cfg: c, pools: map[conf.Name]*pool.Pool{}, backends: pool.NewBackends(), look: make(chan struct{}, 1), guards: newGuards()}
	s.roots = roots{gate: files.NewGate(c.Connections), dirs: map[string]*files.Dir{}}
	keys, err := keysOf(env)
	if err != nil {
		return nil, err
	}
	s.sessionKeys = keys.Derive("lbd-session", 32)
	overrides, err := state.OpenOverrides(env.State)
	if err != nil {
		if overrides == nil {
			return nil, err
		}
		env.Log.Error().Err(err).Msg("overrides are lost: drained members serve again")
	}
	s.overrides = overrides
	if s.vips, err = vip.New(c.Tracked(), s.vipEnv(env)); err != nil {
		return nil, err
	}
	s.certs = certs.NewKeeper(certs.Env{Keys: keys, Health: env.Health, Event: s.certificateEvent})
	s.runner = probe.NewRunner(probe.RunnerOptions{Metrics: env.Metrics})
	s.counters = newCounters()
	s.events = events.NewEmitter(env.Bus.Emit)
	s.log = accesslog.New(accesslog.Env{Node: env.Node, Stdout: os.Stdout, Metrics: env.Metrics, Health: env.Health})
	s.site = &site{told: s.counters.retry, log: s.log, counters: s.counters, ids: newSources()}
	if s.begun, err = newBeginnings(env.Metrics, env.Log); err != nil {
		return nil, err
	}
	if err := s.makeBuffers(c); err != nil {
		return nil, err
	}
	if s.engine, err = engine.New(s.engineOptions(c), s.site); err != nil {
		return nil, err
	}
	s.counters.register(env.Metrics, s)
	s.registerCertificates(env.Metrics)
	s.registerContent(env.Metrics)
	s.checked = env.Health.Item("lbd.pools.unchecked", health.Options{
		Title: "members were not checked yet", Gates: true, Pending: true,
	})
	if err := s.apply(c, nil); err != nil {
		s.end()
		return nil, err
	}
	s.kept = &keeper{
		set: &s.guards.detectors, now: s.guards.now, dir: env.State, log: env.Log,
		item: env.Health.Item("lbd.dos.unsaved", health.Options{Title: "who is held is not written down"}),
	}
	s.kept.load()
	if err := s.api(); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *Service) engineOptions(c *Config) engine.Options {
	return engine.Options{
		Workers: runtime.GOMAXPROCS(0), Limits: headLimits(c), Header: c.Timeouts.Header.Std(), Idle: c.Timeouts.Idle.Std(), Clients: c.Connections,
		Begun: s.begun.begun, Broken: s.begun.broke, Identify: identify, Encoders: s.encoders, Spools: s.spools,
		Admission: admission{&s.site.live, s.guards.connections},
		Panic: func(v any) {
			s.env.Log.Error().Interface("panic", v).Bytes("stack", debug.Stack()).Msg("BUG: an exchange failed; its connection is closed")
		},
	}
}

// Run serves until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer s.end()
	failed := make(chan error, 3)
	served := make(chan struct{})
	wg.Go(func() {
		defer close(served)
		if err := s.engine.Run(); err != nil {
			failed <- err
		}
	})
	wg.Go(func() { s.follow(ctx) })
	wg.Go(func() { s.certs.Run(ctx) })
	wg.Go(func() {
		if err := s.followDoS(ctx); err != nil {
			failed <- err
		}
	})
	wg.Go(func() { s.kept.run(ctx) })
	wg.Go(func() {
		if err := s.succeed(ctx); err != nil {
			failed <- err
		}
	})
	defer func() { <-served }() // before end
	defer s.engine.Stop()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// end ends what is left and waits for it. The engine has ended, or never ran.
func (s *Service) end() {
	s.mu.Lock()
	s.draining = true
	listeners, pools := s.listeners, s.pools
	s.listeners, s.pools = nil, nil
	s.roots.close()
	s.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	s.engine.Close()
	for _, p := range pools {
		p.Close()
	}
	s.runner.Close()
	s.backends.Close()
	s.log.Close() // it outlives the requests
}

// drainPause is how long clients that keep their connection may still send a request on it, to be told then that it closes.
const drainPause = time.Second

// Drain gives the virtual addresses to other hosts, stops accepting, tells clients with each answer that their connection closes, and waits until requests under way and
// upgraded connections have ended. What has not when ctx ends is cut: fault.Partial.
func (s *Service) Drain(ctx context.Context) error {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	s.mu.Lock()
	s.draining = true
	listeners := s.listeners
	s.mu.Unlock()
	left := s.leave(ctx)
	s.engine.Drain()
	for _, l := range listeners {
		l.Close()
	}
	pause := drainPause
	if end, ok := ctx.Deadline(); ok {
		pause = min(pause, time.Until(end)/4)
	}
	brief, cancel := context.WithTimeout(ctx, pause)
	s.engine.Wait(brief)
	cancel()
	s.engine.CloseIdle()
	if s.engine.Wait(ctx) == nil {
		return left
	}
	open, tunnels := s.engine.Open()
	s.engine.Cut()
	return errors.Join(left, fault.New(fault.Partial, "lbd: drain: %d connections were cut, %d of them upgraded", open, tunnels))
}

// Retire stops accepting, tells clients with each answer that their connection closes, and waits until all have ended. Connections without a
// request, and upgraded ones, have all the time that the configuration gives them. What has not ended when ctx does, or timeouts.retire is
// over, is cut: fault.Partial.
func (s *Service) Retire(ctx context.Context) error {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	s.mu.Lock()
	s.draining = true
	listeners, limit := s.listeners, s.cfg.Timeouts.Retire.Std()
	s.mu.Unlock()
	s.engine.Drain()
	for _, l := range listeners {
		l.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if s.engine.Wait(ctx) == nil {
		return nil
	}
	open, tunnels := s.engine.Open()
	s.engine.Cut()
	return fault.New(fault.Partial, "lbd: retire: %d connections were cut, %d of them upgraded", open, tunnels)
}

// StepAside leaves the file of who is held, and the virtual addresses, to the successor.
func (s *Service) StepAside(ctx context.Context) ([]byte, error) {
	s.kept.leave()
	return s.vips.HandOver(ctx)
}

// succeed waits until the process before this one has stepped aside, and takes over from it.
func (s *Service) succeed(ctx context.Context) error {
	told, err := s.env.Predecessor.Await(ctx)
	if err != nil {
		return nil // the daemon stops before
	}
	s.kept.begin(s.env.Predecessor != nil)
	return s.holdVIPs(ctx, told)
}

// Status is the service's part of `lbd status`.
type Status struct {
	Listen      []string      `json:"listen"`
	Connections int           `json:"connections"`
	Tunnels     int           `json:"tunnels"` // of the connections, those upgraded
	Pools       []pool.Status `json:"pools"`
	VIPs        *vip.Status   `json:"vips,omitempty"`
	// Certificates are those that end first.
	Certificates []certs.Status `json:"certificates,omitempty"`
	Summary      []vip.Line     `json:"summary,omitempty"` // for people
}

// Status returns listeners and pools.
func (s *Service) Status() any {
	open, tunnels := s.engine.Open()
	st := Status{Connections: open, Tunnels: tunnels, Pools: s.poolStatus(), Listen: []string{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		st.Listen = append(st.Listen, l.Addr().String())
	}
	if len(s.cfg.VIPs) > 0 {
		v := s.vips.Status()
		st.VIPs, st.Summary, v.Summary = &v, v.Summary, nil
	}
	first, all := s.soonest()
	st.Certificates, st.Summary = first, append(st.Summary, summaryOf(first, all)...)
	return st
}
