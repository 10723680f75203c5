package examples

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// TestDoS runs lbd-dos, with clients from several addresses of loopback.
func TestDoS(t *testing.T) {
	named := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".png") {
				w.Header().Set("Content-Type", "image/png")
			}
			io.WriteString(w, name)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	listen := labtest.FreeAddr(t)
	startLocal(t, "lbd-dos/lbd.yaml", "0.0.0.0:80", listen, "192.168.0.100:80", named("application"), "192.168.0.101:80", named("application"),
		"192.168.0.102:80", named("spare"), "192.168.1.0/24", "127.0.0.8/29", "tarpit: 5s", "tarpit: 100ms", "delay: 2s", "delay: 100ms",
		// However slow the test is, it is one period.
		"period: 10s", "period: 1h", "period: 10m", "period: 1h", "per: 1s", "per: 1h", "per: 1m,", "per: 1h,", "per: 10m", "per: 1h")
	ask := func(from, method, path string, fields ...string) string {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+listen+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			req.Header.Set(name, value)
		}
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		tr := &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}
		res, err := (&http.Client{Transport: tr, Timeout: patience}).Do(req)
		if err != nil {
			return "none"
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		return fmt.Sprintf("%d %s", res.StatusCode, bytes.TrimSpace(b))
	}
	labtest.Eventually(t, patience, "lbd serves", func() error {
		if got := ask("127.0.0.9", "GET", "/"); got != "200 application" {
			return fmt.Errorf("got %s", got)
		}
		return nil
	})
	f := func(times int, want, from, method, path string, fields ...string) {
		t.Helper()
		for i := range times {
			if got := ask(from, method, path, fields...); got != want {
				t.Fatalf("request %d of %s from %s: %s, want %s", i+1, path, from, got, want)
			}
		}
	}
	f(150, "200 application", "127.0.0.2", "GET", "/logo.png")
	f(100, "200 application", "127.0.0.2", "GET", "/")
	f(1, "200 spare", "127.0.0.2", "GET", "/")
	f(1, "429 Too many requests.", "127.0.0.2", "GET", "/search")
	f(1, "200 application", "127.0.0.3", "GET", "/search")
	f(198, "200 spare", "127.0.0.2", "GET", "/")
	f(1, "none", "127.0.0.2", "GET", "/")
	f(120, "200 application", "127.0.0.9", "GET", "/") // one of the house

	began := time.Now()
	f(6, "200 application", "127.0.0.4", "POST", "/login")
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("the sixth login in a minute has not waited: %v", took)
	}
	f(14, "200 application", "127.0.0.4", "POST", "/login")
	f(1, "429 429 Too Many Requests", "127.0.0.4", "POST", "/login")
	f(29, "429 429 Too Many Requests", "127.0.0.4", "POST", "/login")
	f(1, "403 Too many passwords were wrong.", "127.0.0.4", "POST", "/login")
	f(1, "200 application", "127.0.0.4", "GET", "/") // it is not for other pages that it is suspect
	f(30, "200 application", "127.0.0.5", "GET", "/api/x", "X-Api-Key: k")
	f(1, "429 429 Too Many Requests", "127.0.0.6", "GET", "/api/x", "X-Api-Key: k")
	f(1, "200 application", "127.0.0.5", "GET", "/api/x", "X-Api-Key: other")
}

// startLocal runs the daemon of a configuration on this host, with texts replaced.
func startLocal(t *testing.T, from string, replace ...string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "examples")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(text), replace[i]) {
			t.Fatalf("%s has no %q", from, replace[i])
		}
	}
	file := filepath.Join(dir, filepath.Base(from))
	moved := strings.NewReplacer(replace...).Replace(string(text)) + fmt.Sprintf("state: %s/lib\nadmin: {socket: %s/sock}\n", dir, dir)
	if err := os.WriteFile(file, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := strings.TrimSuffix(filepath.Base(from), ".yaml")
	var out bytes.Buffer
	cmd := exec.Command(program(t, daemon), "run", "-c", file)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", daemon, err)
		}
		if t.Failed() {
			t.Logf("%s", out.Bytes())
		}
	})
}
