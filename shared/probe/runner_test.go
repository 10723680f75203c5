package probe

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/metric"
)

// fake is a Checker that answers as a function says.
type fake func(ctx context.Context, t Target) Result

func (f fake) Check(ctx context.Context, t Target) Result { return f(ctx, t) }

// of makes a RunnerOptions.New of a fake.
func of(f fake) func(Config) (Checker, error) {
	return func(Config) (Checker, error) { return f, nil }
}

func up(context.Context, Target) Result { return Result{OK: true} }

// silent waits for its time-out.
func silent(ctx context.Context, _ Target) Result {
	<-ctx.Done()
	return Result{Class: fault.Of(ctx.Err())}
}

func target(n byte) Target {
	return Target{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 80)}
}

// recorder collects changes and when they came.
type recorder struct {
	mu      sync.Mutex
	changes []Change
}

func (r *recorder) notify(c Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
}

func (r *recorder) states() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, c := range r.changes {
		out = append(out, string(c.To))
	}
	return strings.Join(out, " ")
}

func TestRunnerFollowsTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		well.Store(true)
		r := NewRunner(RunnerOptions{New: of(func(context.Context, Target) Result { return Result{OK: well.Load()} })})
		defer r.Close()
		var rec recorder
		if err := r.Add("a", target(1), testConfig(), rec.notify); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if got := rec.states(); got != "up" {
			t.Fatalf("after 5 s: %q", got)
		}
		well.Store(false)
		died := time.Now()
		time.Sleep(5 * time.Second)
		if got := rec.states(); got != "up down" {
			t.Fatalf("after death: %q", got)
		}
		// At worst a whole interval passes before the first failure, then two fast ones; each with 10 % jitter.
		if took := rec.changes[1].At.Sub(died); took > 3300*time.Millisecond {
			t.Errorf("death known after %v", took)
		}
		well.Store(true)
		time.Sleep(5 * time.Second)
		if got := rec.states(); got != "up down up" {
			t.Fatalf("after recovery: %q", got)
		}
		s, ok := r.Status("a")
		if !ok || s.State != Up || s.Failures < 3 || s.Checked.IsZero() || s.Since != rec.changes[2].At {
			t.Errorf("status %+v", s)
		}
	})
}

func TestRunnerBoundsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		r := NewRunner(RunnerOptions{Concurrency: 4, New: of(func(ctx context.Context, t Target) Result {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			return silent(ctx, t)
		})})
		defer r.Close()
		for i := range byte(40) {
			if err := r.Add(string(rune('a'+i)), target(i), testConfig(), func(Change) {}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30 * time.Second)
		if most.Load() != 4 {
			t.Errorf("%d checks at once, want 4", most.Load())
		}
		if r.count.late.Load() == 0 {
			t.Error("40 checks of 1 s through 4 slots, and none was late")
		}
		for _, s := range r.Snapshot() {
			if s.State != Down {
				t.Errorf("%s is %s", s.Key, s.State)
			}
		}
	})
}

// TestRunnerNeverOverlaps checks a target whose checks outlast the fast interval.
func TestRunnerNeverOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, checks atomic.Int32
		r := NewRunner(RunnerOptions{New: of(func(ctx context.Context, tg Target) Result {
			if now.Add(1) > 1 {
				t.Error("two checks of one target at once")
			}
			defer now.Add(-1)
			checks.Add(1)
			return silent(ctx, tg)
		})})
		defer r.Close()
		cfg := testConfig()
		cfg.Start, cfg.Fall = Up, 1000
		if err := r.Add("a", target(1), cfg, func(Change) {}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if n := checks.Load(); n < 18 || n > 20 {
			t.Errorf("%d checks of 1 s in 20 s", n)
		}
		if r.count.late.Load() > 0 {
			t.Error("a slow target counted as a late runner")
		}
	})
}

func TestRunnerSpreadsStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		starts := map[byte][]time.Duration{}
		begin := time.Now()
		r := NewRunner(RunnerOptions{New: of(func(_ context.Context, tg Target) Result {
			mu.Lock()
			defer mu.Unlock()
			n := tg.Addr.Addr().As4()[3]
			starts[n] = append(starts[n], time.Since(begin))
			return Result{OK: true}
		})})
		defer r.Close()
		for i := range byte(200) {
			if err := r.Add(string(rune('a'+i)), target(i), testConfig(), func(Change) {}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		// 200 points over 400 ms and over 1500 ms: a tenth of the span holds about a tenth of them.
		checkSpread(t, starts, 0, 0, 400*time.Millisecond)
		checkSpread(t, starts, 1, 500*time.Millisecond, 2400*time.Millisecond)
	})
}

