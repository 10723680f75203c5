// Package cached is everup's memcached: the same protocols, options and statistics, over an engine whose memory the collector never
// sees, with a policy of eviction that suits itself to the traffic, restarts that keep the items, and a place in the fleet.
//
// # Who owns what
//
// The engine (package engine) is the only shared state. Plain connections live on event loops (package loop), TLS connections on a
// goroutine each (package stream), datagrams on one thread for each socket (package udp); all of them carry sessions of the
// protocols: text, binary, resp. Run starts the carriers and the keeper, which ticks the
// clock, sweeps out the expired and feeds package insight, and waits for all. The watchers' hub (package watch) and the publisher (package
// spread) have a goroutine each while they are needed.
//
// # Bounds
//
// Items: Config.Memory, held by the engine. Connections of all carriers: Config.Connections, by one gate. What a connection may hold: see
// packages session and loop. Watchers, dumps, waiting changes, followed keys: fixed numbers, stated where they are kept.
package cached

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/config"
	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/loop"
	"github.com/everup/everup/services/cached/internal/resp"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/spread"
	"github.com/everup/everup/services/cached/internal/stream"
	"github.com/everup/everup/services/cached/internal/udp"
	"github.com/everup/everup/services/cached/internal/watch"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
)

// Config is the daemon's configuration.
type Config = config.Config

// Spec describes cached to the floor.
func Spec() daemon.Spec[Config] { return spec(front{}) }

func spec(f front) daemon.Spec[Config] {
	return daemon.Spec[Config]{
		Name: "cached", Short: "An in-memory cache that speaks memcached's protocols, and Redis's.", Common: config.Of,
		New:      func(c *Config, env *daemon.Env) (daemon.Service[Config], error) { return open(c, env, f) },
		Commands: commands, Amend: amend,
	}
}

// Service is a running cache.
type Service struct {
	env   *daemon.Env
	front front
	start time.Time

	store     *engine.Store
	sessions  session.Env
	gate      *conns.Gate
	loops     *loop.Group
	tls       *stream.Server // nil without TLS
	certs     *stream.Certs  // nil without TLS
	redis     *resp.Service  // nil without RESP
	datagrams *udp.Server    // nil without UDP
	beside    []*datagrams   // one for each socket of it
	logins    *logins        // nil without users
	watchers  *watch.Hub
	events    *spread.Publisher
	insight   *observer
	bound     []bound
	sockets   []net.Listener // of the carriers
	closers   []func()

	accepting, exposed *health.Item

	figures []member.Figure // that the fleet was told; the keeper's alone

	verbosity atomic.Int64 // as `stats settings` shows it

	mu      sync.Mutex // guards what follows; held for no longer than a copy takes, for the event loops wait for it
	cfg     Config
	failing int // carriers that cannot accept
}

var _ daemon.Service[Config] = (*Service)(nil)

// New makes the cache and binds its sockets.
func New(c *Config, env *daemon.Env) (*Service, error) { return open(c, env, front{}) }

// open makes the cache. What was opened is closed again when it fails.
func open(c *Config, env *daemon.Env, f front) (_ *Service, err error) {
	s := &Service{
		env: env, front: f, cfg: *c, start: time.Now(),
		accepting: env.Health.Item("cached.accept", health.Options{Title: "connections cannot be accepted"}),
		exposed:   env.Health.Item("cached.exposed", health.Options{Title: "anybody may use the cache"}),
	}
	s.verbosity.Store(int64(f.verbosity))
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, step := range []func() error{s.openStore, s.openUsers, s.openSessions, s.openPlain, s.openTLS, s.openUDP, s.openBus} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	s.sortBound()
	s.tellExposed()
	s.announce()
	s.register()
	return s, f.opened(s)
}

// config is the configuration in force.
func (s *Service) config() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// close releases what open made, newest first.
func (s *Service) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
	s.closers = nil
}

// threads is the number of event loops.
func threads(c *Config) int {
	if c.Threads > 0 {
		return c.Threads
	}
	return runtime.NumCPU()
}

