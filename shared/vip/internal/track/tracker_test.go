package track

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/probe"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// world is what a tracker sees in tests.
type world struct {
	mu       sync.Mutex
	routes   map[string]bool
	broken   error // of looking up routes
	opened   int
	hosts    map[string]bool // that answer
	minority atomic.Bool
}

func (w *world) HasRoute(p netip.Prefix) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.routes[p.String()], w.broken
}

func (w *world) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened--
	return nil
}

func (w *world) open() (Routes, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened++
	return w, nil
}

func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) Check(_ context.Context, t probe.Target) probe.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return probe.Result{OK: w.hosts[t.Host], Class: fault.Unavailable}
}

// rig runs a tracker in a bubble and keeps what it says.
type rig struct {
	*Tracker
	*world
	t   *testing.T
	end func()

	said []string
}

func runInBubble(t *testing.T, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{world: &world{routes: map[string]bool{}, hosts: map[string]bool{}}, t: t}
		r.Tracker = New(Options{
			Log: zerolog.Nop(), Routes: r.open, Isolated: r.minority.Load,
			NewCheck: func(probe.Config) (probe.Checker, error) { return r.world, nil },
			Verdicts: func(vs []wire.Verdict) {
				for _, v := range vs {
					r.said = append(r.said, fmt.Sprintf("%s %d %s", v.Group, v.Delta, strings.Join(v.Faults, "|")))
				}
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		f(r)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if r.opened != 0 {
			t.Errorf("routes are open %d times at the end", r.opened)
		}
	})
}

// says lets d pass and compares what was said since.
func (r *rig) says(d time.Duration, want ...string) {
	r.t.Helper()
	letPassInBubble(d)
	got := r.said
	r.said = nil
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("-want +got:\n%s", diff)
	}
}

