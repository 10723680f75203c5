package encoding

import (
	"bytes"
	"strings"
	"testing"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// request parses a request with the given field lines.
func request(t testing.TB, first, fields string) (*http1.Head, []byte) {
	t.Helper()
	in := []byte(first + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n")
	var h http1.Head
	lim := http1.DefaultLimits()
	if done, why := h.ParseRequest(in, &lim); !done || why != http1.OK {
		t.Fatalf("%q: %s", in, why)
	}
	return &h, in
}

func TestChoose(t *testing.T) {
	f := func(fields string, want Coding) {
		t.Helper()
		h, in := request(t, "GET /", fields)
		a := ReadAccept(h, in)
		if got := a.Choose([]Coding{Zstd, Brotli, Gzip}); got != want {
			t.Errorf("%q: %s, want %s", fields, got, want)
		}
	}
	ae := func(value string, want Coding) { t.Helper(); f("Accept-Encoding: "+value+"\r\n", want) }
	f("", Identity)
	ae("", Identity)
	ae("gzip", Gzip)
	ae("GZip", Gzip)
	ae("x-gzip", Gzip)
	ae("br", Brotli)
	ae("zstd", Zstd)
	ae("deflate", Identity)
	ae("compress, deflate, exi", Identity)
	ae("gzip, deflate, br, zstd", Zstd) // as browsers send it
	ae("gzip, deflate, br", Brotli)
	ae("gzip,deflate,br,,", Brotli)
	ae("*", Zstd)
	ae("*;q=0", Identity)
	ae("*;q=0, gzip", Gzip)
	ae("*, zstd;q=0", Brotli)
	ae("*;q=0.5, gzip", Gzip)

	// The client's weights come before the server's preference.
	ae("gzip;q=1.0, br;q=0.9, zstd;q=0.8", Gzip)
	ae("gzip;q=0.8, br;q=0.8, zstd;q=0.1", Brotli)
	ae("gzip; q=0.123 , br ;q=0.124", Brotli)
	ae("gzip;Q=0.5", Gzip)
	ae("br;q=0.001", Brotli)
	ae("br;q=0", Identity)
	ae("br;q=0.000", Identity)
	ae("gzip;q=0.", Identity)
	ae("gzip;q=1., br;q=0.5", Gzip)

	// identity
	ae("identity", Identity)
	ae("identity, gzip", Gzip)
	ae("identity;q=0.5, gzip;q=0.4", Identity)
	ae("identity;q=0.5, gzip;q=0.5", Gzip)
	ae("identity;q=0, gzip", Gzip)
	ae("identity;q=0", Identity) // refused, but there is nothing else
	ae("identity;q=0, *", Zstd)
	ae("identity, *;q=0", Identity)

	// twice
	ae("gzip;q=0, gzip", Identity)
	ae("gzip, gzip;q=0", Identity)
	ae("br;q=0.5, br;q=1, gzip;q=0.6", Gzip)
	f("Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n", Brotli)
	f("Accept-Encoding: gzip\r\nAccept-Encoding: br;q=2\r\n", Identity)

	// nonsense
	for _, v := range []string{
		"gzip;q=1.5", "gzip;q=1.001", "gzip;q=-1", "gzip;q=0.1234", "gzip;q=.5", "gzip;q=", "gzip;q", "gzip;", "gzip;q=a",
		"gzip;q = 0.5", "gzip;level=5", "gzip;q=0.5;a=b", "gz ip", "gzip br", "\"gzip\"", "gzip/br", ";q=1", "gzip;;q=1", "gzip;q=10", "gzip;q=01", "gzip;q=0.5 x", "**;q=@",
		"gzip;q=1e0", "gzip;q=1.0.0",
	} {
		ae(v, Identity)
		ae("br, "+v, Identity)
	}
	ae("gzip;q=0,5", Identity) // two elements
	ae(strings.Repeat("a,", 31)+"gzip", Gzip)
	ae(strings.Repeat("a,", 32)+"gzip", Identity)
	ae(strings.Repeat(" ", 10)+"gzip"+strings.Repeat(",", MaxAccept), Identity)
	f("Accept-Encoding: gzip\r\n"+strings.Repeat("Accept-Encoding: "+strings.Repeat("a", 100)+"\r\n", 11), Identity)

	f("Accept-Encoding: gzip\r\nCache-Control: no-cache, no-transform\r\n", Identity)
	f("Cache-Control: max-age=0\r\nAccept-Encoding: gzip\r\n", Gzip)
}

// What the server does not offer is not chosen.
func TestChooseOffered(t *testing.T) {
	h, in := request(t, "GET /", "Accept-Encoding: gzip, br;q=0.5, zstd\r\n")
	a := ReadAccept(h, in)
	for want, prefer := range map[Coding][]Coding{Identity: nil, Gzip: {Brotli, Gzip}, Brotli: {Brotli}, Zstd: {Zstd, Gzip}} {
		if got := a.Choose(prefer); got != want {
			t.Errorf("%v: %s", prefer, got)
		}
	}
}

func TestAcceptAllocates(t *testing.T) {
	h, in := request(t, "GET /", "Accept-Encoding: gzip, deflate, br;q=0.9, zstd\r\n")
	prefer := []Coding{Zstd, Brotli, Gzip}
	if n := testing.AllocsPerRun(100, func() {
		a := ReadAccept(h, in)
		if a.Choose(prefer) != Zstd {
			t.Fatal("not zstd")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzAccept: what is chosen is offered, and has a weight that the field gives it by a reading that is written down in another way.
func FuzzAccept(f *testing.F) {
	for _, s := range []string{"gzip, br;q=0.5", "*;q=0.1,identity;q=0", "x-gzip;q=1.000", "br;q=0.12, br", "a;q=0.5;b"} {
		f.Add([]byte(s))
	}
	prefer := []Coding{Brotli, Gzip, Zstd}
	f.Fuzz(func(t *testing.T, value []byte) {
		a := noAccept()
		a.add(value)
		got := a.Choose(prefer)
		if got == Identity {
			return
		}
		if len(value) > MaxAccept {
			t.Fatalf("%q: %s", value, got)
		}
		text := strings.ToLower(string(value))
		if !strings.Contains(text, got.String()) && !strings.Contains(text, "*") {
			t.Fatalf("%q: %s, which it does not name", value, got)
		}
		if bytes.ContainsAny(value, "\"\\()<>@:/?{}[]") || bytes.IndexByte(value, 0) >= 0 {
			t.Fatalf("%q: taken", value)
		}
		for _, e := range strings.Split(text, ",") {
			name, q, _ := strings.Cut(e, ";")
			q = strings.Trim(q, " \t")
			if name = strings.Trim(name, " \t"); name == got.String() && strings.Trim(strings.TrimPrefix(q, "q=0"), ".0") == "" && q != "" {
				t.Fatalf("%q: %s, which it refuses", value, got)
			}
		}
	})
}
