package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/logx"
	"github.com/everup/everup/shared/metric"
	"github.com/google/go-cmp/cmp"
)

// rig is a server with a log, not yet serving.
type rig struct {
	*Server
	reg    *metric.Registry
	health *health.Registry
	root   *logx.Root
}

func newRig() *rig {
	r := &rig{reg: metric.NewRegistry("everup_lbd"), health: health.NewRegistry()}
	r.root = logx.New(logx.Config{Level: "info"}, io.Discard, "n1", "lbd")
	r.Server = New("lbd", r.reg, r.health, r.root.Logger())
	r.SetLog(r.root)
	return r
}

// serve serves on a unix socket and on loopback TCP until the test ends; stop ends it and returns Serve's error.
func (r *rig) serve(t *testing.T) (socket, tcp string, stop func() error) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	ul, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	tl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, ul, tl) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return socket, tl.Addr().String(), stop
}

func (r *rig) text(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	if err := r.reg.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

type echo struct {
	Pool string `json:"pool"`
	Rest string `json:"rest,omitempty"`
	Q    string `json:"q"`
	Body string `json:"body"`
	By   string `json:"by"`
}

func (r *rig) handleEcho() {
	h := func(_ context.Context, q *Request) (any, error) {
		return echo{q.Path["pool"], q.Path["rest"], q.Query.Get("q"), string(q.Body), q.By}, nil
	}
	r.Handle("GET /v1/pools/{pool}", "One pool.", h)
	r.Handle("POST /v1/pools/{pool}/{rest...}", "Changes a pool.", h)
}

func TestCall(t *testing.T) {
	r := newRig()
	r.handleEcho()
	r.Handle("GET /v1/nothing", "Nothing.", func(context.Context, *Request) (any, error) { return nil, nil })
	r.Handle("GET /v1/panic", "Panics.", func(context.Context, *Request) (any, error) { panic("ouch") })
	r.Handle("GET /v1/full", "Fails.", func(context.Context, *Request) (any, error) {
		return nil, fault.New(fault.Full, "lbd: queue of web")
	})
	r.Handle("GET /v1/plain", "Fails without class.", func(context.Context, *Request) (any, error) { return nil, errors.New("oops") })
	r.Handle("GET /v1/unprintable", "Has no JSON.", func(context.Context, *Request) (any, error) { return func() {}, nil })
	r.Handle("GET /v1/stream", "Streams.", func(context.Context, *Request) (any, error) {
		return Stream(func(context.Context, io.Writer) error { return nil }), nil
	})
	r.Handle("GET /v1/huge", "Is too long.", func(context.Context, *Request) (any, error) {
		return Raw{"text/plain", make([]byte, MaxAnswer+1)}, nil
	})
	f := func(method, path, body string, status int, want string) {
		t.Helper()
		s, answer := r.Call(t.Context(), method, path, []byte(body), "bus")
		if d := cmp.Diff(want, string(answer)); d != "" || s != status {
			t.Errorf("%s %s: status %d, want %d; answer (-want +got):\n%s", method, path, s, status, d)
		}
	}
	fail := func(class fault.Class, message string) string {
		return fmt.Sprintf("{\n  \"error\": {\n    \"class\": %q,\n    \"code\": %d,\n    \"message\": %q\n  }\n}\n", class, class, message)
	}
	f("GET", "/v1/pools/web?q=1%202", "", 200, "{\n  \"pool\": \"web\",\n  \"q\": \"1 2\",\n  \"body\": \"\",\n  \"by\": \"bus\"\n}\n")
	f("POST", "/v1/pools/web/a/b", "{}", 200, "{\n  \"pool\": \"web\",\n  \"rest\": \"a/b\",\n  \"q\": \"\",\n  \"body\": \"{}\",\n  \"by\": \"bus\"\n}\n")
	f("GET", "/v1/nothing", "", 200, "{}\n")
	f("GET", "/v1/full", "", 507, fail(fault.Full, "lbd: queue of web"))
	f("GET", "/v1/plain", "", 500, fail(fault.Internal, "oops"))
	f("GET", "/v1/panic", "", 500, fail(fault.Internal, "admin: GET /v1/panic: the handler panicked"))
	f("GET", "/v1/stream", "", 501, fail(fault.Unsupported, "admin: GET /v1/stream: a stream needs the socket"))
	f("GET", "/v1/huge", "", 507, fail(fault.Full, "admin: the answer is longer than 33554432 bytes"))
	f("GET", "/nowhere", "", 404, fail(fault.NotFound, "admin: no call /nowhere; GET /v1/ lists them"))
	f("DELETE", "/v1/version", "", 405, fail(fault.Invalid, "admin: /v1/version wants method GET"))
	f("GET", "/debug/pprof/", "", 404, fail(fault.NotFound, "admin: no call /debug/pprof/; GET /v1/ lists them"))
	f("POST", "/v1/pools/web/a", strings.Repeat("x", MaxBody+1), 400, fail(fault.Invalid, "admin: the body is longer than 8388608 bytes"))
	f("POST", "/v1/log/level", `{"level":"debug"}`, 200, "{\n  \"level\": \"debug\"\n}\n")
	f("POST", "/v1/log/level", `{"level":"loud"}`, 400, fail(fault.Invalid, `logx: level "loud": want trace, debug, info, warn or error`))
	f("GET", "/v1/log?n=x", "", 400, fail(fault.Invalid, `admin: n="x": want a number from 0`))
	if s, a := r.Call(t.Context(), "GET", "/v1/unprintable", nil, "bus"); s != 500 || !bytes.Contains(a, []byte("encode answer")) {
		t.Errorf("unprintable: %d %s", s, a)
	}
	if s, _ := r.Call(t.Context(), "GET", "no path", nil, "bus"); s != 400 {
		t.Errorf("bad path: %d", s)
	}
	if s, _ := r.Call(t.Context(), "G T", "/v1/", nil, "bus"); s != 400 {
		t.Errorf("bad method: %d", s)
	}
	readOnly := withCaller(t.Context(), caller{readOnly: true})
	if s, _ := r.Call(readOnly, "POST", "/v1/log/level", []byte(`{"level":"error"}`), "console"); s != 403 || r.root.Level() != "debug" {
		t.Errorf("a read-only caller changed the level: %d", s)
	}
	var stacks int
	for _, line := range r.root.Recent(1000) {
		if bytes.Contains(line, []byte(`"panic":"ouch"`)) && bytes.Contains(line, []byte("admin_test.go")) {
			stacks++
		}
	}
	if stacks != 1 {
		t.Errorf("the panic is logged %d times with a stack", stacks)
	}
	metrics := r.text(t)
	for _, want := range []string{
		`everup_lbd_admin_requests_total{call="GET /v1/full",status="507"} 1`,
		`everup_lbd_admin_requests_total{call="none",status="404"} 2`,
		`everup_lbd_admin_request_seconds_count{call="GET /v1/full"} 1`,
		`everup_lbd_ready 1`, `everup_lbd_health_items{level="fail"} 0`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("metrics lack %s:\n%s", want, metrics)
		}
	}
}

