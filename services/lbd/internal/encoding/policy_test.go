package encoding

import (
	"testing"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// answer parses an answer with the given field lines.
func answer(t testing.TB, status, fields string) (*http1.Head, []byte) {
	t.Helper()
	in := []byte("HTTP/1.1 " + status + " x\r\n" + fields + "\r\n")
	var h http1.Head
	lim := http1.DefaultLimits()
	if done, why := h.ParseResponse(in, &lim); !done || why != http1.OK {
		t.Fatalf("%q: %s", in, why)
	}
	return &h, in
}

func policy(t testing.TB, types ...string) *Policy {
	t.Helper()
	set, err := ParseTypes(types)
	if err != nil {
		t.Fatal(err)
	}
	return &Policy{Prefer: []Coding{Zstd, Brotli, Gzip}, Types: set, Min: 1024, Level: Middle}
}

func TestJudge(t *testing.T) {
	p := policy(t, DefaultTypes()...)
	h, in := request(t, "GET /", "Accept-Encoding: gzip\r\n")
	takes := ReadAccept(h, in)
	h, in = request(t, "GET /", "")
	silent := ReadAccept(h, in)
	f := func(status, fields string, yes bool) {
		t.Helper()
		h, in := answer(t, status, fields)
		want, wantSilent := Decision{}, Decision{}
		if yes {
			want, wantSilent = Decision{Gzip, true}, Decision{Identity, true}
		}
		if got := p.Judge(h, in, &takes); got != want {
			t.Errorf("%s %q: %v", status, fields, got)
		}
		if got := p.Judge(h, in, &silent); got != wantSilent {
			t.Errorf("%s %q, to a client that takes nothing: %v", status, fields, got)
		}
	}
	const html = "Content-Type: text/html; charset=utf-8\r\n"
	for _, s := range []string{"200", "201", "203", "300", "400", "401", "403", "404", "410", "500", "503"} {
		f(s, html, true)
	}
	for _, s := range []string{"100", "101", "103", "204", "205", "206", "226", "304"} {
		f(s, html, false)
	}
	f("200", "", false)
	f("200", "Content-Type: image/png\r\n", false)
	f("200", html+"Content-Type: image/png\r\n", false)
	f("200", html+html, false)
	f("200", html+"Content-Length: 1023\r\n", false)
	f("200", html+"Content-Length: 0\r\n", false)
	f("200", html+"Content-Length: 1024\r\n", true)
	f("200", html+"Content-Length: 9223372036854775807\r\n", true)
	f("200", html+"Transfer-Encoding: chunked\r\n", true)
	f("200", html+"Content-Encoding: gzip\r\n", false)
	f("200", html+"Content-Encoding: identity\r\n", false)
	f("200", html+"Cache-Control: public, no-transform\r\n", false)
	f("200", html+"Cache-Control: public\r\nCache-Control: No-Transform\r\n", false)
	f("200", html+"Cache-Control: no-transformation\r\n", true)
	f("200", html+"Content-Range: bytes 0-1/2\r\n", false)
	f("200", html+"Content-MD5: x\r\n", false)
	f("200", html+"Digest: x\r\n", false)
	f("200", html+"Repr-Digest: x\r\n", false)
	f("200", html+"Content-Digest: sha-256=:x:\r\n", false)
	f("200", html+"Content-Disposition: inline\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\n", true)
	f("200", "content-type: Application/JSON\r\n", true)
	f("200", "Content-Type: application/problem+json\r\n", true)
	f("200", "Content-Type: text/event-stream\r\n", true)
	f("200", "Content-Type: image/svg+xml\r\n", true)
	f("200", "Content-Type: application/grpc+proto\r\n", false)
	f("200", "Content-Type: application/octet-stream\r\n", false)
	f("200", "Content-Type: text\r\n", false)
	f("200", "Content-Type: text/\r\n", false)
	f("200", "Content-Type: /html\r\n", false)
}

func TestJudgeOwn(t *testing.T) {
	p := policy(t, "text/html")
	h, in := request(t, "GET /", "Accept-Encoding: gzip\r\n")
	takes, silent := ReadAccept(h, in), noAccept()
	f := func(kind string, size int64, a *Accept, want Decision) {
		t.Helper()
		if got := p.JudgeOwn(kind, size, a); got != want {
			t.Errorf("%s of %d: %v, want %v", kind, size, got, want)
		}
	}
	f("text/html; charset=utf-8", 1024, &takes, Decision{Gzip, true})
	f("text/html; charset=utf-8", 1024, &silent, Decision{Identity, true})
	f("text/html; charset=utf-8", 1023, &takes, Decision{})
	f("image/png", 1024, &takes, Decision{})
}

func TestTypes(t *testing.T) {
	f := func(list []string, kind string, want bool) {
		t.Helper()
		set, err := ParseTypes(list)
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Has([]byte(kind)); got != want {
			t.Errorf("%v has %q: %v", list, kind, got)
		}
	}
	all := []string{"*/*"}
	f(all, "a/b", true)
	f(all, "image/jpeg", false)
	f(all, "Image/JPEG;q=1", false)
	f(all, "video/mp4", false)
	f([]string{"video/mp4", "image/png"}, "video/mp4", true)
	f([]string{"video/mp4", "image/png"}, "image/png;a=b", true)
	f([]string{"*/*+zip"}, "a/b+zip", true)
	f([]string{"*/*+zip"}, "a/zip", false)
	f([]string{"Text/HTML"}, "text/html", true)
	f([]string{"text/html"}, "text/html5", false)
	f([]string{"text/html"}, "text/html ; charset=x", true)
	f([]string{"text/html"}, "text/html\tx", true)
	f(nil, "text/html", false)
	f(nil, "", false)
	long := make([]byte, longestType+1)
	for i := range long {
		long[i] = 'a'
	}
	f(all, "a/"+string(long), false)
	for _, bad := range []string{"", "text", "text/", "/html", "*", "*/html", "te*t/html", "text/*a*", "text/a*", "text/html;q=1", "a b/c"} {
		if _, err := ParseTypes([]string{bad}); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestJudgeAllocates(t *testing.T) {
	p := policy(t, "text/html", "application/*+json")
	h, in := request(t, "GET /", "Accept-Encoding: gzip\r\n")
	a := ReadAccept(h, in)
	for _, kind := range []string{"text/html", "application/problem+json; charset=utf-8"} {
		h, in := answer(t, "200", "Content-Type: "+kind+"\r\nContent-Length: 5000\r\nCache-Control: private, max-age=1\r\n")
		if n := testing.AllocsPerRun(100, func() {
			if p.Judge(h, in, &a).Coding != Gzip {
				t.Fatal("not gzip")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}
