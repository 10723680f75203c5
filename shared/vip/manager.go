package vip

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/logx"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/pki"
	"github.com/everup/everup/shared/run"
	"github.com/everup/everup/shared/state"
	"github.com/everup/everup/shared/vip/internal/child"
	"github.com/everup/everup/shared/vip/internal/notify"
	"github.com/everup/everup/shared/vip/internal/track"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/rs/zerolog"
)

// Emitter tells of events; *bus.Bus is one. It must not block.
type Emitter interface {
	Emit(kind, object string, data any)
}

// Env is what a Manager needs of its daemon. All fields are set unless they say what nil means.
type Env struct {
	Service string // "lbd"
	Node    string // of the host in the fleet
	Log     zerolog.Logger
	Metrics *metric.Registry
	Health  *health.Registry
	Bus     Emitter
	Admin   *admin.Server
	Keys    *pki.Keys // the fleet's; nil: there is no secret, adverts are not authenticated
	State   *state.Dir
	// Isolated reports whether this node is in a minority of the fleet, which lowers its priority and does nothing else; nil: not
	// known. It is asked each second and must not block.
	Isolated func() bool
	// Alive proves that the daemon serves, as far as it can without waiting: while it says no, or does not return, the daemon counts
	// as stuck, and after Lifeline the addresses go. nil: that this process runs is enough.
	Alive func() bool
}

// process is a running child.
type process interface {
	Send(ms ...*wire.Message) error
	Kill(why error)
	Hangup()
	Done() <-chan struct{}
	Err() error
	PID() int
}

// Manager is the daemon's side of its virtual addresses. Its methods are safe for concurrent use.
type Manager struct {
	env      Env
	log      zerolog.Logger // comp vip
	keeper   *keeper
	tracker  *track.Tracker
	notifier *notify.Runner
	met      *metrics
	throttle *logx.Throttle
	start    func(got func(*wire.Message)) (process, error)
	wake     chan struct{} // holds a token when the supervisor is to look again whether a child is wanted
	done     chan struct{} // closed when there is no child and will be none

	reloadMu sync.Mutex // one reload at a time; taken before mu
	healthMu sync.Mutex // held while health items are set, so that the last to look is the last to set; taken before mu

	mu        sync.Mutex // guards what follows; nothing that may block is done under it
	cfg       Config
	planID    uint64
	plannedAt time.Time     // when the plan of planID was sent
	settle    time.Duration // after which what it replaced has let go
	epoch     uint64        // of the running child
	proc      process       // nil: none runs
	startedAt time.Time     // of proc
	restarts  uint64
	lastErr   error                   // why there is no child, or the last one ended
	idle      chan struct{}           // closed, and made anew, when a child has ended
	left      bool                    // Leave, or the end of Run: nothing is held any more
	handed    bool                    // HandOver: what stands is another process's
	places    []wire.Place            // of the plan that was sent
	pruned    uint64                  // the plan after which the record was pruned
	hello     *wire.Hello             // nil: the child has not said it
	snap      *wire.Snapshot          // nil: none of this child
	verdicts  map[string]wire.Verdict // by group, the last
	vips      map[string]*vipRun
	doID      uint64
	doing     map[uint64]chan error
	adopt     map[routerKey]adoption // what the last child left Active
}

// logGap is the time between two lines that say the same of the same VIP.
const logGap = 10 * time.Second

// New returns a Manager of the virtual addresses of cfg, which may have none. It registers calls, metrics and health items and
// starts nothing. What the configuration wants and this daemon cannot give is fault.Config.
func New(cfg Config, env Env) (*Manager, error) {
	if err := cfg.check(&env); err != nil {
		return nil, err
	}
	m := &Manager{
		env: env, log: env.Log.With().Str("comp", "vip").Logger(), cfg: cfg, planID: 1,
		throttle: logx.NewThrottle(logGap), wake: make(chan struct{}, 1), done: make(chan struct{}), idle: make(chan struct{}), verdicts: map[string]wire.Verdict{}, vips: map[string]*vipRun{},
		doing: map[uint64]chan error{}, adopt: map[routerKey]adoption{},
	}
	m.met = newMetrics(env.Metrics)
	m.keeper = openKeeper(env.State, m.recordFailed)
	m.tracker = track.New(track.Options{Log: m.log, Verdicts: m.onVerdicts, Isolated: env.Isolated, Routes: openRoutes})
	m.notifier = notify.New(notify.Options{Log: m.log, Ran: m.met.notifyRan, Failed: m.met.notifyFailed, Dropped: m.met.notifyDropped})
	m.start = func(got func(*wire.Message)) (process, error) {
		return child.Start(child.Options{Args: []string{env.Service, "vrrp"}, Log: m.log, Got: got})
	}
	m.adjustVIPs(cfg)
	m.registerCalls()
	m.registerMetrics()
	m.healthOfChild()
	return m, nil
}

// check says what cfg wants and the daemon cannot give.
func (c Config) check(env *Env) error {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if c[name].Auth == "fleet" && env.Keys == nil {
			return fault.New(fault.Config, "vip: vips.%s.auth: fleet demands a fleet secret (cluster.secrets), and there is none", name)
		}
	}
	return nil
}

// notifyEnd is how long commands may still run when the daemon ends.
const notifyEnd = 3 * time.Second

