// Package cached is everup's memcached: items in memory, bounded, evicted by least recent use, spoken to by memcached's text
// protocol.
//
// # Who owns what
//
// Each listener has an accepting goroutine, each client one of its own; Run waits for all of them. The engine is the
// only shared state. The number of connections is bounded by configuration: one more is told so and closed. A client
// that does not read its answers is cut off after write_timeout; what it can hold until then is bounded by one reply buffer and
// the values it asked for in one line.
package cached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/config"
	engine "github.com/everup/everup/services/cached/internal/oldengine"
	text "github.com/everup/everup/services/cached/internal/oldtext"
	"github.com/everup/everup/shared/buildinfo"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/netio"
)

// Config is the daemon's configuration.
type Config = config.Config

// Spec describes cached to the floor.
func Spec() daemon.Spec[Config] {
	return daemon.Spec[Config]{
		Name: "cached", Short: "An in-memory cache that speaks memcached's text protocol.", Common: config.Of,
		New: func(c *Config, env *daemon.Env) (daemon.Service[Config], error) { return New(c, env) },
	}
}

// Service is a running cache.
type Service struct {
	env       *daemon.Env
	store     *engine.Store
	listeners []net.Listener
	started   time.Time
	opts      text.Options
	counters  counters

	limit     atomic.Int64 // connections at once
	wg        sync.WaitGroup
	accepting *health.Item

	mu       sync.Mutex
	cfg      Config
	conns    map[*text.Conn]struct{}
	draining bool
}

var _ daemon.Service[Config] = (*Service)(nil)

// New binds the listeners.
func New(c *Config, env *daemon.Env) (*Service, error) {
	s := &Service{
		env: env, cfg: *c, started: time.Now(), store: engine.New(int64(c.Memory), int64(c.MaxItem)),
		conns:     map[*text.Conn]struct{}{},
		accepting: env.Health.Item("cached.accept", health.Options{Title: "connections cannot be accepted"}),
	}
	s.limit.Store(int64(c.Connections))
	s.counters.register(env.Metrics, s.store, s.connections)
	s.opts = text.Options{
		Idle: c.Idle.Std(), Write: c.Write.Std(), Now: func() int64 { return time.Now().Unix() },
		Stats: s.stats, Flushed: s.flushed, Count: s.counters.command, Version: protocolVersion(),
	}
	var ends []member.Endpoint
	for i, a := range c.Listen {
		ln, err := listen(env.Net, i, a)
		if err != nil {
			s.closeListeners()
			return nil, err
		}
		s.listeners = append(s.listeners, ln)
		if at, err := netip.ParseAddrPort(ln.Addr().String()); err == nil {
			ends = append(ends, member.Endpoint{Name: "memcached", Proto: "tcp", Addr: at})
		}
	}
	env.Announce(func(a *member.Announcement) { a.Endpoints = ends })
	return s, env.Bus.Handle("flush", "Forget every item.", func(context.Context, string, []byte) (any, error) {
		now := s.opts.Now()
		s.store.Flush(now, now)
		s.flushed(0)
		return map[string]bool{"flushed": true}, nil
	})
}

func listen(set *netio.Set, i int, a conf.Addr) (net.Listener, error) {
	name := "memcached-" + strconv.Itoa(i)
	if path, ok := a.Unix(); ok {
		return set.Listen(name, "unix", path, netio.Options{Perm: 0o660})
	}
	return set.Listen(name, "tcp", string(a), netio.Options{})
}

// protocolVersion is what `version` answers: clients compare it with memcached's, so it begins with a number.
func protocolVersion() string { return "1.6.18-everup-" + buildinfo.Read().Version }

// Run serves until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	defer s.wg.Wait()
	defer s.endAll()
	for _, ln := range s.listeners {
		s.wg.Go(func() { s.accept(ctx, ln) })
	}
	s.wg.Go(func() { s.sweep(ctx) })
	<-ctx.Done()
	return nil
}

// acceptPause is waited after a failed accept, so that being out of descriptors costs no CPU.
const acceptPause = 20 * time.Millisecond

// accept takes connections until the listener closes. What makes accepting fail, being out of descriptors most of all, may
// pass: it is shown, and tried again.
func (s *Service) accept(ctx context.Context, ln net.Listener) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		c, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.accepting.Fail(err.Error(), "raise LimitNOFILE of the unit, or lower connections")
			pause.Reset(acceptPause)
			select {
			case <-pause.C:
			case <-ctx.Done():
				return
			}
			continue
		}
		s.accepting.OK()
		s.welcome(c)
	}
}

