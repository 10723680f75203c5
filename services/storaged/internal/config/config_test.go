package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/everup/everup/shared/conf"
)

func TestConfig(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("storaged.yaml", []byte(src), &c, conf.Options{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
	f("node: n1\n", "")
	f("allow_write: [10.0.0.0/8]\nmax_object: 1GiB\n", "")
	f("uploads: 0\n", "uploads:")
	f("upload: {idl: 3s}\n", "did you mean")
}

func TestDefaultsAreLoopbackOnly(t *testing.T) {
	var c Config
	conf.SetDefaults(&c)
	if !c.Listen.Loopback() {
		t.Errorf("listens on %s without being told", c.Listen)
	}
	may := func(s string) (ok bool) {
		for _, p := range c.Limits().Writers {
			ok = ok || p.Contains(netip.MustParseAddr(s))
		}
		return ok
	}
	if !may("127.0.0.1") || !may("::1") || may("192.0.2.1") || may("2001:db8::1") {
		t.Error("others than loopback may write, or loopback may not")
	}
}
