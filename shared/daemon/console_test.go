package daemon

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestConsole looks at the console of a running daemon: the page, its policy, and the daemon's own row and event.
func TestConsole(t *testing.T) {
	labtest.LeakCheck(t)
	h := newHost(t, "")
	h.admin = ", http: '127.0.0.1:0'"
	in, stop := h.start(t, "lbd", "")
	<-in.Ready()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	base := "http://" + in.floor.tcp.Addr().String()
	get := func(path string) (*http.Response, string) {
		t.Helper()
		resp, err := client.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	resp, page := get("/")
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	for _, want := range []string{`/lbd" class="ok" data-row>`, "All is well", h.path("lbd.sock")} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
	if resp, fleet := get("/api/fleet"); resp.StatusCode != 200 || !strings.Contains(fleet, `"service": "lbd"`) {
		t.Errorf("/api/fleet: %d %s", resp.StatusCode, fleet)
	}
	if resp, _ := get("/metrics"); resp.StatusCode != 200 {
		t.Errorf("/metrics: %d", resp.StatusCode)
	}
	stream, err := client.Get(base + "/stream") // ends with the daemon
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	in.Env().Bus.Emit("spoken", "", nil)
	lines := bufio.NewReader(stream.Body)
	for said := ""; !strings.Contains(said, "daemon-ready") || !strings.Contains(said, "spoken"); {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended with %v after %s", err, said)
		}
		said += line
	}
	stop()
	if _, err := io.ReadAll(lines); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestRunningSocket(t *testing.T) {
	own, units := t.TempDir(), t.TempDir()
	t.Setenv("RUNTIME_DIRECTORY", own)
	make := func(path string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := func(want string) {
		t.Helper()
		if got := runningSocket("lbd", units); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(filepath.Join(own, "lbd.sock")) // neither is there
	f(make(filepath.Join(units, "lbd", "lbd.sock")))
	f(make(filepath.Join(own, "lbd.sock")))
}