// welcome serves c, unless there is no room for it.
func (s *Service) welcome(c net.Conn) {
	if conn := s.admit(c); conn != nil {
		s.counters.accepted.Inc()
		s.wg.Go(func() { s.serve(conn, c.RemoteAddr()) })
		return
	}
	s.counters.refused.Inc()
	c.SetWriteDeadline(time.Now().Add(time.Second))
	io.WriteString(c, "ERROR Too many open connections\r\n")
	c.Close()
}

// admit counts c in; nil when there is no room or the daemon drains.
func (s *Service) admit(c net.Conn) *text.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || int64(len(s.conns)) >= s.limit.Load() {
		return nil
	}
	conn := text.NewConn(c, s.store, s.opts)
	s.conns[conn] = struct{}{}
	return conn
}

func (s *Service) serve(c *text.Conn, client net.Addr) {
	defer func() {
		if p := recover(); p != nil {
			s.env.Log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).
				Msg("BUG: a connection's goroutine failed; the connection is closed")
		}
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	if err := c.Serve(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.env.Log.Debug().Err(err).Stringer("client", client).Msg("connection ended")
	}
}

// sweepEvery and sweepItems bound the work of taking back dead items: the least recently used are looked at first.
const (
	sweepEvery = time.Second
	sweepItems = 10_000
)

func (s *Service) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.store.Expire(s.opts.Now(), sweepItems)
		}
	}
}

// Reload takes new sizes and time-outs; open connections keep their time-outs. Other addresses need a restart.
func (s *Service) Reload(_ context.Context, c *Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.cfg.Listen, c.Listen) || c.MaxItem != s.cfg.MaxItem {
		return fault.New(fault.Config, "cached: listen and max_item change only with a restart")
	}
	s.store.SetLimit(int64(c.Memory))
	s.limit.Store(int64(c.Connections))
	s.opts.Idle, s.opts.Write = c.Idle.Std(), c.Write.Std()
	s.cfg = *c
	return nil
}

// drainPause is how long a client may still send commands once the daemon drains.
const drainPause = 50 * time.Millisecond

// Drain stops accepting. A cache's clients hold their connections for ever, so each gets drainPause to send the rest of what
// it is sending; a command being answered ends first.
func (s *Service) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	last := time.Now().Add(drainPause)
	for c := range s.conns {
		c.EndAt(last)
	}
	s.mu.Unlock()
	s.closeListeners()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.connections() > 0 {
		select {
		case <-ctx.Done():
			return fault.New(fault.Partial, "cached: drain: %d connections were cut", s.connections())
		case <-tick.C:
		}
	}
	return nil
}

func (s *Service) closeListeners() {
	for _, ln := range s.listeners {
		ln.Close()
	}
}

// endAll cuts what is left.
func (s *Service) endAll() {
	s.closeListeners()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for c := range s.conns {
		c.Close()
	}
}

func (s *Service) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Service) flushed(delay int64) {
	s.env.Bus.Emit("cache-flushed", "", map[string]int64{"delay_s": delay})
}

// Status is the service's part of `cached status`.
type Status struct {
	Listen      []string     `json:"listen"`
	Connections int          `json:"connections"`
	Engine      engine.Stats `json:"engine"`
}

// Status returns sizes and counters.
func (s *Service) Status() any {
	st := Status{Connections: s.connections(), Engine: s.store.Stats()}
	for _, ln := range s.listeners {
		st.Listen = append(st.Listen, ln.Addr().String())
	}
	return st
}

// stats are the lines of the command stats, in memcached's order and names.
func (s *Service) stats() [][2]string {
	st := s.store.Stats()
	u := func(n uint64) string { return strconv.FormatUint(n, 10) }
	now := time.Now()
	return [][2]string{
		{"pid", strconv.Itoa(os.Getpid())},
		{"uptime", strconv.FormatInt(int64(now.Sub(s.started).Seconds()), 10)},
		{"time", strconv.FormatInt(now.Unix(), 10)},
		{"version", protocolVersion()},
		{"pointer_size", "64"},
		{"curr_connections", strconv.Itoa(s.connections())},
		{"total_connections", u(s.counters.accepted.Value())},
		{"rejected_connections", u(s.counters.refused.Value())},
		{"cmd_get", u(st.GetHits + st.GetMisses)},
		{"cmd_set", u(s.counters.sets())},
		{"cmd_flush", u(st.Flushes)},
		{"get_hits", u(st.GetHits)},
		{"get_misses", u(st.GetMisses)},
		{"get_expired", u(st.GetExpired)},
		{"limit_maxbytes", strconv.FormatInt(st.Limit, 10)},
		{"bytes", strconv.FormatInt(st.Bytes, 10)},
		{"curr_items", strconv.Itoa(st.Items)},
		{"total_items", u(st.Total)},
		{"evictions", u(st.Evictions)},
		{"reclaimed", u(st.Reclaimed)},
	}
}