func TestPatternBugsPanic(t *testing.T) {
	for _, p := range []string{"/v1/x", "GET v1/x", "GET /v1/version", "GET /v1/{"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("pattern %q was taken", p)
				}
			}()
			newRig().Handle(p, "", nil)
		}()
	}
}

// The built-in calls over a real socket, by our client.
func TestBuiltin(t *testing.T) {
	r := newRig()
	r.handleEcho()
	socket, _, _ := r.serve(t)
	c := Dial(socket)
	defer c.Close()
	get := func(path string) string {
		t.Helper()
		b, err := c.Get(t.Context(), path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return string(b)
	}
	var list struct{ Calls []CallInfo }
	if err := c.Do(t.Context(), "GET", "/v1/", nil, &list); err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{}
	for _, e := range list.Calls {
		docs[e.Call] = e.Doc
	}
	for _, want := range []string{"GET /v1/", "GET /v1/version", "GET /v1/health", "GET /v1/log", "POST /v1/log/level", "GET /metrics", "GET /healthz", "GET /readyz", "GET /debug/pprof/", "GET /v1/pools/{pool}"} {
		if docs[want] == "" {
			t.Errorf("the list lacks %s: %v", want, docs)
		}
	}
	var v Version
	if err := c.Do(t.Context(), "GET", "/v1/version", nil, &v); err != nil || v.Service != "lbd" || v.Go == "" {
		t.Errorf("version %+v: %v", v, err)
	}
	if s := get("/metrics"); !strings.Contains(s, "# TYPE everup_lbd_admin_requests_total counter\n") {
		t.Errorf("metrics: %s", s)
	}
	if get("/healthz") != "alive\n" || get("/readyz") != "ready\n" {
		t.Error("not well")
	}
	if s := get("/debug/pprof/goroutine?debug=1"); !strings.Contains(s, "goroutine profile:") {
		t.Errorf("pprof: %.100s", s)
	}
	if _, err := c.Get(t.Context(), "/debug/pprof/profile?seconds=1000"); !errors.Is(err, fault.Invalid) {
		t.Errorf("a long profile: %v", err)
	}
	r.SetLiveness(func() error { return errors.New("the accept loop stands still") })
	if _, err := c.Get(t.Context(), "/healthz"); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "not alive\nthe accept loop stands still") {
		t.Errorf("healthz: %v", err)
	}
	r.health.Item("lbd.x", health.Options{Title: "X", Gates: true}).Fail("broken", "mend it")
	if _, err := c.Get(t.Context(), "/readyz"); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "not ready\nlbd.x: X: broken") {
		t.Errorf("readyz: %v", err)
	}
	var h Health
	if err := c.Do(t.Context(), "GET", "/v1/health", nil, &h); err != nil || h.Ready || h.Level != health.Fail || h.Items[0].Hint != "mend it" {
		t.Errorf("health %+v: %v", h, err)
	}
	var e echo
	if err := c.Do(t.Context(), "POST", "/v1/pools/p/q", map[string]int{"w": 3}, &e); err != nil || e.Body != `{"w":3}` {
		t.Errorf("echo %+v: %v", e, err)
	}
	if e.By != "root" && e.By != fmt.Sprintf("uid %d", os.Getuid()) {
		t.Errorf("caller is %q", e.By)
	}
	var lines LogLines
	if err := c.Do(t.Context(), "GET", "/v1/log?n=1", nil, &lines); err != nil || len(lines.Lines) != 1 {
		t.Fatalf("log %v: %v", lines, err)
	}
	var line map[string]any
	if err := json.Unmarshal(lines.Lines[0], &line); err != nil || line["call"] != "POST /v1/pools/p/q" || line["by"] != e.By {
		t.Errorf("the change is not in the log: %v %v", line, err)
	}
}

