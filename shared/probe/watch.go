package probe

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
)

const (
	lateStart   = 100 * time.Millisecond // a start later than this is counted
	maxDiscards = 3                      // discarded checks in a row
)

// watch is one target of a Runner and the goroutine that checks it.
type watch struct {
	runner *Runner
	key    string
	target Target
	cancel context.CancelFunc
	kick   chan struct{} // the configuration changed: plan anew
	turn   int           // how many targets were there before: the first check comes in its turn

	mu       sync.Mutex
	stopped  bool
	cfg      Config
	check    Checker
	notify   func(Change)
	machine  *Machine
	since    time.Time
	checked  time.Time
	checks   uint64
	failures uint64
	last     Result
}

// reconfigure puts cfg in force for the next check.
func (w *watch) reconfigure(cfg Config, check Checker, notify func(Change)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notify = notify
	if sameConfig(w.cfg, cfg) {
		return
	}
	w.cfg, w.check = cfg, check
	w.machine.Configure(cfg)
	select {
	case w.kick <- struct{}{}:
	default: // a kick is already on its way
	}
}

// stop ends the goroutine without waiting for it.
func (w *watch) stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.cancel()
}

func (w *watch) status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Status{
		Key: w.key, Target: w.target.String(), Type: w.cfg.Type, State: w.machine.State(), Warn: w.machine.Warn(),
		Suppressed: w.machine.Suppressed(), Since: w.since, Checked: w.checked, Checks: w.checks,
		Failures: w.failures, Last: w.last,
	}
}

// run checks the target until ctx ends.
func (w *watch) run(ctx context.Context) {
	defer w.cancel()
	w.mu.Lock()
	w.since = time.Now()
	planned := w.since.Add(firstPause(w.turn, w.cfg.fast(), rand.Float64()))
	w.mu.Unlock()
	var discards int
	for first := true; w.sleep(ctx, &planned); {
		start, res, valid := w.once(ctx, planned, discards)
		switch {
		case ctx.Err() != nil:
			return
		case !valid:
			discards++
			planned = w.soon(start)
		default:
			discards = 0
			w.apply(res)
			planned = w.plan(start, first)
			first = false
		}
		planned = latest(planned, time.Now())
	}
}

// firstPause is how long the first check waits, so that many targets added together make no burst and few are known at once:
// startGap for each that was there before, or by chance where that would be longer than maxSpread or the fast interval.
func firstPause(turn int, fast time.Duration, chance float64) time.Duration {
	if at := time.Duration((float64(turn) + chance) * float64(startGap)); at <= min(fast, maxSpread) {
		return at
	}
	return time.Duration(chance * float64(min(fast, maxSpread)))
}

// soon returns when to repeat a check that was discarded.
func (w *watch) soon(start time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return start.Add(w.cfg.fast())
}

// sleep waits until planned. A kick moves the plan: never later than one new interval from now.
func (w *watch) sleep(ctx context.Context, planned *time.Time) bool {
	for {
		t := time.NewTimer(time.Until(*planned))
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-t.C:
			return true
		case <-w.kick:
			t.Stop()
			if next := w.plan(time.Now(), false); next.Before(*planned) {
				*planned = next
			}
		}
	}
}

// plan returns when to check after a check that began at start. After the first check it picks any point
// between the fast and the whole interval, which spreads targets that were added together.
func (w *watch) plan(start time.Time, first bool) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fast, next := w.cfg.fast(), w.machine.Next(); first && next > fast {
		return start.Add(fast + time.Duration(rand.Float64()*float64(next-fast)))
	}
	return w.machine.NextAt(start, rand.Float64())
}

// once runs one check when a slot is free. The result is not valid where this process, and not the target, is
// to blame for the time-out.
func (w *watch) once(ctx context.Context, planned time.Time, discards int) (start time.Time, res Result, valid bool) {
	r := w.runner
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return planned, Result{}, false
	}
	defer func() { <-r.slots }()
	w.mu.Lock()
	check, timeout := w.check, w.cfg.Patience()
	w.mu.Unlock()

	start = time.Now()
	if start.Sub(planned) > lateStart {
		r.count.late.Add(1)
	}
	before := r.stalled(start)
	cctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	res = check.Check(cctx, w.target)
	stalled := r.stalled(time.Now()) - before
	ours := res.Class == fault.Full || res.Class == fault.Timeout && stalled > timeout/4
	if ours && discards < maxDiscards {
		r.count.discarded.Add(1)
		return start, res, false
	}
	return start, res, true
}

// latest returns the later of a and b.
func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// apply feeds the machine, and tells of a change. The lock is not held during notify.
func (w *watch) apply(res Result) {
	w.runner.count.result(res.OK)
	w.mu.Lock()
	now := time.Now()
	w.checked, w.last = now, res
	w.checks++
	if !res.OK {
		w.failures++
	}
	c, changed := w.machine.Step(now, res)
	if c.From != c.To {
		w.since = now
	}
	notify := w.notify
	if w.stopped {
		notify = nil
	}
	w.mu.Unlock()
	if changed && notify != nil {
		notify(c)
	}
}
