package bus_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/bus/bustest"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/pki"
	"github.com/rs/zerolog"
)

// holderVar makes the test binary a daemon that holds the host's server: "listen routes secret".
const holderVar = "BUS_TEST_HOLDER"

func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv(holderVar); ok {
		if err := holdServer(strings.Fields(args)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// holdServer runs a bus until it is killed, and says "ready" when it serves.
func holdServer(args []string) error {
	cfg := bus.Config{Mode: "auto", Listen: conf.Addr(args[0]), Routes: conf.Addr(args[1])}
	e := env(0)
	e.Log = zerolog.Nop()
	if len(args) > 2 {
		k, err := pki.New("demo", args[2])
		if err != nil {
			return err
		}
		e.Keys = k
	}
	b, err := bus.New(cfg, e)
	if err != nil {
		return err
	}
	go func() {
		if b.Wait(context.Background()) == nil {
			fmt.Println("ready")
		}
	}()
	return b.Run(context.Background())
}

// spawnHolder starts the daemon and returns a function that kills it as kill -9 does.
func spawnHolder(t testing.TB, cfg bus.Config, secret string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", holderVar, cfg.Listen, cfg.Routes, secret))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	return kill
}

// takeOver measures how long a subscriber hears nothing when the host's server is killed: the longest pause between two
// events of a stream of one each 5 ms.
func takeOver(t testing.TB, secret string) time.Duration {
	t.Helper()
	cfg := bus.Config{Mode: "auto", Listen: freeAddr(t, "127.0.0.1"), Routes: freeAddr(t, "127.0.0.1")}
	kill := spawnHolder(t, cfg, secret)
	var fleet []*bus.Bus
	for i := 1; i <= 2; i++ {
		e := env(i)
		if secret != "" {
			e.Keys = keys(t, secret)
		}
		fleet = append(fleet, start(t, cfg, e))
	}
	if fleet[0].State() != bus.Client || fleet[1].State() != bus.Client {
		t.Fatal("the holder does not hold the server")
	}
	heard := make(chan time.Time, 1<<16)
	cancel, err := fleet[0].Subscribe("", "tick", func(bus.Event) { heard <- time.Now() })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	stop := ticking(fleet[1])
	defer stop()
	for range 20 {
		next(t, heard)
	}
	killed := time.Now()
	kill()
	return longestPause(t, heard, killed)
}

// ticking emits an event each 5 ms until stop.
func ticking(b *bus.Bus) (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				b.Emit("tick", "", nil)
			}
		}
	})
	return sync.OnceFunc(func() { close(quit); wg.Wait() })
}

func next(t testing.TB, heard <-chan time.Time) time.Time {
	t.Helper()
	select {
	case at := <-heard:
		return at
	case <-time.After(bustest.Patience):
		t.Fatalf("no event for %s", bustest.Patience)
		panic("unreachable")
	}
}

// longestPause reads on until events have flowed for half a second beyond the longest pause after killed.
func longestPause(t testing.TB, heard <-chan time.Time, killed time.Time) time.Duration {
	t.Helper()
	var longest time.Duration
	last := next(t, heard)
	for since := killed; ; {
		at := next(t, heard)
		if pause := at.Sub(last); pause > longest && at.After(killed) {
			longest, since = pause, at
		}
		last = at
		if at.Sub(since) > 500*time.Millisecond {
			return longest
		}
	}
}

func median(ds []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(ds))
	return s[len(s)/2]
}

// The bar: events flow again within 250 ms of the death of the host's server; four times that under the race detector.
func TestTakeOverAfterKill(t *testing.T) {
	for _, c := range []struct{ name, secret string }{{"clear", ""}, {"secret", secretA}} {
		t.Run(c.name, func(t *testing.T) {
			labtest.LeakCheck(t)
			var pauses []time.Duration
			for i := range 10 {
				t.Run(fmt.Sprint(i), func(t *testing.T) { pauses = append(pauses, takeOver(t, c.secret)) })
			}
			t.Logf("pauses after kill -9, one event each 5 ms: median %s, %v", median(pauses), pauses)
			if m, bar := median(pauses), slowdown*250*time.Millisecond; m > bar {
				t.Errorf("median pause %s, the bar is %s", m, bar)
			}
		})
	}
}

// BenchmarkTakeOver reports the pause after kill -9 of the process that runs the host's server, with a fleet secret.
func BenchmarkTakeOver(b *testing.B) {
	var pauses []time.Duration
	for b.Loop() {
		pauses = append(pauses, takeOver(b, secretA))
	}
	b.ReportMetric(float64(median(pauses).Microseconds())/1e3, "ms-median")
	b.ReportMetric(float64(slices.Max(pauses).Microseconds())/1e3, "ms-max")
}

// A daemon that closes hands the server on without anybody waiting for a time-out.
func TestHandOver(t *testing.T) {
	labtest.LeakCheck(t)
	fleet := oneHost(keys(t, secretA))(t, 3)
	if fleet[0].State() != bus.Server {
		t.Fatalf("the first is %s", fleet[0].State())
	}
	heard := make(chan time.Time, 1<<16)
	cancel, err := fleet[1].Subscribe("", "tick", func(bus.Event) { heard <- time.Now() })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	defer ticking(fleet[2])()
	next(t, heard)
	begun := time.Now()
	if err := fleet[0].Close(within(t)); err != nil {
		t.Fatal(err)
	}
	pause := longestPause(t, heard, begun)
	t.Logf("pause at a planned hand-over: %s", pause)
	if pause > 2*time.Second { // what a dial or a missed ping would take
		t.Errorf("pause %s at a planned hand-over", pause)
	}
	if a, b := fleet[1].State(), fleet[2].State(); a == b {
		t.Errorf("afterwards both are %s", a)
	}
}
