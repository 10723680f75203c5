package admin

import (
	"net/netip"
	"testing"

	"github.com/everup/everup/shared/conf"
)

func prefixes(list ...string) (out []conf.Prefix) {
	for _, s := range list {
		out = append(out, conf.Prefix{Prefix: netip.MustParsePrefix(s)})
	}
	return out
}

func TestAllowed(t *testing.T) {
	s := newRig()
	f := func(addr string, want bool) {
		t.Helper()
		if got := s.allowed(addr); got != want {
			t.Errorf("allowed(%q) = %v", addr, got)
		}
	}
	f("127.0.0.9:1", true)
	f("[::1]:1", true)
	f("[::ffff:127.0.0.1]:1", true)
	f("10.0.0.1:1", false)
	f("[fe80::1%eth0]:1", false)
	f("nonsense", false)
	s.SetAllow(prefixes("10.0.0.0/8", "fe80::/10"))
	f("10.0.0.1:1", true)
	f("[::ffff:10.0.0.1]:1", true)
	f("[fe80::1%eth0]:1", true)
	f("127.0.0.1:1", false)
}
