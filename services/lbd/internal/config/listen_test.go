package config

import (
	"net/netip"
	"testing"

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
		Listener{Addr: ":80", Proxy: off}, Listener{Addr: ":81", HTTP2: true, Proxy: ProxyProtocol{"require", []conf.Prefix{lan}}})
	f("trusted: [10.0.0.0/8]\nlisten: [{addr: ':81', proxy_protocol: accept}]\n", Listener{Addr: ":81", Proxy: ProxyProtocol{Mode: "accept"}})
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
