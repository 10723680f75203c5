package web

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/services/storaged/internal/blob"
	"github.com/everup/everup/services/storaged/internal/names"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/metric"
	"github.com/rs/zerolog"
)

func testLimits() Limits {
	return Limits{
		Object: 1 << 20, Uploads: 8, Pace: Pace{Idle: 30 * time.Second, Grace: 10 * time.Second, Rate: 1024}, WriteIdle: time.Minute,
		Writers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
}

type rig struct {
	*httptest.Server
	h       *Handler
	dir     string
	store   *blob.Store
	changes chan string
}

func newRig(t *testing.T, change func(*Limits)) *rig {
	t.Helper()
	dir := t.TempDir()
	store, damaged, err := blob.Open(dir, blob.Options{MaxObjects: 1000})
	if err != nil || len(damaged) > 0 {
		t.Fatal(err, damaged)
	}
	l := testLimits()
	if change != nil {
		change(&l)
	}
	r := &rig{dir: dir, store: store, changes: make(chan string, 10_000)}
	hooks := Hooks{
		Stored:  func(m blob.Meta, created bool) { r.changes <- fmt.Sprint("stored ", m.Name, " ", created) },
		Deleted: func(e names.Entry) { r.changes <- "deleted " + e.Name },
	}
	r.h = New(store, l, hooks, NewMetrics(metric.NewRegistry("everup_storaged")), zerolog.Nop())
	r.Server = httptest.NewServer(r.h)
	t.Cleanup(r.Close)
	return r
}

// do sends one request; header lines are "Name: value". It returns "status body".
func (r *rig) do(t *testing.T, method, path, body string, header ...string) string {
	t.Helper()
	resp, b := r.send(t, method, path, body, header...)
	return strings.TrimSuffix(fmt.Sprintf("%d %s", resp.StatusCode, b), "\n")
}

func (r *rig) send(t *testing.T, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = "//" + req.URL.Host + path
	for _, h := range header {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Add(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func etagOf(body string) string { return blob.ETag(sha256.Sum256([]byte(body))) }

func TestMethods(t *testing.T) {
	r := newRig(t, nil)
	f := func(got, want string) {
		t.Helper()
		if !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(r.do(t, "GET", "/a", ""), "404")
	f(r.do(t, "PUT", "/a", "hello", "Content-Type: text/plain"), "201")
	f(r.do(t, "GET", "/a", ""), "200 hello")
	f(r.do(t, "HEAD", "/a", ""), "200")
	f(r.do(t, "PUT", "/a", "world"), "204")
	f(r.do(t, "GET", "/a", ""), "200 world")
	f(r.do(t, "PUT", "/a/b", "below"), "201")
	f(r.do(t, "GET", "/a%2Fb", ""), "200 below")
	f(r.do(t, "PUT", "/%252F", "once"), "201")
	f(r.do(t, "GET", "/%252f", ""), "404")
	f(r.do(t, "DELETE", "/a", ""), "204")
	f(r.do(t, "DELETE", "/a", ""), "404")
	f(r.do(t, "GET", "/a", ""), "404")
	f(r.do(t, "POST", "/a", "x"), "405")
	f(r.do(t, "OPTIONS", "/a", ""), "204")
	f(r.do(t, "GET", "/", ""), "404")
	f(r.do(t, "PUT", "/", "x"), "400")
	for _, bad := range []string{"/..", "/x/../y", "/x%2f..%2fy", "/%2e%2e/y", "//x", "/x/", "/x%00", "/%ff", "/%0a", "/" + strings.Repeat("n", 1025)} {
		f(r.do(t, "PUT", bad, "x"), "400")
		f(r.do(t, "GET", bad, ""), "400")
	}
	f(r.do(t, "PUT", "/c", strings.Repeat("x", 1<<20+1)), "413")
	f(r.do(t, "PUT", "/c", "x", "Content-Range: bytes 0-0/9"), "400")
	if n, _ := r.store.Index().Len(); n != 2 {
		t.Errorf("%d objects", n)
	}
	close(r.changes)
	var seen []string
	for c := range r.changes {
		seen = append(seen, c)
	}
	if got := strings.Join(seen, ", "); got != "stored a true, stored a false, stored a/b true, stored %2F true, deleted a" {
		t.Error(got)
	}
}

func TestHeadersComeBack(t *testing.T) {
	r := newRig(t, nil)
	resp, _ := r.send(t, "PUT", "/a", "hello", "Content-Type: image/x; q=1", "Content-Disposition: attachment", "Cache-Control: max-age=60", "X-Other: no")
	if got := resp.Header.Get("ETag"); got != etagOf("hello") {
		t.Errorf("PUT's ETag %s", got)
	}
	for _, method := range []string{"GET", "HEAD"} {
		resp, _ := r.send(t, method, "/a", "")
		for k, want := range map[string]string{
			"Content-Type": "image/x; q=1", "Content-Disposition": "attachment", "Cache-Control": "max-age=60", "X-Other": "",
			"ETag": etagOf("hello"), "Content-Length": "5", "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff",
			"Repr-Digest": reprDigest(sha256.Sum256([]byte("hello"))),
		} {
			if got := resp.Header.Get(k); got != want {
				t.Errorf("%s: %s is %q, want %q", method, k, got, want)
			}
		}
		if at, err := http.ParseTime(resp.Header.Get("Last-Modified")); err != nil || time.Since(at) > time.Minute {
			t.Errorf("Last-Modified %v, %v", at, err)
		}
	}
}

func TestConditions(t *testing.T) {
	r := newRig(t, nil)
	one, two := etagOf("one"), etagOf("two")
	past, future := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	f := func(want, method, body string, header ...string) {
		t.Helper()
		if got := r.do(t, method, "/a", body, header...); !strings.HasPrefix(got, want) {
			t.Errorf("%s %q: %q, want %s", method, header, got, want)
		}
	}
	f("412", "PUT", "one", "If-Match: *")
	f("412", "DELETE", "", "If-Match: *")
	f("201", "PUT", "one", "If-None-Match: *")
	f("412", "PUT", "two", "If-None-Match: *")
	f("412", "PUT", "two", "If-Match: "+two)
	f("412", "PUT", "two", "If-Match: W/"+one)
	f("412", "PUT", "two", "If-None-Match: W/"+one)
	f("400", "PUT", "two", "If-Match: unquoted")
	f("400", "PUT", "two", "If-Match: ")
	f("204", "PUT", "two", "If-Match: \"x\", W/\"y\" ,"+one)
	f("412", "PUT", "one", "If-Unmodified-Since: "+past)
	f("204", "PUT", "two", "If-Unmodified-Since: "+future)
	f("204", "PUT", "two", "If-Unmodified-Since: "+past, "If-Match: "+two)
	f("304", "GET", "", "If-None-Match: "+two)
	f("304", "GET", "", "If-Modified-Since: "+future)
	f("200", "GET", "", "If-Modified-Since: "+future, "If-None-Match: "+one)
	f("412", "GET", "", "If-Match: "+one)
	f("412", "DELETE", "", "If-Match: "+one)
	f("204", "DELETE", "", "If-Match: "+two)
	f("201", "PUT", "one", "If-None-Match: "+one)
}

func TestRanges(t *testing.T) {
	r := newRig(t, nil)
	r.do(t, "PUT", "/a", "0123456789")
	f := func(want, rng string, header ...string) {
		t.Helper()
		if got := r.do(t, "GET", "/a", "", append(header, "Range: "+rng)...); got != want {
			t.Errorf("%s: %q, want %q", rng, got, want)
		}
	}
	f("206 012", "bytes=0-2")
	f("206 789", "bytes=-3")
	f("206 89", "bytes=8-")
	f("200 0123456789", "bytes=0-2", "If-Range: \"other\"")
	f("206 0", "bytes=0-0", "If-Range: "+etagOf("0123456789"))
	f("200 0123456789", "bytes="+strings.Repeat("0-0,", 40)+"1-1")
	if got := r.do(t, "GET", "/a", "", "Range: bytes=10-"); !strings.HasPrefix(got, "416") {
		t.Errorf("beyond the end: %q", got)
	}
	resp, body := r.send(t, "GET", "/a", "", "Range: bytes=0-1,4-5")
	if resp.StatusCode != 206 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "multipart/byteranges") || !strings.Contains(body, "\r\n45\r\n") {
		t.Errorf("%d %s %q", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
}

func TestDigests(t *testing.T) {
	r := newRig(t, nil)
	sha := reprDigest(sha256.Sum256([]byte("hello")))
	sum := md5.Sum([]byte("hello"))
	f := func(want, body string, header ...string) {
		t.Helper()
		if got := r.do(t, "PUT", "/a", body, header...); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, want %s", header, got, want)
		}
	}
	f("400", "hullo", "Repr-Digest: "+sha)
	f("400", "hullo", "Content-Digest: md5=:AAAA:, "+sha)
	f("400", "hullo", "Content-MD5: "+base64.StdEncoding.EncodeToString(sum[:]))
	f("400", "hello", "Repr-Digest: sha-256=nonsense")
	f("400", "hello", "Content-MD5: nonsense")
	if got := r.do(t, "GET", "/a", ""); !strings.HasPrefix(got, "404") {
		t.Errorf("something was stored: %q", got)
	}
	f("201", "hello", "Repr-Digest: sha-512=:xxxx:, "+sha)
	f("204", "hello", "Content-MD5: "+base64.StdEncoding.EncodeToString(sum[:]), "Content-Digest: "+sha)
}

func TestList(t *testing.T) {
	r := newRig(t, nil)
	for _, n := range []string{"b/2", "b/1", "a", "c"} {
		r.do(t, "PUT", "/"+n, n)
	}
	f := func(query string, wants ...string) {
		t.Helper()
		got := r.do(t, "GET", "/?"+query, "")
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %s", query, got, want)
			}
		}
	}
	f("list=", `"name":"a","size":1`, `"name":"b/1"`, `"name":"c"`)
	f("list=b/&limit=1", `[{"name":"b/1"`, `"next":"b/1"`)
	f("list=b/&after=b/1", `[{"name":"b/2"`)
	f("list=x", `{"objects":[]}`)
	f("list=&limit=0", "400")
	f("x=", "404")
}

func TestWritersOnly(t *testing.T) {
	r := newRig(t, func(l *Limits) { l.Writers = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	for _, m := range []string{"PUT", "DELETE"} {
		if got := r.do(t, m, "/a", "x"); !strings.HasPrefix(got, "403") {
			t.Errorf("%s: %q", m, got)
		}
	}
	if got := r.do(t, "GET", "/a", ""); !strings.HasPrefix(got, "404") {
		t.Errorf("reading: %q", got)
	}
}

func TestReserveAndUploadsAreBounded(t *testing.T) {
	r := newRig(t, func(l *Limits) { l.Reserve = 1 << 60 })
	if got := r.do(t, "PUT", "/a", "x"); !strings.HasPrefix(got, "507") {
		t.Errorf("%q", got)
	}
	l := testLimits()
	l.Uploads = 1
	r.h.SetLimits(l)
	body, feed := io.Pipe()
	first := make(chan error, 1)
	go func() {
		req, _ := http.NewRequest("PUT", r.URL+"/slow", body)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != 201 {
				err = errors.New(resp.Status)
			}
		}
		first <- err
	}()
	io.WriteString(feed, strings.Repeat("x", 64<<10))
	labtest.Eventually(t, 15*time.Second, "the first upload to begin", func() error {
		if r.h.uploads.Load() == 0 {
			return errors.New("none")
		}
		return nil
	})
	resp, _ := r.send(t, "PUT", "/a", "x")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("second upload: %s", resp.Status)
	}
	feed.Close()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if got := r.do(t, "PUT", "/a", "x"); got != "201 " {
		t.Errorf("after the first: %q", got)
	}
}

// TestExpectContinue looks at the bytes: what can be refused is refused before the body is asked for.
func TestExpectContinue(t *testing.T) {
	r := newRig(t, nil)
	r.do(t, "PUT", "/there", "x")
	f := func(path, fields, want string) {
		t.Helper()
		c, err := net.Dial("tcp", r.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%s\r\n", path, fields)
		buf := make([]byte, 64)
		n, err := io.ReadAtLeast(c, buf, len("HTTP/1.1 100"))
		if err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 "+want) {
			t.Errorf("%s %q: %q, %v", path, fields, buf[:n], err)
		}
	}
	f("/new", "Content-Length: 5\r\n", "100")
	f("/new", "Content-Length: 99999999\r\n", "413")
	f("/there", "Content-Length: 5\r\nIf-None-Match: *\r\n", "412")
	f("/a/../b", "Content-Length: 5\r\n", "400")
	l := testLimits()
	l.Reserve = 1 << 60
	r.h.SetLimits(l)
	f("/new", "Content-Length: 5\r\n", "507")
}

// TestCurl does what the README shows, with the real program.
func TestCurl(t *testing.T) {
	labtest.Needs(t, "curl")
	r := newRig(t, nil)
	f := func(want string, args ...string) {
		t.Helper()
		for i, a := range args {
			args[i] = strings.ReplaceAll(a, "URL", r.URL)
		}
		args = append([]string{"-sS", "--max-time", "20", "-w", " %{http_code}"}, args...)
		out, err := exec.CommandContext(t.Context(), "curl", args...).CombinedOutput()
		if got := string(out); got != want || err != nil {
			t.Errorf("curl %q: %q, %v; want %q", args, got, err, want)
		}
	}
	f(" 201", "-T", "testdata/hello.txt", "URL/dir/")
	f("hello, world\n 200", "URL/dir/hello.txt")
	f("hello 206", "-r", "0-4", "URL/dir/hello.txt")
	f(" 204", "-X", "PUT", "-d", "second", "URL/dir/hello.txt")
	f(" 201", "-T", "testdata/hello.txt", "-H", "Expect: 100-continue", "URL/e")
	f("second 200", "URL/dir/hello.txt")
	f(" 304", "-z", "Fri, 01 Jan 2027 00:00:00 GMT", "URL/dir/hello.txt")
	f(" 201", "-T", "testdata/hello.txt", "-H", "Transfer-Encoding: chunked", "URL/chunked")
	f("web: a precondition does not hold\n 412", "-T", "testdata/hello.txt", "-H", "If-None-Match: *", "URL/chunked")
	f(" 204", "-X", "DELETE", "URL/chunked")
	f("web: no object of this name\n 404", "URL/chunked")
	f("names: the name has the segment \"..\"\n 400", "--path-as-is", "URL/a/../b")
}

// TestBrokenUploadKeepsTheOldObject ends the connection in the middle of a body.
func TestBrokenUploadKeepsTheOldObject(t *testing.T) {
	r := newRig(t, nil)
	r.do(t, "PUT", "/a", "old")
	c, err := net.Dial("tcp", r.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf of it")
	c.(*net.TCPConn).CloseWrite()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.Copy(io.Discard, c) // until the server has given up
	c.Close()
	if got := r.do(t, "GET", "/a", ""); got != "200 old" {
		t.Errorf("%q", got)
	}
	if n := r.h.metrics.Requests.With("PUT", "499").Value(); n != 1 {
		t.Errorf("%d broken uploads counted", n)
	}
}

// A body that is announced and does not come holds neither the answer nor the connection, whatever the method.
func TestWithheldBodiesAreNotWaitedFor(t *testing.T) {
	r := newRig(t, func(l *Limits) { l.Pace.Idle = 50 * time.Millisecond })
	for _, method := range []string{"GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "PUT"} {
		c, err := net.Dial("tcp", r.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "%s /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", method)
		b, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 ") {
			t.Errorf("%s: %q, %v; want an answer and the end", method, b, err)
		}
	}
}

// What fails on the server's side is the server's fault, and tells nothing of its paths.
func TestStorageTroubleIsOurs(t *testing.T) {
	r := newRig(t, nil)
	r.do(t, "PUT", "/a", "x")
	if err := os.RemoveAll(filepath.Join(r.dir, "incoming")); err != nil {
		t.Fatal(err)
	}
	if got := r.do(t, "PUT", "/b", "x"); got != "500 internal" {
		t.Errorf("PUT without a directory for it: %s", got)
	}
	if r.store.Probe() == nil {
		t.Error("a store that cannot be written passes its probe")
	}
	for _, err := range []error{syscall.EACCES, syscall.EROFS} {
		if got := statusOf(fault.Wrap(fault.Denied, err, "open /srv/objects")); got != http.StatusInternalServerError {
			t.Errorf("%v: %d", err, got)
		}
	}
	if got := statusOf(fault.New(fault.Denied, "may not write here")); got != http.StatusForbidden {
		t.Errorf("a client that may not write: %d", got)
	}
}