// openStore makes the engine, with what a run before left.
func (s *Service) openStore() error {
	c := &s.cfg
	s.insight = newObserver()
	store, err := engine.New(engine.Options{
		Memory: int64(c.Memory), MaxItem: int64(c.MaxItem), NoEvict: !c.Evict, NoCAS: !c.CAS,
		Threads: threads(c), File: c.Warm, Tap: s.insight, Evicted: s.evicted,
	})
	if err != nil {
		return err
	}
	s.store = store
	// What the first second brings counts, too.
	st := store.Stats()
	s.insight.windows.Tick(s.start.Unix(), st.Counts[engine.GetHits], st.Counts[engine.GetMisses])
	store.Sample(s.insight.curve.Threshold(), hotEvery)
	s.closers = append(s.closers, func() {
		if err := store.Close(); err != nil {
			s.env.Log.Error().Err(err).Msg("the items were not kept for the next start")
		}
	})
	s.tellRecovery()
	return nil
}

// tellRecovery says what became of the items of the run before.
func (s *Service) tellRecovery() {
	if s.cfg.Warm == "" {
		return
	}
	r := s.store.Recovery()
	item := s.env.Health.Item("cached.cold", health.Options{Title: "the cache started empty"})
	if !r.Kept && r.Reason != engine.NoFile {
		item.Warn(r.Reason, "this clears with the next restart that keeps the items")
	}
	s.env.Log.Info().Bool("kept", r.Kept).Int64("items", r.Items).Dur("took", r.Took).Str("empty_because", r.Reason).Msg("warm restart")
	s.env.Bus.Emit("cache-restarted", "", map[string]any{"items": r.Items, "took_ms": r.Took.Milliseconds(), "empty_because": r.Reason})
}

// openUsers reads the users.
func (s *Service) openUsers() (err error) {
	if s.cfg.Auth != nil {
		s.logins, err = newLogins(s.cfg.Auth, s.env.Log)
	}
	return err
}

// Run serves until ctx ends or a carrier cannot go on, then cuts what is left and keeps the items.
func (s *Service) Run(ctx context.Context) error {
	c := s.config()
	if n := loop.Procs(threads(&c)); runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n) // never lowered: others in this process may need it
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	errs := make(chan error, len(s.beside)+2)
	carry := func(run func(context.Context) error) {
		wg.Go(func() {
			defer cancel() // one that cannot go on takes the others along
			errs <- run(ctx)
		})
	}
	carry(s.loops.Run)
	if s.tls != nil {
		carry(s.tls.Run)
	}
	for _, c := range s.beside {
		carry(c.Run)
	}
	keep, endKeep := context.WithCancel(context.Background())
	var keeper sync.WaitGroup
	keeper.Go(func() { s.keep(keep) })
	keeper.Go(func() { s.events.Run(keep) })
	wg.Wait()
	endKeep()
	keeper.Wait()
	s.close()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// drainPause is how long a client may still send commands once the daemon drains: a cache's clients hold their connections for ever.
const drainPause = 50 * time.Millisecond

// Drain stops accepting and ends each connection where it would wait for more.
func (s *Service) Drain(ctx context.Context) error {
	for _, ln := range s.sockets {
		ln.Close() // the event loops have descriptors of their own, which they close as they drain
	}
	var wg sync.WaitGroup
	errs := make([]error, 2)
	drain := func(i int, f func(context.Context) error) { wg.Go(func() { errs[i] = f(ctx) }) }
	if s.tls != nil {
		drain(1, s.tls.Drain)
	}
	drain(0, s.loops.Drain)
	wg.Wait()
	return errors.Join(errs...)
}

// evicted tells the watchers.
func (s *Service) evicted(g engine.Gone) { s.watchers.Evicted(g) }

// shutdown ends the daemon as a signal does.
func (s *Service) shutdown(graceful bool) {
	s.env.Log.Warn().Bool("graceful", graceful).Msg("a client ends the daemon by the command shutdown")
	s.front.stop(graceful)
}

// bug reports a fault of the program that cost a connection.
func (s *Service) bug(what any, stack []byte) {
	s.env.Log.Error().Str("panic", fmt.Sprint(what)).Bytes("stack", stack).Msg("BUG: a session failed; its connection is closed")
}

// acceptState shows whether connections are accepted. What makes accepting fail, being out of descriptors most of all, may pass. Each carrier tells
// when it begins to fail and when that is over: all is well when it is over for all.
func (s *Service) acceptState(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failing++
		s.accepting.Fail(err.Error(), "raise LimitNOFILE of the unit, or lower connections")
		return
	}
	if s.failing = max(s.failing-1, 0); s.failing == 0 {
		s.accepting.OK()
	}
}

// refuseReload is the answer to a new configuration that needs a restart.
func refuseReload(key string) error {
	return fault.New(fault.Config, "cached: %s changes only with a restart", key)
}

// bound is a listener that is open.
type bound struct {
	config.Endpoint
	addr net.Addr
	udp  bool
}