func letPassInBubble(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func check() (c probe.Config) {
	conf.SetDefaults(&c)
	c.Jitter = 0
	return c
}

func TestStartAndIsolation(t *testing.T) {
	runInBubble(t, func(r *rig) {
		r.says(time.Minute)
		r.Configure([]Group{{Name: "a"}, {Name: "b"}})
		r.says(20*time.Millisecond, "a 0 starting", "b 0 starting")
		r.Ready()
		r.says(20*time.Millisecond, "a 0 ", "b 0 ")
		r.Ready()
		r.says(time.Minute)
		r.minority.Store(true)
		r.says(time.Second, "a -100 ", "b -100 ")
		r.minority.Store(false)
		r.says(time.Second, "a 0 ", "b 0 ")
		r.Configure([]Group{{Name: "b"}})
		r.says(20*time.Millisecond, "b 0 ")
	})
}

func TestValues(t *testing.T) {
	runInBubble(t, func(r *rig) {
		r.Ready()
		r.Set("backends", 1) // before anybody asks for it
		r.Configure([]Group{{Name: "a", Items: []Item{
			{Kind: Value, Key: ValueKey("backends"), Name: "backends", Min: 1},
			{Kind: Value, Key: ValueKey("answers"), Name: "answers", Each: true, Weight: 2},
		}}})
		r.says(20*time.Millisecond, "a 0 ")
		r.Set("answers", 3)
		r.Set("answers", 4)
		r.says(20*time.Millisecond, "a 8 ")
		r.Set("answers", 4)
		r.Set("nobody", 1)
		r.says(time.Minute)
		r.Set("backends", 0)
		r.says(20*time.Millisecond, "a 8 backends is 0, less than 1")
		// A value that changes all the time is told each 10 ms.
		for n := range 100 {
			r.Set("answers", n)
			letPassInBubble(time.Millisecond)
		}
		if n := len(r.said); n < 9 || n > 12 {
			t.Errorf("%d verdicts in 100 ms", n)
		}
	})
}

func TestTooManyValues(t *testing.T) {
	runInBubble(t, func(r *rig) {
		var log strings.Builder
		r.opt.Log = zerolog.New(&log)
		for i := range maxValues + 2 {
			r.Set(fmt.Sprint("v", i), 1)
		}
		if n := len(r.values); n != maxValues || strings.Count(log.String(), "too many values") != 1 {
			t.Errorf("%d values, log %s", n, log.String())
		}
	})
}

func TestRoutes(t *testing.T) {
	runInBubble(t, func(r *rig) {
		r.Ready()
		item := Item{Kind: Route, Key: "route 10.0.0.0/8", Name: "10.0.0.0/8", Route: netip.MustParsePrefix("10.0.0.0/8")}
		r.Configure([]Group{{Name: "a", Items: []Item{item}}, {Name: "b", Items: []Item{item}}})
		r.says(20*time.Millisecond, "a 0 no route to 10.0.0.0/8", "b 0 no route to 10.0.0.0/8")
		r.change(func() { r.routes["10.0.0.0/8"] = true })
		r.says(time.Second, "a 0 ", "b 0 ")
		r.change(func() { r.broken = errors.New("no netlink") })
		r.says(time.Second, "a 0 route 10.0.0.0/8: no netlink", "b 0 route 10.0.0.0/8: no netlink")
		r.change(func() { r.broken = nil })
		r.says(time.Second, "a 0 ", "b 0 ")
	})
}

func TestProbes(t *testing.T) {
	runInBubble(t, func(r *rig) {
		r.Ready()
		groups := func(host string, weight int) []Group {
			return []Group{{Name: "a", Items: []Item{{
				Kind: Probe, Key: "a 0", Name: host, Target: probe.Target{Host: host}, Check: check(), Weight: weight,
			}}}}
		}
		r.change(func() { r.hosts["gw"] = true })
		r.Configure(groups("gw", 0))
		r.says(time.Second, "a 0 check of gw is not known yet", "a 0 ")
		r.change(func() { r.hosts["gw"] = false })
		r.says(10*time.Second, "a 0 check of gw fails")
		// Another weight keeps what is known, another target does not.
		r.Configure(groups("gw", -7))
		r.says(20*time.Millisecond, "a -7 ")
		r.change(func() { r.hosts["other"] = true })
		r.Configure(groups("other", 0))
		r.says(time.Second, "a 0 check of other is not known yet", "a 0 ")
		r.Configure(nil)
		r.says(time.Minute)
	})
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "n")
	write := func(s string) {
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runInBubble(t, func(r *rig) {
		r.Ready()
		r.Configure([]Group{
			{Name: "a", Items: []Item{{Kind: File, Key: path, Name: path, Weight: -2}}},
			{Name: "b", Items: []Item{{Kind: File, Key: path, Name: path}}},
		})
		r.says(20*time.Millisecond, "a 0 ", "b 0 ")
		write("")
		r.says(time.Second, "a -2 ", "b 0 file "+path+" says 1")
		write(" 15\n")
		r.says(time.Second, "a -30 ", "b 0 file "+path+" says 15")
		write("x")
		r.says(time.Second, "a 0 ", "b 0 file "+path+": holds no whole number")
	})
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	f := func(name, content string, want Reading) {
		t.Helper()
		path := filepath.Join(dir, name)
		if content != "-" {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := readFile(path); got != want {
			t.Errorf("%q: %+v, want %+v", content, got, want)
		}
	}
	f("a", "-3\n", Reading{Known: true, N: -3})
	f("b", "", Reading{Known: true, N: 1})
	f("c", "\n", Reading{Known: true, N: 1})
	f("none", "-", Reading{Known: true})
	f("d", "1 2", Reading{Why: "holds no whole number"})
	f("e", "99999999999", Reading{Why: "holds no whole number"})
	f("g", strings.Repeat("0", 1000)+"7", Reading{Known: true}) // cut
	f(".", "-", Reading{Why: "is no regular file"})
	f("a/b", "-", Reading{Why: "not a directory"})
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	f("fifo", "-", Reading{Why: "is no regular file"})
}

// FuzzParseNumber: what somebody else writes into a file.
func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"", "1", "-253", "x", "1e3", "٣", "999999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := parseNumber(s)
		if r.Known == (r.Why != "") || !r.Known && r.N != 0 {
			t.Errorf("%q: %+v", s, r)
		}
		if r.Known && strings.TrimSpace(s) != "" {
			if again := parseNumber(fmt.Sprint(r.N)); again != r {
				t.Errorf("%q: %+v, then %+v", s, r, again)
			}
		}
	})
}
