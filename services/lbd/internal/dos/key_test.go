package dos

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
)

func TestKeys(t *testing.T) {
	f := func(n Nets, addr, want string) {
		t.Helper()
		k := n.Key(netip.MustParseAddr(addr))
		if k.String() != want {
			t.Errorf("%v of %s: %q, want %q", n, addr, k, want)
		}
		if back, err := ParseKey(want); err != nil || back != k {
			t.Errorf("%s read again: %v, %v", want, back, err)
		}
	}
	f(Nets{32, 64}, "192.0.2.77", "192.0.2.77")
	f(Nets{24, 64}, "192.0.2.77", "192.0.2.0/24")
	f(Nets{20, 64}, "::ffff:192.0.31.77", "192.0.16.0/20")
	f(Nets{32, 64}, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")
	f(Nets{32, 128}, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6")
	f(Nets{32, 61}, "2001:db8:1:f::1", "2001:db8:1:8::/61")
	f(Nets{0, 0}, "192.0.2.1", "0.0.0.0/0")
	f(Nets{0, 0}, "2001:db8::1", "::/0")

	if k := (Nets{32, 64}).Key(netip.Addr{}); k.Valid() || k.String() != "" {
		t.Errorf("the key of no address: %v", k)
	}
	a, b := ValueKey([]byte("a")), ValueKey([]byte("b"))
	if a == b || a.String() == b.String() || !strings.HasPrefix(a.String(), "value:ca978112ca1bbdca") {
		t.Errorf("keys of values: %v, %v", a, b)
	}
	if back, err := ParseKey(a.String()); err != nil || back != a {
		t.Errorf("a value's key read again: %v, %v", back, err)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, s := range []string{
		"", "x", "192.0.2.1/24", "192.0.2.1/33", "fe80::1%eth0", "value:", "value:zz", "::ffff:1.2.3.0/120",
		"value:00", "value:0011223344556677889900112233445g",
	} {
		if k, err := ParseKey(s); fault.Of(err) != fault.Invalid || k.Valid() {
			t.Errorf("%q: %v, %v", s, k, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "10.0.0.0/8", "2001:db8::/64", "::ffff:1.2.3.4", "value:00112233445566778899aabbccddeeff", "::/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKey(s)
		if err != nil {
			if fault.Of(err) != fault.Invalid || k.Valid() {
				t.Errorf("%q: %v, %v", s, k, err)
			}
			return
		}
		back, err := ParseKey(k.String())
		if err != nil || back != k {
			t.Errorf("%q is %v, which reads as %v, %v", s, k, back, err)
		}
		if p, ok := k.Prefix(); ok && p != p.Masked() {
			t.Errorf("%q is %v", s, p)
		}
	})
}
