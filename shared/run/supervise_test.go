package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
)

// trial is a life under test in virtual time; log is only appended to by one goroutine at a time.
type trial struct {
	signals chan os.Signal
	ended   chan struct{}
	err     error
	took    time.Duration
	log     []string
}

func (tr *trial) note(s string) { tr.log = append(tr.log, s) }

func (tr *trial) step(name string, timeout, takes time.Duration, err error) Step {
	return Step{name, timeout, func(ctx context.Context) error {
		tr.note(name)
		select {
		case <-time.After(takes):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

func start(ctx context.Context, l Life) *trial {
	tr := &trial{signals: make(chan os.Signal), ended: make(chan struct{})}
	tr.start(ctx, l)
	return tr
}

func (tr *trial) start(ctx context.Context, l Life) {
	l.Signals = tr.signals
	if l.Serve == nil {
		l.Serve = serveUntilEnd
	}
	begun := time.Now()
	go func() {
		tr.err = Supervise(ctx, l)
		tr.took = time.Since(begun)
		close(tr.ended)
	}()
}

// serveUntilEnd ends well, as a server does.
func serveUntilEnd(ctx context.Context) error { <-ctx.Done(); return nil }

func TestSuperviseStopsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &trial{signals: make(chan os.Signal), ended: make(chan struct{})}
		tr.start(t.Context(), Life{
			Serve: func(ctx context.Context) error { <-ctx.Done(); tr.note("served"); return nil },
			Stop:  []Step{tr.step("leave", time.Minute, time.Second, nil), tr.step("drain", time.Minute, 2*time.Second, nil)},
		})
		tr.signals <- syscall.SIGTERM
		<-tr.ended
		if tr.err != nil || tr.took != 3*time.Second {
			t.Errorf("Supervise() = %v after %v, want nil after 3 s", tr.err, tr.took)
		}
		if d := cmp.Diff([]string{"leave", "drain", "served"}, tr.log); d != "" {
			t.Errorf("order (-want +got):\n%s", d)
		}
	})
}

func TestSuperviseEndOfContextDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		tr := &trial{signals: make(chan os.Signal), ended: make(chan struct{})}
		tr.start(ctx, Life{Stop: []Step{tr.step("drain", time.Minute, time.Second, nil)}})
		cancel()
		<-tr.ended
		if tr.err != nil || tr.took != time.Second {
			t.Errorf("Supervise() = %v after %v: the step's context ended with the outer one", tr.err, tr.took)
		}
	})
}

func TestSuperviseStuckStepIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		tr := start(t.Context(), Life{Stop: []Step{
			{"stuck", 10 * time.Second, func(context.Context) error { <-free; return nil }},
			{"panics", time.Second, func(context.Context) error { panic("boom") }},
		}})
		tr.signals <- syscall.SIGINT
		<-tr.ended
		close(free)
		if tr.took != 11*time.Second || !errors.Is(tr.err, fault.Timeout) || !strings.Contains(tr.err.Error(), "boom") {
			t.Errorf("Supervise() = %v after %v, want both faults after 11 s", tr.err, tr.took)
		}
	})
}

func TestSuperviseSecondSignalEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := start(t.Context(), Life{Stop: []Step{{"drain", time.Hour, func(ctx context.Context) error { <-ctx.Done(); return nil }}}})
		tr.signals <- syscall.SIGTERM
		time.Sleep(time.Second)
		tr.signals <- syscall.SIGINT
		<-tr.ended
		if !errors.Is(tr.err, fault.Partial) || tr.took != time.Second {
			t.Errorf("Supervise() = %v after %v, want fault.Partial after 1 s", tr.err, tr.took)
		}
	})
}

func TestSuperviseServeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, serve := range []func(context.Context) error{
			func(context.Context) error { return fault.New(fault.Conflict, "lbd: port taken") },
			func(context.Context) error { panic("lbd: port taken") },
		} {
			drained := false
			tr := start(t.Context(), Life{
				Serve: serve,
				Stop:  []Step{{"drain", time.Second, func(context.Context) error { drained = true; return nil }}},
			})
			<-tr.ended
			if tr.err == nil || !strings.Contains(tr.err.Error(), "port taken") || !drained {
				t.Errorf("Supervise() = %v, drained %t", tr.err, drained)
			}
		}
	})
}

func TestSuperviseReloadsOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, reloads := 0, 0
		tr := start(t.Context(), Life{Reload: func(context.Context) error {
			running++
			defer func() { running-- }()
			if reloads++; running > 1 {
				t.Error("two reloads at a time")
			}
			time.Sleep(time.Second)
			return errors.New("unknown key")
		}})
		for range 5 {
			tr.signals <- syscall.SIGHUP
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if reloads != 2 {
			t.Errorf("%d reloads for five signals, want 2", reloads)
		}
		tr.signals <- syscall.SIGTERM
		<-tr.ended
		if tr.err != nil {
			t.Errorf("a failed reload ended the daemon: %v", tr.err)
		}
	})
}

func TestSuperviseDumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dumps := 0
		tr := start(t.Context(), Life{Dump: func() { dumps++ }})
		tr.signals <- syscall.SIGUSR1
		synctest.Wait()
		tr.signals <- syscall.SIGTERM
		<-tr.ended
		if dumps != 1 {
			t.Errorf("%d dumps, want 1", dumps)
		}
	})
}

// A stuck Healthy must not be mistaken for a live daemon: the pings cease, and the stop still works.
func TestSuperviseStuckHealthWithholdsPings(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "notify")
	m := newManager(t, addr)
	n := notifierAt(addr, "WATCHDOG_USEC", "9000000")
	synctest.Test(t, func(t *testing.T) {
		const fine, sick, stuck = 0, 1, 2
		var health atomic.Int32
		free := make(chan struct{})
		healthy := func() error {
			switch health.Load() {
			case sick:
				return errors.New("no progress")
			case stuck:
				<-free
			}
			return nil
		}
		ready := make(chan struct{})
		tr := start(t.Context(), Life{Notify: n, Ready: ready, Healthy: healthy, Status: func() string { return "fine" }})
		pings := func(d time.Duration) (count int) {
			for range d / time.Second {
				time.Sleep(time.Second)
				synctest.Wait()
				for _, msg := range m.waiting() {
					count += strings.Count(msg, "WATCHDOG=1")
				}
			}
			return count
		}
		time.Sleep(100 * time.Millisecond)
		close(ready)
		if got := pings(30 * time.Second); got < 10 || got > 11 {
			t.Errorf("%d pings in 30 s of a watchdog of 9 s, want one every 3 s", got)
		}
		health.Store(sick)
		pings(3 * time.Second)
		if got := pings(30 * time.Second); got != 0 {
			t.Errorf("%d pings while not healthy", got)
		}
		health.Store(fine)
		if got := pings(6 * time.Second); got == 0 {
			t.Error("no pings after the health came back")
		}
		health.Store(stuck)
		pings(3 * time.Second)
		if got := pings(30 * time.Second); got != 0 {
			t.Errorf("%d pings while Healthy is stuck", got)
		}
		begun := time.Now()
		tr.signals <- syscall.SIGTERM
		<-tr.ended
		if took := time.Since(begun); tr.err != nil || took > pulseEnd {
			t.Errorf("with a stuck Healthy Supervise ended after %v: %v", took, tr.err)
		}
		close(free)
	})
}

func TestSuperviseNotifications(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "notify")
	m := newManager(t, addr)
	synctest.Test(t, func(t *testing.T) {
		var got []string
		take := func() { synctest.Wait(); got = append(got, m.waiting()...) }
		ready := make(chan struct{})
		tr := start(t.Context(), Life{
			Notify: notifierAt(addr), Ready: ready,
			Reload: func(context.Context) error { return errors.New("line 3") },
			Status: func() string { return "1 up" },
			Stop:   []Step{{"drain", 2 * time.Second, func(context.Context) error { return nil }}},
		})
		take()
		close(ready)
		take()
		tr.signals <- syscall.SIGHUP
		take()
		tr.signals <- syscall.SIGTERM
		<-tr.ended
		take()
		got = slices.DeleteFunc(got, func(s string) bool { return s == "WATCHDOG=1\n" })
		want := []string{
			"READY=1\nSTATUS=1 up\n",
			"RELOADING=1\nMONOTONIC_USEC=123456\n", "STATUS=reloading\n",
			"READY=1\nSTATUS=1 up; reload failed, the earlier configuration stays: line 3\n",
			"STOPPING=1\nSTATUS=stopping\n", "STATUS=stopping: drain\n", "EXTEND_TIMEOUT_USEC=7000000\n",
			"EXTEND_TIMEOUT_USEC=15000000\n",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("datagrams (-want +got):\n%s", d)
		}
	})
}