// Run holds the addresses until ctx ends. Then the child is told to give them up at once, if Leave has not been called, and
// Run returns when it has ended and nothing of ours runs any more.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	cfg := m.cfg
	m.mu.Unlock()
	m.tracker.Configure(cfg.tracked())
	g := run.NewGroup(ctx)
	g.Critical("vrrp process", m.supervise)
	g.Critical("tracking", m.tracker.Run)
	g.Critical("beats", m.beat)
	err := g.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), notifyEnd)
	defer cancel()
	m.notifier.Close(end)
	return err
}

// Ready says that the service serves: the VIPs take part from now on.
func (m *Manager) Ready() { m.tracker.Ready() }

// Set sets a value of the daemon's own that a VIP may track, such as "backends". It is cheap and does not block.
func (m *Manager) Set(value string, n int) { m.tracker.Set(value, n) }

// Reload puts cfg in force. What did not change goes on without a pause, a release by hand stays. On an error nothing has
// changed.
func (m *Manager) Reload(cfg Config) error {
	if err := cfg.check(&m.env); err != nil {
		return err
	}
	m.reloadMu.Lock()
	defer m.reloadMu.Unlock()
	m.mu.Lock()
	same, left, id := reflect.DeepEqual(m.cfg, cfg), m.left, m.planID+1
	m.mu.Unlock()
	switch {
	case left:
		return fault.New(fault.Unavailable, "vip: reload: the daemon stops")
	case same:
		return nil
	}
	plan := cfg.plan(identity{id: id}, nil, nil)
	if _, err := wire.Append(nil, &wire.Message{Plan: plan}); err != nil {
		return err
	}
	m.keeper.planned(placesOf(plan)) // before anybody adds them
	m.mu.Lock()
	gone := m.swapLocked(cfg, id)
	m.mu.Unlock()
	m.forget(gone)
	m.tracker.Configure(cfg.tracked())
	m.refresh()
	m.look()
	m.log.Info().Int("vips", len(cfg)).Uint64("plan", id).Msg("virtual addresses are configured anew")
	return nil
}

// swapLocked puts cfg in force and tells the child. It returns the VIPs that are no more.
func (m *Manager) swapLocked(cfg Config, id uint64) (gone []string) {
	m.settle = max(m.cfg.settleTime(), cfg.settleTime())
	m.cfg, m.planID = cfg, id
	groups := cfg.groupNames()
	maps.DeleteFunc(m.verdicts, func(group string, _ wire.Verdict) bool { return !slices.Contains(groups, group) })
	for name := range m.vips {
		if cfg[conf.Name(name)] == nil {
			gone = append(gone, name)
			delete(m.vips, name)
			m.met.forget(name)
		}
	}
	m.adjustVIPs(cfg)
	if m.proc != nil {
		m.sendLocked(m.orders(nil)...)
	}
	return gone
}

// adjustVIPs makes an entry for each VIP of cfg. The caller holds mu, or nobody else knows of m.
func (m *Manager) adjustVIPs(cfg Config) {
	for name, v := range cfg {
		if m.vips[string(name)] == nil {
			m.vips[string(name)] = newVIPRun()
		}
		four, six := v.families()
		m.vips[string(name)].keepFamilies(len(four) > 0, len(six) > 0)
	}
}

// forget drops what is kept of VIPs that are no more.
func (m *Manager) forget(vips []string) {
	m.keeper.resume(vips)
	m.healthMu.Lock()
	defer m.healthMu.Unlock()
	for _, name := range vips {
		for _, id := range itemsOf(name) {
			m.env.Health.Remove(id)
		}
	}
}

// settleTime is how long routers that are no longer planned may still have their addresses: they wait for a peer, at most
// Active_Down_Interval.
func (c Config) settleTime() time.Duration {
	longest := time.Duration(0)
	for _, v := range c {
		longest = max(longest, v.Interval.Std())
	}
	return 4*longest + 2*time.Second
}

// Leave gives all addresses to peers and returns when they have them, or when nobody takes them: first step of a drain. Once
// it was called no VIP takes part any more. The error is fault.Timeout where ctx ends before.
func (m *Manager) Leave(ctx context.Context) error {
	m.mu.Lock()
	was, p := m.left, m.proc
	m.left = true
	m.mu.Unlock()
	m.look()
	if p != nil && !was {
		limit := time.Duration(0)
		if deadline, ok := ctx.Deadline(); ok {
			limit = max(time.Until(deadline)*3/4, time.Millisecond) // so that the answer comes before the end
		}
		m.log.Info().Msg("giving the virtual addresses to others")
		if err := m.ask(ctx, &wire.Do{Verb: wire.Stop, Limit: limit}); err != nil && !errors.Is(err, fault.Unavailable) {
			return err
		}
	}
	return m.waitIdle(ctx)
}

// waitIdle waits until there is no child and nothing that one has left.
func (m *Manager) waitIdle(ctx context.Context) error {
	for {
		m.mu.Lock()
		idle, ended := m.proc == nil && len(m.keeper.places()) == 0, m.idle
		m.mu.Unlock()
		if idle {
			return nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return fault.Wrap(fault.Of(ctx.Err()), ctx.Err(), "vip: leave: the VRRP process has not ended")
		}
	}
}
