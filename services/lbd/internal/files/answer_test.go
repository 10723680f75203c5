package files

import (
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/shared/labtest"
)

// TestAnswers compares whole answers with testdata/answers.txt.
func TestAnswers(t *testing.T) {
	var out strings.Builder
	plain := Options{Index: []string{"index.html"}}
	all := Options{Index: []string{"index.html"}, Listing: true, Precompressed: []encoding.Coding{encoding.Brotli, encoding.Gzip}, MaxAge: time.Hour, Fallback: "/index.html"}
	f := func(o Options, requests ...string) {
		t.Helper()
		files := newFake()
		tree := New(files, o)
		var a Answer
		for _, r := range requests {
			ask(t, tree, r, &a)
			out.WriteString("> " + strings.ReplaceAll(r, "\n", "\n> ") + "\n" + show(&a, files.read) + "\n\n")
			if a.Status >= 400 && len(a.Content) > 0 {
				t.Errorf("%s: content with %d", r, a.Status)
			}
			a.Close()
			if files.open != 0 {
				t.Fatalf("%s: %d left open", r, files.open)
			}
		}
	}
	f(plain, "GET /a.txt", "HEAD /a.txt", "HEAD /a.txt\nRange: bytes=1-2", "OPTIONS /a.txt", "POST /a.txt", "GET /empty", "GET /", "GET /sub/", "GET /sub?x=1&y=/",
		"GET /missing", "GET /shut.txt", "GET /busy.txt", "GET /broken.txt", "GET /bare/", "GET /dev",
		"GET /a.txt\nRange: bytes=2-5", "GET /a.txt\nRange: bytes=0-0, -2, 5-7", "GET /a.txt\nRange: bytes=20-",
		"GET /a.txt\nIf-None-Match: *", "GET /a.txt\nIf-Match: \"x\"", "GET /fresh.txt", "GET /future.txt")
	f(all, "GET /bare/", "HEAD /bare/", "GET /bare/deep/", "GET /style.css\nAccept-Encoding: gzip", "HEAD /style.css\nAccept-Encoding: br, gzip",
		"GET /style.css\nAccept-Encoding: br\nRange: bytes=1-2", "GET /style.css", "GET /style.css\nAccept-Encoding: br\nIf-None-Match: *",
		"GET /style.css\nAccept-Encoding: identity;q=0", "GET /no/such/page")
	labtest.Golden(t, "answers.txt", out.String())
}

// TestPaths: what is served, by path.
func TestPaths(t *testing.T) {
	f := func(o Options, path, want string) {
		t.Helper()
		files := newFake()
		var a Answer
		ask(t, New(files, o), "GET "+path, &a)
		if got := status(&a, files); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		a.Close()
		if files.open != 0 {
			t.Errorf("%s: %d left open", path, files.open)
		}
	}
	plain := Options{Index: []string{"none.html", "index.html"}}
	f(plain, "/a.txt", "200 0123456789abcdefghij")
	f(plain, "/%61.txt", "200 0123456789abcdefghij")
	f(plain, "/a.txt/", "404")
	f(plain, "/a.txt/x", "404")
	f(plain, "/", "200 <p>top</p>")
	f(plain, "/sub/", "200 <p>sub</p>")
	f(plain, "/bare/", "403")
	f(plain, "/missing/", "404")
	f(plain, "/.git/config", "404")
	f(plain, "/.git", "404")
	f(plain, "/bare/.secret", "404")
	f(plain, "/.well-known/x", "200 public")
	f(plain, "/.well-known/.x", "404")
	f(plain, "/.well-knownx", "404")
	f(plain, "/sub/.well-known/x", "404")
	f(plain, "/dev", "403")
	f(plain, "/dev/", "404")
	f(plain, "/style.css.gz", "200 gzip!")
	f(plain, "/only.js", "404")
	f(Options{Hidden: true}, "/.git/config", "200 secret")
	f(Options{Index: []string{"deep"}}, "/bare/", "403")
	f(Options{Index: []string{"shut.txt"}}, "/", "403")
	single := Options{Fallback: "/index.html"}
	f(single, "/app/route", "200 <p>top</p>")
	f(single, "/shut.txt", "403")
	f(single, "/.git/config", "200 <p>top</p>")
	f(Options{Fallback: "/none.html"}, "/app", "404")
	f(Options{Precompressed: []encoding.Coding{encoding.Gzip}}, "/only.js", "404")
}

