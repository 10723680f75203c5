package forwarded

import (
	"mime"
	"net/netip"
	"strings"
	"testing"
)

func TestAppend(t *testing.T) {
	f := func(e Element, want string) {
		t.Helper()
		if got := string(Append([]byte("x, "), &e)); got != "x, "+want {
			t.Errorf("%+v: %s, want %s", e, got, want)
		}
	}
	at := netip.MustParseAddr
	f(Element{For: at("192.0.2.60"), Proto: "http"}, "for=192.0.2.60;proto=http")
	f(Element{For: at("::ffff:192.0.2.60"), Proto: "http"}, "for=192.0.2.60;proto=http")
	f(Element{For: at("2001:db8:cafe::17"), Proto: "https", Host: []byte("example.com")}, `for="[2001:db8:cafe::17]";proto=https;host=example.com`)
	f(Element{For: at("fe80::1%eth0"), Proto: "https"}, `for="[fe80::1]";proto=https`)
	f(Element{For: at("192.0.2.60"), Proto: "https", Host: []byte("example.com:8443")}, `for=192.0.2.60;proto=https;host="example.com:8443"`)
	f(Element{For: at("192.0.2.60"), Proto: "https", Host: []byte("[2001:db8::1]")}, `for=192.0.2.60;proto=https;host="[2001:db8::1]"`)
	f(Element{For: at("192.0.2.60"), Proto: "http", Host: []byte(`a"b\c;x=`)}, `for=192.0.2.60;proto=http;host="a\"b\\c;x="`)
	f(Element{Hidden: 0, Proto: "http"}, "for=_0;proto=http")
	f(Element{Hidden: 1<<64 - 1, Proto: "http"}, "for=_3w5e11264sgsf;proto=http")
}

// Whatever the host, the element stays one, and gives it back.
func FuzzHost(f *testing.F) {
	f.Add(`a";for=1.2.3.4, for="`)
	f.Fuzz(func(t *testing.T, host string) {
		if strings.ContainsFunc(host, func(c rune) bool { return c < ' ' || c > '~' }) || host == "" {
			return // a head that has such a host is refused
		}
		_, got, err := mime.ParseMediaType("x/y;" + string(Append(nil, &Element{For: netip.IPv4Unspecified(), Proto: "http", Host: []byte(host)})))
		if err != nil || got["host"] != host || got["for"] != "0.0.0.0" || len(got) != 3 {
			t.Errorf("%q came back as %q, %v", host, got, err)
		}
	})
}