func TestClientErrors(t *testing.T) {
	r := newRig()
	r.Handle("GET /v1/err/{n}", "Fails.", func(_ context.Context, q *Request) (any, error) {
		var n uint8
		if _, err := fmt.Sscan(q.Path["n"], &n); err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Class(n), "class %d", n)
	})
	release := make(chan struct{})
	r.Handle("GET /v1/wait", "Waits.", func(ctx context.Context, _ *Request) (any, error) {
		select {
		case <-ctx.Done():
		case <-release:
		}
		return nil, nil
	})
	defer close(release)
	socket, _, _ := r.serve(t)
	c := Dial(socket)
	defer c.Close()
	for class := fault.Invalid; class <= fault.Canceled; class++ {
		err := c.Do(t.Context(), "GET", fmt.Sprintf("/v1/err/%d", class), nil, nil)
		if fault.Of(err) != class || err.Error() != fmt.Sprintf("class %d", class) {
			t.Errorf("class %v came back as %v: %v", class, fault.Of(err), err)
		}
	}
	f := func(want fault.Class, err error) {
		t.Helper()
		if fault.Of(err) != want {
			t.Errorf("class %v (%v), want %v", fault.Of(err), err, want)
		}
	}
	f(fault.Unavailable, Dial(socket+"x").Do(t.Context(), "GET", "/v1/", nil, nil))
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	f(fault.Timeout, c.Do(short, "GET", "/v1/wait", nil, nil))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	f(fault.Canceled, c.Do(gone, "GET", "/v1/wait", nil, nil))
	f(fault.Invalid, c.Do(t.Context(), "GET", "/v1/", make(chan int), nil))
	var wrong []int
	f(fault.Corrupt, c.Do(t.Context(), "GET", "/v1/", nil, &wrong))
}

func TestFull(t *testing.T) {
	r := newRig()
	entered, release := make(chan struct{}, maxCalls), make(chan struct{})
	r.Handle("GET /v1/wait", "Waits.", func(context.Context, *Request) (any, error) {
		entered <- struct{}{}
		<-release
		return nil, nil
	})
	var wg sync.WaitGroup
	for range maxCalls {
		wg.Go(func() { r.Call(t.Context(), "GET", "/v1/wait", nil, "bus") })
	}
	for range maxCalls {
		<-entered
	}
	status, answer := r.Call(t.Context(), "GET", "/v1/version", nil, "bus")
	if status != 503 || !bytes.Contains(answer, []byte(`"class": "full"`)) {
		t.Errorf("%d %s", status, answer)
	}
	if status, _ := r.Call(t.Context(), "GET", "/healthz", nil, "bus"); status != 200 {
		t.Errorf("healthz answers %d while calls hang", status)
	}
	close(release)
	wg.Wait()
	if status, _ := r.Call(t.Context(), "GET", "/v1/version", nil, "bus"); status != 200 {
		t.Errorf("%d after the calls ended", status)
	}
}

// ticker is a stream that writes a line for each token and tells when it ended.
func (r *rig) handleStream(lines <-chan string, ended chan<- error) {
	r.Handle("GET /v1/follow", "Follows.", func(context.Context, *Request) (any, error) {
		return Stream(func(ctx context.Context, w io.Writer) (err error) {
			defer func() { ended <- err }()
			for {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case l, ok := <-lines:
					if !ok {
						return errors.New("source broke")
					}
					if _, err := io.WriteString(w, l+"\n"); err != nil {
						return err
					}
				}
			}
		}), nil
	})
}

