package member

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
)

func netEnv(node, service string) Env {
	return Env{Node: node, Service: service, Version: "1.0", Health: health.NewRegistry(), Metrics: metric.NewRegistry("everup_" + service)}
}

func runFleet(t *testing.T, f *Fleet) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// waitView waits until the view satisfies cond, by Watch.
func waitView(t *testing.T, f *Fleet, what string, cond func(View) bool) {
	t.Helper()
	changed, cancel := f.Watch()
	defer cancel()
	limit := time.After(20 * time.Second)
	for !cond(f.View()) {
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("%s: not within 20 s: %+v", what, f.View())
		}
	}
}

func TestStandAlone(t *testing.T) {
	f, err := New(nil, netEnv("a", "lbd"))
	if err != nil {
		t.Fatal(err)
	}
	runFleet(t, f)
	f.Announce(Announcement{Weight: 50, Health: health.Warn})
	v := f.View()
	if len(v.Members) != 1 || v.Self != "a/lbd" || v.Members[0].Weight != 50 || v.Members[0].State != Alive {
		t.Errorf("view: %+v", v)
	}
	if err := f.Put("k", []byte("v")); err != nil {
		t.Error(err)
	}
	if e, ok := f.Get("k"); !ok || string(e.Value) != "v" || e.By != "a" {
		t.Errorf("entry: %+v", e)
	}
	if err := f.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUDPAndTCP(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		listen := conf.Addr(netip.AddrPortFrom(netip.MustParseAddr(loopback), 0).String())
		keys := mustKeys(t, "real", testSecret)
		var fleets []*Fleet
		var join []string
		for _, service := range []string{"lbd", "dnsd", "logd"} {
			env := netEnv("a", service)
			env.Keys = keys
			f, err := New(&Config{Fleet: "real", Listen: listen, Join: join}, env)
			if err != nil {
				t.Fatal(err)
			}
			join = []string{f.Addr().String()}
			runFleet(t, f)
			fleets = append(fleets, f)
		}
		for _, f := range fleets {
			waitView(t, f, "all join", func(v View) bool { return len(v.Alive("")) == 3 })
		}
		if err := fleets[2].Leave(t.Context()); err != nil {
			t.Error(err)
		}
		waitView(t, fleets[0], "logd left", func(v View) bool { return v.Members[2].State == Left })
	}
}

func TestRefusesToListenOpenly(t *testing.T) {
	_, err := New(&Config{Fleet: "f", Listen: "0.0.0.0:0"}, netEnv("a", "lbd"))
	if !errors.Is(err, fault.Config) {
		t.Errorf("without secrets: %v", err)
	}
}

// A listener on all addresses is told by the one that others reach the member at; alone, there are no others.
func TestWildcardEndpoint(t *testing.T) {
	f := func(cfg *Config, announced, want string) {
		t.Helper()
		fleet, err := New(cfg, netEnv("a", "cached"))
		if err != nil {
			t.Fatal(err)
		}
		runFleet(t, fleet)
		fleet.Announce(Announcement{Endpoints: []Endpoint{{"memcached", "tcp", addrPort(announced)}}})
		if got := fleet.View().Members[0].Endpoints[0].Addr; got != addrPort(want) {
			t.Errorf("%s is announced as %s, want %s", announced, got, want)
		}
	}
	v4, v6 := &Config{Fleet: "f", Listen: "127.0.0.1:0"}, &Config{Fleet: "f", Listen: "[::1]:0"}
	f(v4, "0.0.0.0:11211", "127.0.0.1:11211")
	f(v4, "[::]:11211", "127.0.0.1:11211")
	f(v6, "[::]:11211", "[::1]:11211")
	f(v6, "0.0.0.0:11211", "0.0.0.0:11211") // nobody would be answered at ::1
	f(v4, "192.0.2.7:11211", "192.0.2.7:11211")
	f(nil, "0.0.0.0:11211", "0.0.0.0:11211")
}

func TestPortInUse(t *testing.T) {
	cfg := &Config{Fleet: "f", Listen: "127.0.0.1:0"}
	f, err := New(cfg, netEnv("a", "lbd"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = New(&Config{Fleet: "f", Listen: conf.Addr(f.Addr().String())}, netEnv("b", "lbd"))
	if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), f.Addr().String()) {
		t.Errorf("port in use: %v", err)
	}
}
