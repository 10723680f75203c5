package lbd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// web makes a directory with files.
func web(t testing.TB, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour)
		os.Chtimes(path, old, old)
	}
	return dir
}

// TestFilesAreServed: routes with files, from outside.
func TestFilesAreServed(t *testing.T) {
	dir := web(t, map[string]string{
		"a.txt": "hello", "sub/index.html": "<p>sub</p>", "app/index.html": "<p>app</p>", "app/main.js": "js", "app/main.js.gz": "zipped", ".env": "secret",
		"with space.txt": "spaced",
	})
	other := backend(t, "other")
	b := start(t, `routes:
  - response_headers: {set: {X-All: "1", Cache-Control: no-cache}}
  - {path: /static/, strip_prefix: true, files: {root: `+dir+`, max_age: 1h}}
  - {path: /list, strip_prefix: true, files: {root: `+dir+`, listing: true}}
  - {path: "~ ^/re/(.*)$", rewrite: {path: /$1}, files: {root: `+dir+`}}
  - {path: /app, files: {root: `+dir+`, precompressed: [br, gzip], fallback: /app/index.html}}
  - {path: /void, files: {root: `+dir+`/none}}
  - {pool: web}
pools:
  web: {members: [{addr: '`+other.addr+`'}]}
`)
	f := func(request, status, want string, has ...string) {
		t.Helper()
		line, fields, _ := strings.Cut(request, "\n")
		if fields != "" {
			fields = strings.ReplaceAll(fields, "\n", "\r\n") + "\r\n"
		}
		got := raw(t, b.addr, line+" HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n"+fields+"\r\n")
		head, body, _ := strings.Cut(got, "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 "+status+" ") || body != want && want != "*" {
			t.Errorf("%s: %q", request, got)
		}
		for _, h := range append(has, "X-All: 1") {
			if !strings.Contains(head+"\r\n", "\r\n"+h+"\r\n") {
				t.Errorf("%s: no %q in %q", request, h, head)
			}
		}
		if strings.Count(head, "\r\nCache-Control:") > 1 {
			t.Errorf("%s: %q", request, head)
		}
	}
	f("GET /static/a.txt", "200", "hello", "Content-Type: text/plain; charset=utf-8", "Content-Length: 5", "Cache-Control: no-cache", "Accept-Ranges: bytes")
	f("HEAD /static/a.txt", "200", "", "Content-Length: 5")
	f("GET /static/a.txt\nRange: bytes=1-2", "206", "el", "Content-Range: bytes 1-2/5")
	f("GET /static/a.txt\nRange: bytes=9-", "416", "416 Range Not Satisfiable\n", "Content-Range: bytes */5")
	f("GET /static/a.txt\nIf-None-Match: *", "304", "")
	f("GET /static/with%20space.txt", "200", "spaced")
	f("GET /static/.env", "404", "404 Not Found\n")
	f("GET /static/%2eenv", "404", "404 Not Found\n")
	f("GET /static/sub?q", "301", "301 Moved Permanently\n", "Location: /static/sub/?q")
	f("GET //static//sub", "301", "301 Moved Permanently\n", "Location: /static//sub/")
	f("GET /static/sub/", "200", "<p>sub</p>")
	f("GET /static/", "403", "403 Forbidden\n")
	f("GET /list/", "200", "*", "Content-Security-Policy: default-src 'none'")
	f("POST /static/a.txt\nContent-Length: 3\n\nabc", "405", "405 Method Not Allowed\n", "Allow: GET, HEAD, OPTIONS")
	f("OPTIONS /static/a.txt", "204", "", "Allow: GET, HEAD, OPTIONS")
	f("GET /re/a.txt", "200", "hello")
	f("GET /re/sub/", "200", "<p>sub</p>")
	f("GET /app/main.js\nAccept-Encoding: gzip", "200", "zipped", "Content-Encoding: gzip", "Vary: Accept-Encoding", "Content-Type: text/javascript; charset=utf-8")
	f("GET /app/some/page", "200", "<p>app</p>")
	f("GET /void/x", "404", "404 Not Found\n")
	f("GET /other", "200", "other")
	items := b.service().env.Health.Snapshot()
	if text := fmt.Sprint(items); !strings.Contains(text, "lbd.files.no-root."+dir+"/none") || strings.Contains(text, "from "+dir+" fail") {
		t.Errorf("health: %s", text)
	}
}

// TestFilesReload: a root that goes and one that comes; nothing stays open.
func TestFilesReload(t *testing.T) {
	one, two := web(t, map[string]string{"v": "one"}), web(t, map[string]string{"v": "two"})
	route := func(dir string) string { return "routes: [{files: {root: " + dir + "}}]\n" }
	b := start(t, route(one))
	c := client(t)
	f := func(want string) {
		t.Helper()
		if status, body := get(t, c, b.url("/v")); status != 200 || body != want {
			t.Errorf("%d %q, want %q", status, body, want)
		}
	}
	f("one")
	b.reload(route(two))
	f("two")
	s := b.service()
	s.lookAtRoots(time.Now().Add(time.Minute))
	s.mu.Lock()
	dirs, retired := len(s.roots.dirs), len(s.roots.retired)
	s.mu.Unlock()
	if dirs != 1 || retired != 0 {
		t.Errorf("%d directories, %d retired", dirs, retired)
	}
	f("two")
	os.Rename(two, two+"~")
	os.Symlink(one, two)
	s.lookAtRoots(time.Now())
	f("one")
}