// TestRedirects: a directory gets its "/", on this host whatever the path is.
func TestRedirects(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		files := newFake()
		var a Answer
		ask(t, New(files, Options{}), "GET "+path, &a)
		if a.Status != 301 || len(a.Fields) != 1 || a.Fields[0].Name != "Location" || string(a.Fields[0].Value) != want {
			t.Errorf("%s: %s", path, show(&a, files.read))
		}
	}
	f("/sub", "/sub/")
	f("/s%75b?", "/s%75b/?")
	f("/sub?a=b?c", "/sub/?a=b?c")
	f("//sub", "/sub/")
	f("///sub?q", "/sub/?q")
	f("http://a.test/sub?q", "/sub/?q")
	// A directory behind a prefix that a rule takes off: the path is the client's.
	files := newFake()
	raw := "GET /\\evil.test\\..%2f/files/sub HTTP/1.1\r\nHost: a\r\n\r\n"
	var a Answer
	tree := New(files, Options{})
	askPath(t, tree, raw, "/sub", &a)
	if got := string(a.Fields[0].Value); got != "/evil.test%5C..%2f/files/sub/" {
		t.Errorf("location %s", got)
	}
	askPath(t, tree, "GET /sub/ HTTP/1.1\r\nHost: a\r\n\r\n", "/sub", &a)
	if a.Status != 403 {
		t.Errorf("a rewritten path: %d", a.Status)
	}
}

// TestConditions are those of RFC 9110 section 13, in their order.
func TestConditions(t *testing.T) {
	const tag, other = `"{}"`, `"x"`
	const before, at, after = "Fri, 20 Nov 2026 08:30:14 GMT", "Fri, 20 Nov 2026 08:30:15 GMT", "Fri, 20 Nov 2026 08:30:16 GMT"
	files := newFake()
	tree := New(files, Options{})
	var a Answer
	ask(t, tree, "GET /a.txt", &a)
	own := string(a.etag)
	f := func(want int, fields ...string) {
		t.Helper()
		for _, method := range []string{"GET", "HEAD"} {
			ask(t, tree, strings.ReplaceAll(method+" /a.txt\n"+strings.Join(fields, "\n"), `"{}"`, own), &a)
			if a.Status != want {
				t.Errorf("%s %q: %d, want %d", method, fields, a.Status, want)
			}
		}
	}
	f(200, "If-Match: "+tag)
	f(200, "If-Match: *")
	f(200, "If-Match: "+other+", "+tag)
	f(200, "If-Match: "+other, "If-Match: "+tag)
	f(412, "If-Match: "+other)
	f(412, "If-Match: W/"+tag)
	f(412, "If-Match: x")
	f(412, "If-Match: ")
	f(412, `If-Match: "a" "{}"`)
	f(412, "If-Match: "+other, "If-Unmodified-Since: "+at) // the first counts
	f(200, "If-Match: "+tag, "If-Unmodified-Since: "+before)
	f(412, "If-Match: "+other, "If-None-Match: "+tag)
	f(200, "If-Unmodified-Since: "+at)
	f(200, "If-Unmodified-Since: "+after)
	f(412, "If-Unmodified-Since: "+before)
	f(200, "If-Unmodified-Since: yesterday")
	f(200, "If-Unmodified-Since: "+before, "If-Unmodified-Since: "+before)
	f(304, "If-None-Match: "+tag)
	f(304, "If-None-Match: W/"+tag)
	f(304, "If-None-Match: *")
	f(304, `If-None-Match: "a,b" , ,"{}"`)
	f(200, "If-None-Match: "+other)
	f(200, `If-None-Match: "a, "{}"`)
	f(200, "If-None-Match: "+other, "If-Modified-Since: "+at) // the first counts
	f(304, "If-None-Match: "+tag, "If-Modified-Since: "+before)
	f(304, "If-Modified-Since: "+at)
	f(304, "If-Modified-Since: "+after)
	f(304, "If-Modified-Since: Friday, 20-Nov-26 08:30:15 GMT")
	f(304, "If-Modified-Since: Fri Nov 20 08:30:15 2026")
	f(200, "If-Modified-Since: "+before)
	f(200, "If-Modified-Since: 1795163415")
	f(200, "If-Modified-Since: "+at, "If-Modified-Since: "+at)
	f(304, "If-Unmodified-Since: "+at, "If-Modified-Since: "+at)
	f(412, "If-Unmodified-Since: "+before, "If-Modified-Since: "+after)
	f(304, "If-None-Match: "+tag, "Range: bytes=0-1")
}

// TestIfRange: a part is sent only to who has the rest of the same.
func TestIfRange(t *testing.T) {
	files := newFake()
	tree := New(files, Options{})
	var a Answer
	f := func(file, condition string, want int) {
		t.Helper()
		ask(t, tree, "GET /"+file, &a)
		own := string(a.etag)
		ask(t, tree, "GET /"+file+"\nRange: bytes=1-2\n"+strings.ReplaceAll(condition, "{}", own), &a)
		if a.Status != want {
			t.Errorf("%s %s: %d, want %d", file, condition, a.Status, want)
		}
	}
	f("a.txt", "If-Range: {}", 206)
	f("a.txt", "If-Range: W/{}", 200)
	f("a.txt", `If-Range: "x"`, 200)
	f("a.txt", `If-Range: {}, "x"`, 200)
	f("a.txt", "If-Range: *", 200)
	f("a.txt", "If-Range: {}\nIf-Range: {}", 200)
	f("a.txt", "If-Range: Fri, 20 Nov 2026 08:30:15 GMT", 206)
	f("a.txt", "If-Range: Fri, 20 Nov 2026 08:30:16 GMT", 200)
	f("fresh.txt", "If-Range: {}", 200) // it may change within this tick
	f("second.txt", "If-Range: Mon, 23 Nov 2026 08:59:58 GMT", 206)
	f("fresh.txt", "If-Range: Mon, 23 Nov 2026 08:59:59 GMT", 200)
	f("future.txt", "If-Range: Mon, 23 Nov 2026 09:00:00 GMT", 200)
}

