package bus_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/bus/bustest"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/pki"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// freeAddr returns an address on host that nothing listens on. Until the test ends a bound socket that does not listen keeps the
// kernel from giving the port to anybody else; listeners, which set SO_REUSEADDR, can have it.
func freeAddr(t testing.TB, host string) conf.Addr {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	ip := netip.MustParseAddr(host)
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: ip.As4()}),
	); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return conf.Addr(netip.AddrPortFrom(ip, uint16(at.(*unix.SockaddrInet4).Port)).String())
}

// start runs a bus until the test ends and waits until it is connected.
func start(t testing.TB, cfg bus.Config, env bus.Env) *bus.Bus {
	t.Helper()
	b := startOnly(t, cfg, env)
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
	defer cancel()
	if err := b.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

func startOnly(t testing.TB, cfg bus.Config, env bus.Env) *bus.Bus {
	t.Helper()
	env.Log = zerolog.New(zerolog.NewTestWriter(t)).With().Timestamp().Str("node", env.Node).Str("service", env.Service).Logger().Level(zerolog.DebugLevel)
	b, err := bus.New(cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return b
}

func env(i int) bus.Env {
	return bus.Env{Fleet: "demo", Node: bustest.Node(i), Service: bustest.Service(i), Version: "v1.2.3-dev"}
}

func TestOff(t *testing.T) {
	bustest.Run(t, 1, func(t *testing.T, n int) []*bus.Bus {
		labtest.LeakCheck(t)
		return []*bus.Bus{start(t, bus.Config{Mode: "off"}, env(0))}
	})
}

func keys(t testing.TB, secrets ...string) *pki.Keys {
	t.Helper()
	k, err := pki.New("demo", secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const secretA, secretB = "correct-horse-battery-staple-a", "correct-horse-battery-staple-b"

// oneHost is a fleet of daemons that share a client port.
func oneHost(k *pki.Keys) bustest.Fleet {
	return func(t *testing.T, n int) []*bus.Bus {
		labtest.LeakCheck(t)
		cfg := bus.Config{Mode: "auto", Listen: freeAddr(t, "127.0.0.1"), Routes: freeAddr(t, "127.0.0.1")}
		var fleet []*bus.Bus
		for i := range n {
			e := env(i)
			e.Keys = k
			fleet = append(fleet, start(t, cfg, e))
		}
		return fleet
	}
}

func TestAutoOneHost(t *testing.T) {
	t.Run("clear", func(t *testing.T) { bustest.Run(t, 3, oneHost(nil)) })
	t.Run("secret", func(t *testing.T) { bustest.Run(t, 3, oneHost(keys(t, secretA))) })
}

// counted is the value of a metric as it prints, "" when it is not there.
func counted(t testing.TB, r *metric.Registry, line string) string {
	t.Helper()
	var sb strings.Builder
	if err := r.WriteText(&sb); err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(sb.String()) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(l), line+" "); ok {
			return v
		}
	}
	return ""
}

// status returns a health item.
func status(r *health.Registry, id string) health.Status {
	for _, s := range r.Snapshot() {
		if s.ID == id {
			return s
		}
	}
	return health.Status{}
}

// within is a context that ends before the test's patience does.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// repeat calls do each 10 ms until done gets something, which it returns.
func repeat[T any](t testing.TB, do func(), done <-chan T) T {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(bustest.Patience)
	for {
		do()
		select {
		case v := <-done:
			return v
		case <-tick.C:
		case <-late:
			t.Fatalf("nothing within %s", bustest.Patience)
		}
	}
}