// TestCurlAndFiles: curl's ranges, conditions and compression.
func TestCurlAndFiles(t *testing.T) {
	labtest.Needs(t, "curl")
	content := strings.Repeat("0123456789", 30000)
	dir := web(t, map[string]string{"f.txt": content, "z.txt": "plain", "z.txt.gz": ""})
	var zipped bytes.Buffer
	z := exec.Command("gzip", "-nc")
	z.Stdin, z.Stdout = strings.NewReader("plain"), &zipped
	if err := z.Run(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "z.txt.gz")
	if err := os.WriteFile(path, zipped.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	b := start(t, "routes: [{files: {root: "+dir+", precompressed: gzip}}]\n")
	curl := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, "curl", append([]string{"-sS"}, args...)...).Output()
		if err != nil {
			t.Fatalf("curl %v: %v", args, err)
		}
		return string(out)
	}
	f := func(want string, args ...string) {
		t.Helper()
		if got := curl(args...); got != want {
			t.Errorf("curl %v: %.200q", args, got)
		}
	}
	url := b.url("/f.txt")
	f(content, url)
	f("3456", "-r", "3-6", url)
	f(content[299998:], "-r", "-2", url)
	f(content[:200000], "-r", "0-199999", url)
	if got := curl("-r", "0-0,20-21", url); strings.Count(got, "Content-Range: bytes ") != 2 {
		t.Errorf("%q", got)
	}
	out := filepath.Join(t.TempDir(), "part")
	os.WriteFile(out, []byte(content[:100000]), 0o644)
	curl("-C", "-", "-o", out, url)
	if got, _ := os.ReadFile(out); string(got) != content {
		t.Errorf("resumed: %d bytes", len(got))
	}
	tags := filepath.Join(t.TempDir(), "etag")
	f(content, "--etag-save", tags, url)
	f("304", "--etag-compare", tags, "-w", "%{http_code}", url)
	f("304", "-z", dir+"/f.txt", "-w", "%{http_code}", url)
	f("plain", "--compressed", b.url("/z.txt"))
	f(zipped.String(), "-H", "Accept-Encoding: gzip", b.url("/z.txt"))
	if got := curl("-I", url); !strings.Contains(got, "Content-Length: 300000\r\n") || !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("%q", got)
	}
}

// TestErrorPages: who asks for HTML gets a page.
func TestErrorPages(t *testing.T) {
	dir := web(t, map[string]string{"404.html": "<h1>{{status}} at {{host}}</h1>"})
	failing := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.Header().Set("X-Member", "1")
		w.WriteHeader(503)
		fmt.Fprint(w, "the member's words")
	})
	b := start(t, `error_pages: {404: `+dir+`/404.html, 5xx: {html: "<p>{{status}} {{reason}} {{why}}</p>"}}
routes:
  - {path: /own, error_pages: {5xx: {html: "own {{status}}"}}, pool: none}
  - {path: /files, strip_prefix: true, files: {root: `+dir+`}}
  - {path: /take, intercept: true, pool: web}
  - {path: /pass, pool: web}
  - {path: /none, pool: none}
  - {path: /fixed, answer: {status: 503, body: "as it is"}}
pools:
  web: {members: [{addr: '`+failing+`'}]}
  none: {from: {service: nobody}}
`)
	f := func(path, accept string, status int, want string) *http.Response {
		t.Helper()
		req, _ := http.NewRequest("GET", b.url(path), nil)
		req.Host = "a.test"
		if accept != "" {
			req.Header.Set("Accept", accept)
		}
		res, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(res.Body); err != nil || res.StatusCode != status || body.String() != want {
			t.Errorf("%s %s: %d %q, %v", path, accept, res.StatusCode, &body, err)
		}
		return res
	}
	const html = "text/html,*/*;q=0.8"
	if res := f("/x", html, 404, "<h1>404 at a.test</h1>"); res.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%v", res.Header)
	}
	f("/x", "", 404, "404 Not Found\n")
	f("/x", "*/*", 404, "404 Not Found\n")
	f("/files/x", html, 404, "<h1>404 at a.test</h1>")
	f("/files/", html, 403, "403 Forbidden\n")
	f("/own", html, 503, "own 503")
	f("/none", html, 503, "<p>503 Service Unavailable no-member</p>")
	f("/fixed", html, 503, "as it is")
	f("/pass", html, 503, "the member's words")
	if res := f("/take", html, 503, "<p>503 Service Unavailable intercepted</p>"); res.Header.Get("WWW-Authenticate") != "Basic" || res.Header.Get("X-Member") != "" {
		t.Errorf("%v", res.Header)
	}
	f("/take", "application/json", 503, "the member's words")
	if _, err := tryApply(b, "error_pages: {404: "+dir+"/none.html}\n"); err == nil || !strings.Contains(err.Error(), "none.html") {
		t.Errorf("a page that is missing: %v", err)
	}
}

// tryApply reloads with a configuration that may be refused.
func tryApply(b *balancer, yaml string) (any, error) {
	b.set(yaml)
	return b.Reload(b.t.Context())
}
