package encoding

import (
	"testing"

	"github.com/everup/everup/services/lbd/internal/http1"
)

func TestDrops(t *testing.T) {
	d := Decision{Coding: Gzip}
	for name, want := range map[string]bool{"Content-Length": true, "Accept-Ranges": true, "ETag": false, "Content-Type": false, "Accept-Rangex": false, "Vary": false} {
		if got := d.Drops(http1.Lookup([]byte(name)), []byte(name)); got != want {
			t.Errorf("%s: %v", name, got)
		}
		if (Decision{Vary: true}).Drops(http1.Lookup([]byte(name)), []byte(name)) {
			t.Errorf("%s of what stays as it is", name)
		}
	}
}

func TestNamesAcceptEncoding(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "Accept": false, "Accept-Encoding": true, "Cookie, accept-encoding": true, "*": true, "Accept-Encodings": false, "origin,*": true,
	} {
		if got := NamesAcceptEncoding([]byte(value)); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

func TestTags(t *testing.T) {
	for tag, want := range map[string]string{`"a"`: `W/"a"`, `W/"a"`: `W/"a"`, `""`: `W/""`} {
		if got := string(AppendWeak(nil, []byte(tag))); got != want {
			t.Errorf("%s: %s", tag, got)
		}
	}
	for list, want := range map[string]string{
		`W/"a"`: `"a"`, `"a", W/"b"`: `"a", "b"`, `*`: `*`, `"W/"`: `"W/"`, `"xW/",W/"y"`: `"xW/","y"`, ``: ``, `W/`: `W/`, `W`: `W`,
	} {
		if got := string(AppendStrong(nil, []byte(list))); got != want {
			t.Errorf("%s: %s, want %s", list, got, want)
		}
	}
}

func TestRestores(t *testing.T) {
	f := func(first, fields string, want bool) {
		t.Helper()
		h, in := request(t, first, fields)
		if got := Restores(h, in); got != want {
			t.Errorf("%s %q: %v", first, fields, got)
		}
	}
	for _, m := range []string{"PUT", "PATCH", "DELETE", "POST"} {
		f(m+" /", "If-Match: W/\"a\"\r\n", true)
	}
	for _, m := range []string{"GET", "HEAD", "OPTIONS"} {
		f(m+" /", "If-Match: W/\"a\"\r\n", false)
	}
	f("PUT /", "Content-Range: bytes 0-1/2\r\n", false)
	f("DELETE /", "Range: bytes=0-1\r\n", false)
}

func TestReweaken(t *testing.T) {
	f := func(fields, tag string, want bool) {
		t.Helper()
		h, in := request(t, "GET /", fields)
		if got := ReweakenETag(h, in, []byte(tag)); got != want {
			t.Errorf("%q %s: %v", fields, tag, got)
		}
	}
	f(`If-None-Match: W/"a"`+"\r\n", `"a"`, true)
	f(`If-None-Match: "a"`+"\r\n", `"a"`, false)
	f(`If-None-Match: "b", W/"a"`+"\r\n", `"a"`, true)
	f(`If-None-Match: "a", W/"a"`+"\r\n", `"a"`, false)
	f("If-None-Match: W/\"a\"\r\nIf-None-Match: \"a\"\r\n", `"a"`, false)
	f(`If-None-Match: W/"a"`+"\r\n", `W/"a"`, false)
	f(`If-None-Match: W/"a"`+"\r\n", `"b"`, false)
	f(`If-None-Match: *`+"\r\n", `"a"`, false)
	f(`If-None-Match: W/"a`+"\r\n", `"a"`, false)
	f("", `"a"`, false)
	f(`If-None-Match: W/"a"`+"\r\n", ``, false)
}