// One target is checked at once, the thousandth in its turn, and none later than the fast interval or a second.
func TestFirstPause(t *testing.T) {
	f := func(turn int, fast time.Duration, chance float64, want time.Duration) {
		t.Helper()
		if got := firstPause(turn, fast, chance); got != want {
			t.Errorf("firstPause(%d, %v, %v) = %v, want %v", turn, fast, chance, got, want)
		}
	}
	f(0, time.Second, 0, 0)
	f(0, time.Second, 0.5, time.Millisecond)
	f(100, time.Second, 0, 200*time.Millisecond)
	f(100, 50*time.Millisecond, 0.5, 25*time.Millisecond)
	f(10_000, 10*time.Second, 0.25, 250*time.Millisecond)
}

func checkSpread(t *testing.T, starts map[byte][]time.Duration, nth int, from, to time.Duration) {
	t.Helper()
	tenths := make([]int, 10)
	for _, s := range starts {
		if len(s) <= nth || s[nth] < from || s[nth] > to {
			t.Fatalf("starts %v, want the one at %d within %v to %v", s, nth, from, to)
		}
		tenths[min(9, int(10*(s[nth]-from)/(to-from)))]++
	}
	if worst := slices.Max(tenths); worst > 50 {
		t.Errorf("start %d: %v of 200 in tenths of the span", nth, tenths)
	}
}

func TestRunnerReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRunner(RunnerOptions{New: func(c Config) (Checker, error) {
			return fake(func(context.Context, Target) Result { return Result{OK: true, Detail: string(c.Type)} }), nil
		}})
		defer r.Close()
		add := func(tg Target, cfg Config, n func(Change)) {
			t.Helper()
			if err := r.Add("a", tg, cfg, n); err != nil {
				t.Fatal(err)
			}
		}
		var first, second, third recorder
		cfg := testConfig()
		cfg.Interval = conf.Duration(time.Hour)
		add(target(1), cfg, first.notify)
		time.Sleep(2 * time.Second)
		before, _ := r.Status("a")

		// A shorter interval applies at once, and the state stays: no change is told to anybody.
		cfg.Interval, cfg.Type = conf.Duration(time.Second), Redis
		add(target(1), cfg, second.notify)
		time.Sleep(2 * time.Second)
		after, _ := r.Status("a")
		if before.State != Up || after.State != Up || after.Since != before.Since || after.Last.Detail != "redis" {
			t.Errorf("before %+v, after %+v", before, after)
		}
		if first.states() != "up" || second.states() != "" {
			t.Errorf("changes %q, then %q", first.states(), second.states())
		}

		// Another target begins anew.
		add(target(2), cfg, third.notify)
		if s, _ := r.Status("a"); s.State != Unknown {
			t.Errorf("new target is %s", s.State)
		}
		time.Sleep(2 * time.Second)
		if third.states() != "up" {
			t.Errorf("new target: %q", third.states())
		}
	})
}

func TestRunnerSameConfigKeepsSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks atomic.Int32
		r := NewRunner(RunnerOptions{New: of(func(context.Context, Target) Result { checks.Add(1); return Result{OK: true} })})
		defer r.Close()
		// Reloading every second must neither hurry nor starve a check of every 2 s.
		for range 60 {
			if err := r.Add("a", target(1), testConfig(), func(Change) {}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := checks.Load(); n < 26 || n > 36 {
			t.Errorf("%d checks in 60 s of interval 2 s", n)
		}
	})
}

func TestRunnerDiscardsOwnLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRunner(RunnerOptions{New: of(silent)})
		defer r.Close()
		var stalls atomic.Int64 // each look at the meter finds so much more
		var total atomic.Int64
		r.stalled = func(time.Time) time.Duration { return time.Duration(total.Add(stalls.Load())) }
		var rec recorder
		cfg := testConfig()
		cfg.Start, cfg.Fall = Up, 2
		stalls.Store(int64(300 * time.Millisecond))
		if err := r.Add("a", target(1), cfg, rec.notify); err != nil {
			t.Fatal(err)
		}
		// Checks of 1 s end back to back; three are discarded, the fourth counts.
		time.Sleep(3600 * time.Millisecond)
		s, _ := r.Status("a")
		if s.Failures != 0 || r.count.discarded.Load() != 3 {
			t.Errorf("%d failures counted, %d discarded; want 0, 3", s.Failures, r.count.discarded.Load())
		}
		stalls.Store(0)
		time.Sleep(3 * time.Second)
		if got := rec.states(); got != "down" {
			t.Errorf("after the stall: %q", got)
		}
	})
}

func TestRunnerDiscardsLackOfResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		r := NewRunner(RunnerOptions{New: of(func(context.Context, Target) Result {
			if n.Add(1)%4 != 0 {
				return Result{Class: fault.Full, Detail: "too many open files"}
			}
			return Result{OK: true}
		})})
		defer r.Close()
		var rec recorder
		cfg := testConfig()
		cfg.Start, cfg.Fall = Up, 1
		if err := r.Add("a", target(1), cfg, rec.notify); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := rec.states(); got != "" || r.count.discarded.Load() == 0 {
			t.Errorf("changes %q, %d discarded", got, r.count.discarded.Load())
		}
	})
}

func TestRunnerCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int32
		r := NewRunner(RunnerOptions{Concurrency: 3, New: of(func(ctx context.Context, tg Target) Result {
			running.Add(1)
			defer running.Add(-1)
			res := silent(ctx, tg)
			time.Sleep(300 * time.Millisecond) // a check that ends slowly
			return res
		})})
		var rec recorder
		for i := range byte(10) {
			if err := r.Add(string(rune('a'+i)), target(i), testConfig(), rec.notify); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(700 * time.Millisecond)
		if running.Load() != 3 {
			t.Fatalf("%d checks run", running.Load())
		}
		if err := r.Close(); err != nil || running.Load() != 0 {
			t.Errorf("Close: %v, %d checks still run", err, running.Load())
		}
		if got := rec.states(); got != "" {
			t.Errorf("checks cut off by Close made changes: %q", got)
		}
		if err := r.Add("z", target(9), testConfig(), rec.notify); !errors.Is(err, fault.Unavailable) {
			t.Errorf("Add after Close: %v", err)
		}
	})
}

func TestRunnerRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRunner(RunnerOptions{New: of(up)})
		defer r.Close()
		var after atomic.Bool
		// A notify may call Remove, even of its own key.
		err := r.Add("a", target(1), testConfig(), func(Change) {
			if after.Swap(true) {
				t.Error("notify after Remove")
			}
			r.Remove("a")
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if _, ok := r.Status("a"); ok || !after.Load() {
			t.Errorf("status there: %v, notified: %v", ok, after.Load())
		}
		r.Remove("nobody")
	})
}

func TestRunnerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRunner(RunnerOptions{MaxTargets: 1, New: of(up)})
		defer r.Close()
		if err := r.Add("a", target(1), testConfig(), func(Change) {}); err != nil {
			t.Fatal(err)
		}
		if err := r.Add("b", target(2), testConfig(), func(Change) {}); !errors.Is(err, fault.Full) {
			t.Errorf("second of one target: %v", err)
		}
		if err := r.Add("a", target(2), testConfig(), func(Change) {}); err != nil {
			t.Errorf("replace: %v", err)
		}
		if err := r.Add("a", target(2), Config{Type: TCP}, func(Change) {}); !errors.Is(err, fault.Config) {
			t.Errorf("no interval: %v", err)
		}
	})
}

func TestRunnerMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metric.NewRegistry("everup_test")
		r := NewRunner(RunnerOptions{New: of(up), Metrics: m})
		defer r.Close()
		if err := r.Add("a", target(1), testConfig(), func(Change) {}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // the first check is before, the second after
		synctest.Wait()
		var out bytes.Buffer
		if err := m.WriteText(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`everup_test_probe_checks_total{result="ok"} 1`, `everup_test_probe_checks_total{result="discarded"} 0`,
			"everup_test_probe_targets 1", "everup_test_probe_running_checks 0", "everup_test_probe_late_starts_total 0",
		} {
			if !strings.Contains(out.String(), want+"\n") {
				t.Errorf("metrics lack %q:\n%s", want, out.String())
			}
		}
	})
}

func TestStallMeter(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	var m stallMeter
	f := func(now int, want time.Duration) {
		t.Helper()
		if got := m.at(at(now)); got != want {
			t.Errorf("at %d ms: %v, want %v", now, got, want)
		}
	}
	f(0, 0) // before the first beat nothing is known
	m.beat(at(0))
	m.beat(at(100))
	m.beat(at(210)) // within the slack
	f(300, 0)
	f(1210, 900*time.Millisecond) // overdue, though the beat has not come yet
	m.beat(at(1210))
	f(1300, 900*time.Millisecond)
	m.beat(at(1310))
	m.beat(at(2410))
	f(2410, 1900*time.Millisecond)
}