// TestTypes are by extension.
func TestTypes(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		if got := typeOf([]byte(name)); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	f("a.txt", "text/plain; charset=utf-8")
	f("sub/Photo.JPEG", "image/jpeg")
	f("page.HTML", "text/html; charset=utf-8")
	f("noext", unknownType)
	f("v1.2/noext", unknownType)
	f("html", unknownType)
	f("a.", unknownType)
	f("archive.tar.gz", "application/gzip")
	f("x.averyveryverylongext", unknownType)
	for ext := range types {
		if len(ext) > 11 {
			t.Errorf("%s is never found", ext)
		}
	}
}

// TestCodings: which sibling is served.
func TestCodings(t *testing.T) {
	files := newFake()
	tree := New(files, Options{Precompressed: []encoding.Coding{encoding.Brotli, encoding.Zstd, encoding.Gzip}})
	const plain, br, gz = "200 body { color: black }", "200 brotli", "200 gzip!"
	f := func(path, accept, want string) {
		t.Helper()
		var a Answer
		ask(t, tree, "GET "+path+"\n"+accept, &a)
		if got := status(&a, files); got != want {
			t.Errorf("%s %s: %s, want %s", path, accept, got, want)
		}
		a.Close()
	}
	f("/style.css", "", plain)
	f("/style.css", "Accept-Encoding: ", plain)
	f("/style.css", "Accept-Encoding: gzip", gz)
	f("/style.css", "Accept-Encoding: GZIP", gz)
	f("/style.css", "Accept-Encoding: x-gzip", gz)
	f("/style.css", "Accept-Encoding: deflate", plain)
	f("/style.css", "Accept-Encoding: gzip, deflate, br, zstd", br)
	f("/style.css", "Accept-Encoding: zstd, gzip;q=0.5", gz)
	f("/style.css", "Accept-Encoding: br;q=0.9, gzip;q=0.95", gz)
	f("/style.css", "Accept-Encoding: br ; q=0.001", br)
	f("/style.css", "Accept-Encoding: gzip\nAccept-Encoding: br", br)
	f("/style.css", "Accept-Encoding: *", br)
	f("/style.css", "Accept-Encoding: *, br;q=0", gz)
	f("/style.css", "Accept-Encoding: *;q=0", plain) // refused, but there is nothing else
	f("/style.css", "Accept-Encoding: *;q=0, identity", plain)
	f("/style.css", "Accept-Encoding: identity;q=0, gzip;q=0.1", gz)
	f("/style.css", "Accept-Encoding: identity;q=0", plain)
	f("/style.css", "Accept-Encoding: identity, gzip;q=0.5", plain)
	f("/style.css", "Accept-Encoding: gzip;q=0, br;q=0.000", plain)
	f("/style.css", "Accept-Encoding: gzip;q=2", plain)
	f("/style.css", "Accept-Encoding: gzip;q=1.000000000", plain)
	f("/style.css", "Accept-Encoding: gzip;quality=1", plain)
	f("/stale.js", "Accept-Encoding: br", "200 new")
	f("/stale.js", "Accept-Encoding: br, identity;q=0", "200 new")
	f("/a.txt", "Accept-Encoding: br", "200 0123456789abcdefghij")
}

// TestNoMemory: an answer costs none.
func TestNoMemory(t *testing.T) {
	tree := New(quiet{}, Options{Index: []string{"index.html"}, Precompressed: []encoding.Coding{encoding.Brotli}, MaxAge: time.Hour})
	raw := []byte("GET /a.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\nIf-None-Match: \"x\"\r\nIf-Modified-Since: Fri, 20 Nov 2026 08:30:15 GMT\r\nRange: bytes=0-1,4-5\r\n\r\n")
	r := parse(t, raw, "/a.txt")
	var a Answer
	if n := testing.AllocsPerRun(100, func() { tree.Answer(r, &a) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if a.Status != 206 {
		t.Errorf("status %d", a.Status)
	}
}

func BenchmarkAnswer(b *testing.B) {
	tree := New(quiet{}, Options{Index: []string{"index.html"}})
	r := parse(b, []byte("GET /a.txt HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n"), "/a.txt")
	var a Answer
	for b.Loop() {
		tree.Answer(r, &a)
	}
}
