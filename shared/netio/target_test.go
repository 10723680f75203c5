package netio

import (
	"net"
	"net/netip"
	"testing"
)

func TestTargetFits(t *testing.T) {
	tcp := func(s string) localAddr {
		return localAddr{stream: true, listening: true, addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s))}
	}
	udp := func(s string) localAddr {
		return localAddr{addr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s))}
	}
	path := localAddr{stream: true, listening: true, addr: &net.UnixAddr{Name: "/run/s", Net: "unix"}}
	tests := []struct {
		network, addr string
		have          localAddr
		want          bool
	}{
		{"tcp", "192.0.2.1:80", tcp("192.0.2.1:80"), true},
		{"tcp", "192.0.2.1:80", tcp("[::ffff:192.0.2.1]:80"), true},
		{"tcp", "192.0.2.1:0", tcp("192.0.2.1:80"), true},
		{"tcp", "192.0.2.1:80", tcp("192.0.2.2:80"), false},
		{"tcp", "192.0.2.1:80", tcp("192.0.2.1:81"), false},
		{"tcp", "192.0.2.1:80", tcp("0.0.0.0:80"), false},
		{"tcp", "0.0.0.0:80", tcp("192.0.2.1:80"), false},
		{"tcp", "0.0.0.0:80", tcp("[::]:80"), false},
		{"tcp", ":80", tcp("[::]:80"), true},
		{"tcp", ":80", tcp("0.0.0.0:80"), true},
		{"tcp", ":80", tcp("192.0.2.1:80"), false},
		{"tcp6", ":80", tcp("0.0.0.0:80"), false},
		{"tcp4", ":80", tcp("[::]:80"), false},
		{"tcp", "[fe80::1%lo]:80", tcp("[fe80::1]:80"), true},
		{"tcp", "192.0.2.1:80", udp("192.0.2.1:80"), false},
		{"udp", "192.0.2.1:80", udp("192.0.2.1:80"), true},
		{"udp", "192.0.2.1:80", tcp("192.0.2.1:80"), false},
		{"tcp", "192.0.2.1:80", localAddr{stream: true, addr: tcp("192.0.2.1:80").addr}, false},
		{"unix", "/run/s", path, true},
		{"unix", "/run//x/../s", path, true},
		{"unix", "/run/t", path, false},
		{"tcp", ":80", path, false},
		{"unix", "/run/s", tcp("192.0.2.1:80"), false},
	}
	for _, tt := range tests {
		tg, err := parseTarget(tt.network, tt.addr, tt.network == "unix" || tt.network[:3] == "tcp")
		if err != nil {
			t.Fatal(err)
		}
		if got := tg.fits(tt.have); got != tt.want {
			t.Errorf("%s fits %s: %t, want %t", tg, tt.have, got, tt.want)
		}
	}
}
