package probe

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/metric"
)

const (
	startGap  = 2 * time.Millisecond // of the spread of first checks, for each target
	maxSpread = time.Second
)

// RunnerOptions change how a Runner works; the zero value is usable.
type RunnerOptions struct {
	Concurrency int                               // checks at once; 0 means 256
	MaxTargets  int                               // targets at most; 0 means 16384
	New         func(cfg Config) (Checker, error) // makes checkers; nil means New
	Metrics     *metric.Registry                  // where to register probe_… metrics; nil for none
}

// Runner checks many targets, each at its own pace.
//
//   - The first checks of targets that are added together are spread over 2 ms for each (at most a fast interval and
//     1 s), the second ones over a whole interval: a few targets are known at once, and many make no burst.
//   - At most Concurrency checks run at once; others wait, and a start that is late by more than 100 ms is
//     counted. A check is never started while the one before it of the same target runs: a slow target is
//     checked less often, not twice.
//   - A check that timed out while this process itself was stalled for more than a quarter of the timeout, or
//     that lacked descriptors, memory or processes here (fault.Full), is discarded: it is repeated and counts
//     neither for nor against the target. At most three in a row: the fourth counts, so that a host that is
//     always overloaded still sees dead targets.
//
// All methods are safe for concurrent use.
type Runner struct {
	opt     RunnerOptions
	ctx     context.Context // ends all checks; a Runner is itself a lifetime
	cancel  context.CancelFunc
	slots   chan struct{}
	stalled func(now time.Time) time.Duration
	count   counters
	wg      sync.WaitGroup

	mu      sync.Mutex
	targets map[string]*watch
	closed  bool
}

// NewRunner returns a Runner without targets. Close it.
func NewRunner(o RunnerOptions) *Runner {
	if o.Concurrency <= 0 {
		o.Concurrency = 256
	}
	if o.MaxTargets <= 0 {
		o.MaxTargets = 16384
	}
	if o.New == nil {
		o.New = New
	}
	r := &Runner{opt: o, slots: make(chan struct{}, o.Concurrency), targets: make(map[string]*watch)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	var meter stallMeter
	r.stalled = meter.at
	r.wg.Go(func() { meter.run(r.ctx) })
	r.count.register(o.Metrics, r)
	return r
}

// Add begins to check t under key and calls notify at every change, one call at a time, from a goroutine of
// the Runner: notify must return soon, since until then t is not checked.
//
// Add of a key that is there replaces it. Where t is unchanged its state, run of results and damping are kept,
// and the new cfg applies from the next check; where nothing but notify changed, not even the schedule
// moves. Another t begins anew, as Unknown.
//
// It fails with fault.Config for a cfg that makes no check, with fault.Full at MaxTargets and with
// fault.Unavailable after Close.
func (r *Runner) Add(key string, t Target, cfg Config, notify func(Change)) error {
	if cfg.Interval <= 0 {
		return fault.New(fault.Config, "probe: add %s: interval %s: defaults are not set", key, cfg.Interval.Std())
	}
	check, err := r.opt.New(cfg)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.targets[key]
	switch {
	case r.closed:
		return fault.New(fault.Unavailable, "probe: add %s: runner is closed", key)
	case old != nil && old.target == t:
		old.reconfigure(cfg, check, notify)
		return nil
	case old != nil:
		old.stop()
	case len(r.targets) >= r.opt.MaxTargets:
		return fault.New(fault.Full, "probe: add %s: already %d targets", key, len(r.targets))
	}
	r.targets[key] = r.startLocked(key, t, cfg, check, notify)
	return nil
}

func (r *Runner) startLocked(key string, t Target, cfg Config, check Checker, notify func(Change)) *watch {
	ctx, cancel := context.WithCancel(r.ctx)
	w := &watch{
		runner: r, key: key, target: t, cancel: cancel, kick: make(chan struct{}, 1),
		cfg: cfg, check: check, notify: notify, machine: NewMachine(cfg),
		turn: len(r.targets),
	}
	r.wg.Go(func() { w.run(ctx) })
	return w
}

// Remove stops checking key. It does not wait, so that a notify may call it and a caller may hold a lock that
// notify takes: a notify that is already on its way may still run after Remove has returned.
func (r *Runner) Remove(key string) {
	r.mu.Lock()
	w := r.targets[key]
	delete(r.targets, key)
	r.mu.Unlock()
	if w != nil {
		w.stop()
	}
}

// Close stops all checks and waits until the last has ended. It must not be called from a notify.
func (r *Runner) Close() error {
	r.mu.Lock()
	r.closed = true
	clear(r.targets)
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
	return nil
}

// Status is what is known of one target.
type Status struct {
	Key        string    `json:"key"`
	Target     string    `json:"target"`
	Type       Type      `json:"type"`
	State      State     `json:"state"`
	Warn       bool      `json:"warn,omitempty"`
	Suppressed bool      `json:"suppressed,omitempty"`
	Since      time.Time `json:"since"` // of State
	Checked    time.Time `json:"checked,omitzero"`
	Checks     uint64    `json:"checks"`
	Failures   uint64    `json:"failures"`
	Last       Result    `json:"last"`
}

// Status returns what is known of key.
func (r *Runner) Status(key string) (Status, bool) {
	r.mu.Lock()
	w := r.targets[key]
	r.mu.Unlock()
	if w == nil {
		return Status{}, false
	}
	return w.status(), true
}

// Snapshot returns the status of all targets in the order of their keys.
func (r *Runner) Snapshot() []Status {
	r.mu.Lock()
	all := make([]*watch, 0, len(r.targets))
	for _, w := range r.targets {
		all = append(all, w)
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b *watch) int { return strings.Compare(a.key, b.key) })
	out := make([]Status, len(all))
	for i, w := range all {
		out[i] = w.status()
	}
	return out
}

// sameConfig reports that nothing of the check changed. Sections are pointers: what they point to counts.
func sameConfig(a, b Config) bool { return reflect.DeepEqual(a, b) }
