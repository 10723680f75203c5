package bus_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/bus/bustest"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/pki"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// secured is a host's bus with a secret that clients without credentials may read events from.
func secured(t *testing.T) (bus.Config, *pki.Keys, *bus.Bus) {
	t.Helper()
	labtest.LeakCheck(t)
	k := keys(t, secretA)
	cfg := bus.Config{Mode: "auto", Listen: freeAddr(t, "127.0.0.1"), Routes: freeAddr(t, "127.0.0.1"), Anonymous: "events"}
	e := env(0)
	e.Keys = k
	return cfg, k, start(t, cfg, e)
}

// plain connects with the stock client. Errors that the server sends later come on the channel.
func plain(t *testing.T, cfg bus.Config, opts ...nats.Option) (*nats.Conn, <-chan error) {
	t.Helper()
	errs := make(chan error, 100)
	opts = append(opts, nats.NoReconnect(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	nc, err := nats.Connect("nats://"+string(cfg.Listen), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, errs
}

func wantDenied(t *testing.T, errs <-chan error, what string) {
	t.Helper()
	select {
	case err := <-errs:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %v, want a permissions violation", what, err)
		}
	case <-time.After(bustest.Patience):
		t.Errorf("%s is not denied", what)
	}
}

// A plain client without any flag reads events and can do nothing else.
func TestAnonymous(t *testing.T) {
	cfg, _, b := secured(t)
	served := make(chan struct{}, 1)
	b.Handle("poke", "", func(context.Context, string, []byte) (any, error) { served <- struct{}{}; return nil, nil })
	nc, errs := plain(t, cfg)
	heard := make(chan *nats.Msg, 100)
	if _, err := nc.ChanSubscribe("everup.*.event.>", heard); err != nil {
		t.Fatal(err)
	}
	nc.Flush()
	b.Emit("vip-active", "vip/a", map[string]int{"n": 1})
	m := <-heard
	want := map[string]string{
		"ce-specversion": "1.0", "ce-type": "everup.lbd.vip-active", "ce-source": "/everup/demo/n0/lbd",
		"ce-subject": "vip/a", "content-type": "application/json",
	}
	for name, value := range want {
		if got := m.Header.Get(name); got != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, m.Header.Get("ce-time")); err != nil || m.Header.Get("ce-id") == "" {
		t.Errorf("ce-time %v, ce-id %q", err, m.Header.Get("ce-id"))
	}
	if m.Subject != "everup.demo.event.lbd.vip-active" || string(m.Data) != `{"n":1}` {
		t.Errorf("got %s %s", m.Subject, m.Data)
	}
	for _, subject := range []string{"everup.demo.event.lbd.forged", "everup.demo.do.lbd.n0.poke", "$SRV.PING", "x"} {
		nc.Publish(subject, []byte("{}"))
		wantDenied(t, errs, "publish to "+subject)
	}
	for _, subject := range []string{"everup.demo.do.>", ">", "_EVERUP.>", "_INBOX.>", "$SRV.>"} {
		nc.SubscribeSync(subject)
		wantDenied(t, errs, "subscribe to "+subject)
	}
	if len(served) > 0 {
		t.Error("a request of an anonymous client was served")
	}
}

// Without anonymous: events a client needs TLS with the fleet's certificate and a password.
func TestClosedToStrangers(t *testing.T) {
	labtest.LeakCheck(t)
	k := keys(t, secretA)
	cfg := bus.Config{Mode: "auto", Listen: freeAddr(t, "127.0.0.1"), Routes: freeAddr(t, "127.0.0.1")}
	e := env(0)
	e.Keys = k
	start(t, cfg, e)
	f := func(what string, opts ...nats.Option) {
		t.Helper()
		nc, err := nats.Connect("nats://"+string(cfg.Listen), append(opts, nats.NoReconnect())...)
		if err == nil {
			nc.Close()
			t.Errorf("%s: connected", what)
		}
	}
	f("nothing")
	f("a password without TLS", nats.UserInfo("operator", k.Password("operator")))
	f("another fleet's certificate", nats.Secure(keys(t, secretB).Client("x")), nats.UserInfo("operator", k.Password("operator")))
	f("no password", nats.Secure(k.Client("x")))
	f("another password", nats.Secure(k.Client("x")), nats.UserInfo("operator", k.Password("daemon")))
	nc, err := nats.Connect("nats://"+string(cfg.Listen), nats.Secure(k.Client("x")), nats.UserInfo("operator", k.Password("operator")))
	if err != nil {
		t.Fatalf("the operator: %v", err)
	}
	nc.Close()
}

// An operator with a stock client finds the services, asks them and reads events, but does not pose as a daemon.
func TestOperator(t *testing.T) {
	cfg, k, b := secured(t)
	b.Handle("poke", "pokes the daemon", func(_ context.Context, from string, body []byte) (any, error) {
		return string(body) + from, nil
	})
	b.Handle("refuse", "", func(context.Context, string, []byte) (any, error) { return nil, fault.New(fault.Denied, "no") })
	nc, errs := plain(t, cfg, nats.Secure(k.Client("op")), nats.UserInfo("operator", k.Password("operator")))
	m, err := nc.Request("$SRV.PING", nil, bustest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	var ping micro.Ping
	if err := json.Unmarshal(m.Data, &ping); err != nil {
		t.Fatal(err)
	}
	if ping.Name != "everup-lbd" || ping.Version != "1.2.3" || ping.Metadata["node"] != "n0" || ping.Metadata["fleet"] != "demo" {
		t.Errorf("$SRV.PING says %+v", ping)
	}
	m, err = nc.Request("$SRV.INFO.everup-lbd", nil, bustest.Patience)
	if err != nil || !strings.Contains(string(m.Data), "everup.demo.do.lbd.n0.poke") || !strings.Contains(string(m.Data), "pokes the daemon") {
		t.Errorf("$SRV.INFO: %v, %s", err, m.Data)
	}
	for _, subject := range []string{"everup.demo.do.lbd.n0.poke", "everup.demo.do.lbd._all.poke", "everup.demo.do._all._all.poke"} {
		if m, err = nc.Request(subject, []byte("1"), bustest.Patience); err != nil || string(m.Data) != `"1"` {
			t.Errorf("%s: %v, %v", subject, m, err)
		}
	}
	m, err = nc.Request("everup.demo.do.lbd.n0.refuse", nil, bustest.Patience)
	if err != nil || m.Header.Get(micro.ErrorCodeHeader) != fmt.Sprint(int(fault.Denied)) || m.Header.Get(micro.ErrorHeader) != "no" {
		t.Errorf("an error came back as %v, %v", m, err)
	}
	m, err = nc.Request("$SRV.STATS.everup-lbd", nil, bustest.Patience)
	if err != nil || !strings.Contains(string(m.Data), `"num_requests":1`) {
		t.Errorf("$SRV.STATS: %v, %s", err, m.Data)
	}
	nc.Publish("everup.demo.event.lbd.forged", []byte("{}"))
	wantDenied(t, errs, "publish an event")
	nc.SubscribeSync("_EVERUP.>")
	wantDenied(t, errs, "read the daemons' inboxes")
}

// foreign starts a daemon on a port that something else holds, and returns what its health says of it.
func foreign(t *testing.T, cfg bus.Config, e bus.Env) string {
	t.Helper()
	e.Health = health.NewRegistry()
	b := startOnly(t, cfg, e)
	labtest.Eventually(t, bustest.Patience, "bus.foreign fails", func() error {
		if s := status(e.Health, "bus.foreign"); s.Level != health.Fail {
			return fmt.Errorf("it is %v", s.Level)
		}
		return nil
	})
	if b.State() != bus.Connecting {
		t.Errorf("the bus is %s", b.State())
	}
	s := status(e.Health, "bus.foreign")
	if s.Hint == "" || strings.Contains(s.Detail+s.Hint, "battery") {
		t.Errorf("hint %q, detail %q", s.Hint, s.Detail)
	}
	return s.Detail
}

// What holds the port is named.
func TestForeign(t *testing.T) {
	want := func(t *testing.T, detail string, parts ...string) {
		t.Helper()
		for _, p := range append(parts, fmt.Sprintf("process %d", os.Getpid())) {
			if !strings.Contains(detail, p) {
				t.Errorf("detail %q lacks %q", detail, p)
			}
		}
	}
	t.Run("secret", func(t *testing.T) {
		cfg, _, _ := secured(t)
		e := env(1)
		e.Keys = keys(t, secretB)
		want(t, foreign(t, cfg, e), "another secret", "n0-lbd")
	})
	t.Run("no secret", func(t *testing.T) {
		labtest.LeakCheck(t)
		cfg := bus.Config{Mode: "auto", Listen: freeAddr(t, "127.0.0.1"), Routes: freeAddr(t, "127.0.0.1")}
		e := env(0)
		e.Keys = keys(t, secretA)
		start(t, cfg, e)
		want(t, foreign(t, cfg, env(1)), "needs the fleet's secret")
	})
	t.Run("fleet", func(t *testing.T) {
		labtest.LeakCheck(t)
		cfg := bus.Config{Mode: "auto", Listen: freeAddr(t, "127.0.0.1"), Routes: freeAddr(t, "127.0.0.1")}
		start(t, cfg, env(0))
		e := env(1)
		e.Fleet = "other"
		want(t, foreign(t, cfg, e), `fleet "demo"`, `"other"`)
	})
	t.Run("no NATS", func(t *testing.T) {
		labtest.LeakCheck(t)
		cfg := bus.Config{Mode: "auto", Listen: babbler(t), Routes: freeAddr(t, "127.0.0.1")}
		want(t, foreign(t, cfg, env(1)), "does not speak NATS")
	})
	t.Run("routes", func(t *testing.T) {
		labtest.LeakCheck(t)
		cfg := bus.Config{Mode: "auto", Listen: freeAddr(t, "127.0.0.1"), Routes: babbler(t)}
		want(t, foreign(t, cfg, env(1)), string(cfg.Routes), "route port")
	})
}

// While a secret is rotated, daemons that hold both find together whichever comes first.
func TestRotation(t *testing.T) {
	labtest.LeakCheck(t)
	cfg := bus.Config{Mode: "auto", Listen: freeAddr(t, "127.0.0.1"), Routes: freeAddr(t, "127.0.0.1")}
	for i, secrets := range [][]string{{secretA, secretB}, {secretB, secretA}, {secretA}} {
		e := env(i)
		e.Keys = keys(t, secrets...)
		if b := start(t, cfg, e); i > 0 && b.State() != bus.Client {
			t.Errorf("bus %d is %s", i, b.State())
		}
	}
}

// babbler listens and greets like an SMTP server.
func babbler(t *testing.T) (addr conf.Addr) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("220 mail.example ESMTP\r\n"))
			bufio.NewReader(c).ReadString('\n')
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return conf.Addr(l.Addr().String())
}
