package bus_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/bus/bustest"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
)

// natsServer runs Debian's nats-server until the test ends or kill is called.
func natsServer(t *testing.T, addr string, args ...string) (kill func()) {
	t.Helper()
	labtest.Needs(t, "nats-server")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nats-server", append([]string{"-a", host, "-p", port}, args...)...)
	cmd.Stderr, err = os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
		cmd.Stderr.(*os.File).Close()
	})
	t.Cleanup(kill)
	return kill
}

// external is a fleet on the servers at urls.
func external(cfg bus.Config) bustest.Fleet {
	return func(t *testing.T, n int) []*bus.Bus {
		labtest.LeakCheck(t)
		cfg.Mode = "urls"
		var fleet []*bus.Bus
		for i := range n {
			fleet = append(fleet, start(t, cfg, env(i)))
		}
		return fleet
	}
}

func TestURLs(t *testing.T) {
	t.Run("clear", func(t *testing.T) {
		addr := string(freeAddr(t, "127.0.0.1"))
		natsServer(t, addr)
		bustest.Run(t, 2, external(bus.Config{URLs: []string{"nats://" + addr}}))
	})
	t.Run("TLS and password", func(t *testing.T) {
		addr := string(freeAddr(t, "127.0.0.1"))
		certs := labtest.NewCerts(t)
		natsServer(t, addr, "--user", "everup", "--pass", "s3cret-word", "--tls", "--tlscert", certs.CertFile, "--tlskey", certs.KeyFile)
		bustest.Run(t, 2, external(bus.Config{
			URLs: []string{"tls://" + addr}, User: "everup", Password: "s3cret-word", CA: certs.CAFile,
		}))
	})
}

// A wrong password is told, and neither it nor one in a URL is.
func TestURLsRefused(t *testing.T) {
	labtest.LeakCheck(t)
	addr := string(freeAddr(t, "127.0.0.1"))
	natsServer(t, addr, "--user", "everup", "--pass", "s3cret-word")
	e := env(0)
	e.Health = health.NewRegistry()
	cfg := bus.Config{Mode: "urls", URLs: []string{"nats://someone:wr0ng-in-url@" + addr}, User: "everup", Password: "wr0ng-word"}
	b := startOnly(t, cfg, e)
	labtest.Eventually(t, bustest.Patience, "bus.disconnected warns", func() error {
		s := status(e.Health, "bus.disconnected")
		if s.Level != health.Warn || !strings.Contains(strings.ToLower(s.Detail), "authorization") {
			return fmt.Errorf("it is %v: %s", s.Level, s.Detail)
		}
		if strings.Contains(s.Detail, "wr0ng") {
			t.Errorf("a password is told: %s", s.Detail)
		}
		return nil
	})
	if b.State() != bus.Connecting {
		t.Errorf("the bus is %s", b.State())
	}
}

// Of three external servers the one in use dies.
func TestURLsFailover(t *testing.T) {
	labtest.Needs(t, "nats-server")
	labtest.LeakCheck(t)
	var clients, routes []string
	for range 3 {
		clients = append(clients, "nats://"+string(freeAddr(t, "127.0.0.1")))
		routes = append(routes, "nats://"+string(freeAddr(t, "127.0.0.1")))
	}
	kill := map[string]func(){}
	for i := range 3 {
		kill[clients[i]] = natsServer(t, strings.TrimPrefix(clients[i], "nats://"),
			"--cluster_name", "ext", "--cluster", routes[i], "--routes", strings.Join(routes, ","))
	}
	// The subscriber knows the first two only, the publisher the last: the first to die is the subscriber's.
	heard := make(chan time.Time, 1<<16)
	sub := start(t, bus.Config{Mode: "urls", URLs: clients[:1]}, env(0))
	pub := start(t, bus.Config{Mode: "urls", URLs: clients[2:]}, env(1))
	cancel, err := sub.Subscribe("", "tick", func(bus.Event) { heard <- time.Now() })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	defer ticking(pub)()
	next(t, heard)
	killed := time.Now()
	kill[clients[0]]()
	t.Logf("pause: %s", longestPause(t, heard, killed))
}
