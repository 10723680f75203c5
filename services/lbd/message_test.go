package lbd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newID is an id that lbd makes.
var newID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// seen runs lbd before a backend that keeps the request it got.
func seen(t testing.TB, extra, top, send string) http.Header {
	t.Helper()
	got := make(chan http.Header, 1)
	addr := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		h := r.Header.Clone()
		h.Set("Host", r.Host)
		h.Set("Target", r.RequestURI)
		if newID.MatchString(h.Get("X-Request-Id")) {
			h.Set("X-Request-Id", "new")
		}
		got <- h
	})
	b := start(t, top+poolYAML(extra, addr))
	raw(t, b.addr, strings.ReplaceAll(send, "\n", "\r\n"))
	return <-got
}

func TestFieldsAreForwarded(t *testing.T) {
	f := func(extra, top, send string, want http.Header) {
		t.Helper()
		if diff := cmp.Diff(want, seen(t, extra, top, send)); diff != "" {
			t.Errorf("fields at the backend (-want +got):\n%s", diff)
		}
	}
	f("", "", "GET /a%2Fb//c?x=%zz;y HTTP/1.1\nHost: site.test\nConnection: close, X-Mine, X-Forwarded-For\nX-Mine: 1\nX-Kept: 2\n"+
		"Keep-Alive: 5\nProxy-Authorization: secret\nTE: trailers, gzip\nX-Forwarded-For: 6.6.6.6\nForwarded: for=6.6.6.6\n\n",
		http.Header{
			"Host": {"site.test"}, "Target": {"/a%2Fb//c?x=%zz;y"}, "X-Kept": {"2"}, "Te": {"trailers"}, "Connection": {"TE"},
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"site.test"}, "X-Request-Id": {"new"},
		})
	f("", "trusted: [127.0.0.0/8]\n", "GET / HTTP/1.1\nHost: in.test\nConnection: close\nX-Forwarded-For: 9.9.9.9\nX-Forwarded-Proto: https\n"+
		"X-Forwarded-Host: out.test\nForwarded: for=9.9.9.9\n\n",
		http.Header{
			"Host": {"in.test"}, "Target": {"/"}, "Forwarded": {"for=9.9.9.9"},
			"X-Forwarded-For": {"9.9.9.9, 127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"out.test"}, "X-Request-Id": {"new"},
		})
	f("    forwarded: false\n", "", "GET / HTTP/1.1\nHost: a\nConnection: close\nX-Forwarded-For: 6.6.6.6\n\n",
		http.Header{"Host": {"a"}, "Target": {"/"}})
}

func TestPrefixIsStripped(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) })
	b := start(t, "routes: [{path: /files, strip_prefix: true, pool: s}]\npools: {s: {members: [{addr: '"+addr+"'}]}}\n")
	f := func(path, want string) {
		t.Helper()
		if got := raw(t, b.addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\n"+want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	f("/files", "/")
	f("/files/a%2Fb?q", "/a%2Fb?q")
	f("/f%69les/x%20y", "/x%20y")
}

func TestAnswersWithoutBody(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "1234")
		}
	})
	b := start(t, poolYAML("", addr))
	f := func(method, path, want string) {
		t.Helper()
		// The second request shows that the first answer ended where it should.
		got := raw(t, b.addr, method+" "+path+" HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 "+want) || strings.Count(got, "HTTP/1.1 ") != 2 {
			t.Errorf("%s %s: %q", method, path, got)
		}
	}
	f("HEAD", "/", "200 OK\r\nContent-Length: 1234")
	f("GET", "/204", "204 No Content")
	f("GET", "/304", "304 Not Modified\r\n")
}

func TestTrailersPassBothWays(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.Copy(w, r.Body)
		w.Header().Set("X-Sum", "got "+r.Trailer.Get("X-In"))
	})
	b := start(t, poolYAML("", addr))
	got := raw(t, b.addr, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTrailer: X-In\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"3\r\nabc\r\n0\r\nX-In: 7\r\n\r\n")
	if !strings.Contains(got, "Trailer: X-Sum") || !strings.HasSuffix(got, "0\r\nX-Sum: got 7\r\n\r\n") {
		t.Errorf("answered %q", got)
	}
}

func TestContinueIsTheMembersWord(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		io.Copy(w, r.Body)
	})
	b := start(t, poolYAML("", addr))
	if got := raw(t, b.addr, "PUT /no HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("refused: %q", got)
	}
	got := raw(t, b.addr, "PUT /yes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
	if !strings.HasPrefix(got, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ") || !strings.Contains(got, "abc") {
		t.Errorf("accepted: %q", got)
	}
}

func TestEarlyHintsPass(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, "page")
	})
	b := start(t, poolYAML("", addr))
	got := raw(t, b.addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n") {
		t.Errorf("answered %q", got)
	}
}

// TestLargeBodiesStreamBothWays sends 64 MiB to a backend that sends them back as they come.
func TestLargeBodiesStreamBothWays(t *testing.T) {
	const size = 64 << 20
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	})
	b := start(t, poolYAML("", addr))
	sum, back := sha256.New(), sha256.New()
	body := io.TeeReader(io.LimitReader(pattern{}, size), sum)
	req, err := http.NewRequestWithContext(context.Background(), "POST", b.url("/"), body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n, err := io.Copy(back, res.Body)
	if err != nil || n != size || fmt.Sprintf("%x", sum.Sum(nil)) != fmt.Sprintf("%x", back.Sum(nil)) {
		t.Errorf("%d bytes came back, %v", n, err)
	}
}

// pattern reads as bytes that differ from place to place.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i * 7)
	}
	return len(p), nil
}
