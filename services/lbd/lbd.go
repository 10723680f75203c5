// Package lbd is everup's load balancer: HTTP/1.1 requests go by host and path to pools of servers whose health is checked,
// and a request is not lost when one of them stops.
//
// # Who owns what
//
// The http.Server owns a goroutine for each client connection; package proxy answers in it. Each pool has its members checked
// by one probe.Runner. One goroutine follows gossip, overrides and their expiry, and tells the vip.Manager, which has its own, how many
// backends there are. Run waits for all of them. What is shared
// is small: the routes in force (swapped whole), the pools (each with its lock), and the service's own maps under mu.
package lbd

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/everup/everup/services/lbd/internal/accesslog"
	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/guard"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/proxy"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/logx"
	"github.com/everup/everup/shared/probe"
	"github.com/everup/everup/shared/state"
	"github.com/everup/everup/shared/syslog"
	"github.com/everup/everup/shared/vip"
	"github.com/rs/zerolog"
)

// Config is the daemon's configuration.
type Config = config.Config

// Spec describes lbd to the floor.
func Spec() daemon.Spec[Config] {
	return daemon.Spec[Config]{
		Name: "lbd", Short: "A load balancer for HTTP that loses no request when a server stops.", Common: config.Of,
		New:      func(c *Config, env *daemon.Env) (daemon.Service[Config], error) { return New(c, env) },
		Commands: commands,
	}
}

// Service is a running load balancer.
type Service struct {
	env       *daemon.Env
	handler   *proxy.Handler
	server    *http.Server
	runner    *probe.Runner
	backends  *pool.Backends
	overrides *state.Overrides
	log       *accesslog.Log
	gate      *gate
	counters  counters
	vips      *vip.Manager
	checked   *health.Item  // gates readiness until the first checks are done
	look      chan struct{} // something changed that refresh should see
	base      context.Context
	cancel    context.CancelFunc // ends base, the parent of all requests
	serving   sync.WaitGroup     // Serve calls
	failed    chan error         // a listener's failure

	healthMu sync.Mutex // a look at a pool and the setting of its item are one step

	reloadMu sync.Mutex // one Reload or Drain at a time

	mu        sync.Mutex // guards what follows
	cfg       *Config
	pools     map[conf.Name]*pool.Pool
	listeners []*listener
	running   bool // listeners are served
	draining  bool
}

var _ daemon.Service[Config] = (*Service)(nil)

// New binds the listeners and begins to check the pools.
func New(c *Config, env *daemon.Env) (*Service, error) {
	s := &Service{
		env: env, cfg: c, pools: map[conf.Name]*pool.Pool{}, backends: pool.NewBackends(), gate: newGate(c.Connections),
		look: make(chan struct{}, 1), failed: make(chan error, 1),
	}
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
	s.base, s.cancel = context.WithCancel(context.Background())
	s.runner = probe.NewRunner(probe.RunnerOptions{Metrics: env.Metrics})
	s.counters.register(env.Metrics, s)
	s.log = newAccessLog(c.AccessLog, env)
	s.handler = &proxy.Handler{Done: s.done, Retried: s.counters.retry, Panic: s.panicked}
	s.server = newServer(c, s.handler, s.base, &env.Log)
	s.checked = env.Health.Item("lbd.pools.unchecked", health.Options{
		Title: "members were not checked yet", Gates: true, Pending: true,
	})
	if err := s.apply(c, nil); err != nil {
		s.release()
		return nil, err
	}
	if err := s.api(); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func newServer(c *Config, h http.Handler, base context.Context, log *zerolog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: c.Timeouts.Header.Std(), IdleTimeout: c.Timeouts.Idle.Std(),
		MaxHeaderBytes: int(c.MaxHeader), ErrorLog: logx.Std(logx.Comp(*log, "http"), zerolog.DebugLevel),
		BaseContext: func(net.Listener) context.Context { return base },
		ConnContext: guard.NewContext,
	}
}