func TestStream(t *testing.T) {
	r := newRig()
	lines, ended := make(chan string), make(chan error, 1)
	r.handleStream(lines, ended)
	socket, _, stop := r.serve(t)
	c := Dial(socket)
	defer c.Close()
	follow := func() (*bufio.Reader, io.Closer) {
		t.Helper()
		body, err := c.Stream(t.Context(), "/v1/follow")
		if err != nil {
			t.Fatal(err)
		}
		b := bufio.NewReader(body)
		for _, want := range []string{`{"n":1}`, `{"n":2}`} { // each is seen before the next is written
			lines <- want
			if got, err := b.ReadString('\n'); err != nil || got != want+"\n" {
				t.Errorf("line %q: %v", got, err)
			}
		}
		return b, body
	}
	_, body := follow()
	body.Close() // the client leaves
	if err := <-ended; err == nil {
		t.Error("the stream does not know that its client left")
	}
	b, body := follow()
	if err := stop(); err != nil { // the daemon stops: a clean end
		t.Errorf("Serve: %v", err)
	}
	if !errors.Is(<-ended, context.Canceled) {
		t.Error("the stream was not told to stop")
	}
	if rest, err := io.ReadAll(b); err != nil || len(rest) != 0 {
		t.Errorf("rest %q: %v", rest, err)
	}
	body.Close()
}

func TestStreamBreaks(t *testing.T) {
	r := newRig()
	lines, ended := make(chan string), make(chan error, 1)
	r.handleStream(lines, ended)
	socket, _, _ := r.serve(t)
	c := Dial(socket)
	defer c.Close()
	body, err := c.Stream(t.Context(), "/v1/follow")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	close(lines)
	<-ended
	if _, err := io.ReadAll(body); err == nil {
		t.Error("a broken stream looks like one that ended")
	}
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("needs curl: " + err.Error())
	}
	r := newRig()
	r.handleEcho()
	socket, tcp, _ := r.serve(t)
	f := func(want string, args ...string) {
		t.Helper()
		out, err := exec.Command(curl, append([]string{"-sS", "-m", "20"}, args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("curl %v: %v: %s\nwant %s", args, err, out, want)
		}
	}
	f(`"service": "lbd"`, "--unix-socket", socket, "http://localhost/v1/version")
	f("\"body\": \"hello\"", "--unix-socket", socket, "-d", "hello", "http://localhost/v1/pools/a/b")
	f("400", "--unix-socket", socket, "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:", "--data-binary", "@"+bigFile(t), "http://localhost/v1/pools/a/b")
	f("\"ok\": true", "--unix-socket", socket, "-H", "Accept: application/json", "http://localhost/readyz")
	f("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n", "-I", "http://"+tcp+"/metrics")
	f("ready\n", "http://"+tcp+"/readyz")
}

func bigFile(t *testing.T) string {
	p := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(p, make([]byte, MaxBody+1), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTCP(t *testing.T) {
	r := newRig()
	r.handleEcho()
	r.Mount("/", http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		status, _ := r.Call(hr.Context(), "POST", "/v1/pools/a/b", nil, "console")
		fmt.Fprintf(w, "console %s post %d", hr.URL.Path, status)
	}))
	r.SetHosts("Web1.example.")
	_, tcp, _ := r.serve(t)
	f := func(method, path, host string, status int, want string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+tcp+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status || !strings.Contains(string(b), want) {
			t.Errorf("%s %s as %s: %d %s (%v), want %d %s", method, path, host, resp.StatusCode, b, err, status, want)
		}
		return resp
	}
	f("GET", "/healthz", "127.0.0.1:1", 200, "alive")
	f("GET", "/readyz", "[::1]:80", 200, "ready")
	f("HEAD", "/metrics", "localhost", 200, "")
	resp := f("GET", "/pools", "web1.EXAMPLE:8080", 200, "console /pools post 403")
	for name, want := range map[string]string{"Content-Security-Policy": contentPolicy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	f("GET", "/v1/version", "localhost", 200, "console /v1/version") // the API is not there
	f("GET", "/debug/pprof/heap", "localhost", 200, "console /debug/pprof/heap")
	f("POST", "/v1/log/level", "localhost", 405, "for reading only")
	f("POST", "/pools", "localhost", 405, "for reading only")
	f("GET", "/metrics", "evil.example", 403, "not known by the name")
	f("GET", "/metrics", "127.0.0.1.evil.example", 403, "not known by the name")
	r.SetAllow(prefixes("192.0.2.0/24"))
	f("GET", "/metrics", "localhost", 403, "not in admin.allow")
	r.SetAllow(prefixes("192.0.2.0/24", "127.0.0.1/32"))
	f("GET", "/metrics", "localhost", 200, "everup_lbd_ready 1")
}
