package config

import (
	"net/netip"
	"testing"

	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/shared/conf"
	"github.com/google/go-cmp/cmp"
)

func TestListen(t *testing.T) {
	off := ProxyProtocol{Mode: "off"}
	lan := conf.Prefix{Prefix: netip.MustParsePrefix("10.0.0.0/8")}
	f := func(yaml string, want ...Listener) {
		t.Helper()
		same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
		if d := cmp.Diff(want, parse(t, yaml).Listen, same); d != "" {
			t.Errorf("%s: -want +got\n%s", yaml, d)
		}
	}
	f("", Listener{Addr: "127.0.0.1:8080", Proxy: off})
	f("listen: [80, '[::1]:81']\n", Listener{Addr: ":80", Proxy: off}, Listener{Addr: "[::1]:81", Proxy: off})
	f("listen: [':80', {addr: ':81', http2: true, proxy_protocol: {mode: require, from: 10.0.0.0/8}}]\n",
		Listener{Addr: ":80", Proxy: off}, Listener{Addr: ":81", HTTP2: usual(), Proxy: ProxyProtocol{"require", []conf.Prefix{lan}}})
	f("trusted: [10.0.0.0/8]\nlisten: [{addr: ':81', proxy_protocol: accept}]\n", Listener{Addr: ":81", Proxy: ProxyProtocol{Mode: "accept"}})
}

// usual is the section http2 where nothing is said in it.
func usual() *HTTP2 {
	return &HTTP2{Enabled: true, Streams: 100, Window: 64 << 10, Grown: 4 << 20, Allow: HTTP2Allowed{50, 100, 5, 500, 10, 100}}
}

// TestMultiplexing: HTTP/2 is spoken over TLS, and elsewhere if it is asked for, by its limits or by its name alone.
func TestMultiplexing(t *testing.T) {
	const tls = "tls: {web: {certificates: /x.pem}}\n"
	f := func(listen string, want *HTTP2) {
		t.Helper()
		var c Config
		if _, err := conf.Parse("lbd.yaml", []byte(tls+"listen: [{addr: ':1'"+listen+"}]\n"), &c, conf.Options{Offline: true}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, c.Listen[0].Multiplexing()); d != "" {
			t.Errorf("%s: -want +got\n%s", listen, d)
		}
	}
	with := func(change func(*HTTP2)) *HTTP2 {
		h := usual()
		change(h)
		return h
	}
	f("", nil)
	f(", http2: true", usual())
	f(", http2: {}", usual())
	f(", http2: false", nil)
	f(", http2: {streams: 7}", with(func(h *HTTP2) { h.Streams = 7 }))
	f(", tls: web", usual())
	f(", tls: web, http2: true", usual())
	f(", tls: web, http2: false", nil)
	f(", tls: web, http2: {enabled: false, streams: 7}", nil)
	f(", tls: web, http2: {window: 1MiB, connection_window: 4MiB, allow: {resets: 500}}", with(func(h *HTTP2) {
		h.Window, h.Shared, h.Allow.Resets = 1<<20, 4<<20, 500
	}))
}

func TestHTTP2Bounds(t *testing.T) {
	f := func(yaml string, want http2.Options) {
		t.Helper()
		c, o := parse(t, "listen: [{addr: ':1', http2: "+yaml+"}]\n"), http2.DefaultOptions()
		c.Listen[0].Multiplexing().Bound(&o)
		if d := cmp.Diff(want, o); d != "" {
			t.Errorf("%s: -want +got\n%s", yaml, d)
		}
	}
	with := func(change func(*http2.Options)) http2.Options {
		o := http2.DefaultOptions()
		o.ConnWindow, o.MaxWindow = 100<<16, 4<<20
		change(&o)
		return o
	}
	f("true", with(func(*http2.Options) {}))
	f("{streams: 1000, window: 1MiB}", with(func(o *http2.Options) {
		o.MaxStreams, o.StreamWindow, o.ConnWindow, o.Allow.Resets = 1000, 1<<20, 64<<20, http2.Allowance{Rate: 50, Burst: 1000}
	}))
	f("{connection_window: 1MiB, allow: {resets: 7, pings: 6, settings: 5, window_updates: 4, empty: 3, meaningless: 2}}", with(func(o *http2.Options) {
		o.ConnWindow, o.Allow = 1<<20, http2.Allowances{
			Resets: http2.Allowance{Rate: 7, Burst: 100}, Pings: http2.Allow(6), Settings: http2.Allow(5), Updates: http2.Allow(4), Empty: http2.Allow(3), Idle: http2.Allow(2),
		}
	}))
	f("{streams: 10000, window: 16MiB, max_window: 0, connection_window: 1GiB, allow: {pings: 1000000}}", with(func(o *http2.Options) {
		o.MaxStreams, o.StreamWindow, o.ConnWindow, o.MaxWindow, o.Allow.Resets.Burst = 10000, 16<<20, 1<<30, 0, 10000
		o.Allow.Pings = http2.Allowance{Rate: 1e6, Burst: 1e7}
	}))
}

func TestProxiesOf(t *testing.T) {
	f := func(yaml, want string) {
		t.Helper()
		c, got := parse(t, yaml), ""
		for _, p := range c.ProxiesOf(&c.Listen[0]) {
			got += p.String() + " "
		}
		if got != want {
			t.Errorf("%s: %q", yaml, got)
		}
	}
	f("trusted: [10.0.0.0/8]\n", "")
	f("trusted: [10.0.0.0/8]\nlisten: [{addr: ':81', proxy_protocol: accept}]\n", "10.0.0.0/8 ")
	f("trusted: [10.0.0.0/8]\nlisten: [{addr: ':81', proxy_protocol: {mode: require, from: [10.1.0.0/16, '::1']}}]\n", "10.1.0.0/16 ::1/128 ")
}