func newAccessLog(c config.AccessLog, env *daemon.Env) *accesslog.Log {
	var sender *syslog.Sender
	if c.Syslog != "" {
		sender = syslog.NewSender(string(c.Syslog), syslog.Env{Metrics: env.Metrics, Health: env.Health})
	}
	var out io.Writer
	if c.Stdout {
		out = os.Stdout
	}
	return accesslog.New(env.Node, sender, out, env.Metrics)
}

// Run serves until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	logged, endLog := context.WithCancel(context.Background()) // the log outlives the requests
	defer endLog()
	wg.Go(func() { s.log.Run(logged) })
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer s.release()
	s.mu.Lock()
	s.running = true
	for _, l := range s.listeners {
		s.serveLocked(l)
	}
	s.mu.Unlock()
	wg.Go(func() { s.follow(ctx) })
	wg.Go(func() { s.fail(s.vips.Run(ctx)) })
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// serveLocked serves l in a goroutine of its own until it is closed.
func (s *Service) serveLocked(l *listener) {
	s.serving.Go(func() {
		err := s.server.Serve(l)
		if l.isClosed() || errors.Is(err, http.ErrServerClosed) {
			return
		}
		s.fail(fault.Wrap(fault.Internal, err, "lbd: accept on %s", l.want))
	})
}

// fail ends the service with err; nil does nothing. The first failure counts.
func (s *Service) fail(err error) {
	if err == nil {
		return
	}
	select {
	case s.failed <- err:
	default:
	}
}

// release ends what is left and waits for it.
func (s *Service) release() {
	s.cancel()
	s.mu.Lock()
	s.draining = true
	listeners, pools := s.listeners, s.pools
	s.listeners, s.pools = nil, nil
	s.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	s.server.Close()
	s.handler.Tunnels.CloseAll()
	s.handler.Wait()
	s.serving.Wait()
	for _, p := range pools {
		p.Close()
	}
	s.runner.Close()
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
	s.handler.Close()
	for _, l := range listeners {
		l.Close()
	}
	pause := drainPause
	if end, ok := ctx.Deadline(); ok {
		pause = min(pause, time.Until(end)/4)
	}
	wait(ctx, s.gate.empty(), pause)
	err := s.server.Shutdown(ctx)
	if err == nil {
		err = s.handler.Tunnels.Wait(ctx)
	}
	if err == nil {
		return left
	}
	open, _, _ := s.gate.counts()
	tunnels := s.handler.Tunnels.Len()
	s.handler.Tunnels.CloseAll()
	s.server.Close()
	return errors.Join(left, fault.New(fault.Partial, "lbd: drain: %d connections were cut, %d of them upgraded", open, tunnels))
}

// wait waits for done, at most for d.
func wait(ctx context.Context, done <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
}

// Status is the service's part of `lbd status`.
type Status struct {
	Listen      []string      `json:"listen"`
	Connections int           `json:"connections"`
	Tunnels     int           `json:"tunnels"` // of the connections, those upgraded
	Pools       []pool.Status `json:"pools"`
	VIPs        *vip.Status   `json:"vips,omitempty"`
	Summary     []vip.Line    `json:"summary,omitempty"` // for people
}

// Status returns listeners and pools.
func (s *Service) Status() any {
	open, _, _ := s.gate.counts()
	st := Status{Connections: open, Tunnels: s.handler.Tunnels.Len(), Pools: s.poolStatus(), Listen: []string{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		st.Listen = append(st.Listen, l.Addr().String())
	}
	if len(s.cfg.VIPs) > 0 {
		v := s.vips.Status()
		st.VIPs, st.Summary, v.Summary = &v, v.Summary, nil
	}
	return st
}

func (s *Service) panicked(v any) {
	s.env.Log.Error().Interface("panic", v).Msg("BUG: an exchange failed; its connection is closed")
}
