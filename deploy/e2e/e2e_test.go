// Package e2e uses the whole suite as its users do: the real binaries, started as `everup up` starts them, and curl, dig, logger and
// plain sockets against them.
package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/deploy/internal/site"
	"github.com/everup/everup/deploy/internal/site/sitetest"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/labtest"
	"github.com/nats-io/nats.go"
)

// suite is a running suite and what the tests need of it.
type suite struct {
	*site.Suite
	bin string
}

// start runs the suite in a directory of its own, on ports of its own, until the test ends.
func start(t *testing.T) *suite {
	t.Helper()
	bin := os.Getenv("EVERUP_BIN")
	if bin == "" {
		t.Skip("SKIP-NEEDS: binaries built by make (EVERUP_BIN)")
	}
	var s *site.Suite
	t.Cleanup(func() { // runs after the suite's own end
		if s == nil {
			return // it did not start, and that was said
		}
		for _, p := range site.Ports() {
			if c, err := net.DialTimeout("tcp", s.Addr(p.Number), time.Second); err == nil {
				c.Close()
				t.Errorf("port %d still answers after the end", p.Number+s.Offset)
			}
		}
	})
	s = sitetest.Start(t, site.Options{
		Dir: filepath.Join(t.TempDir(), ".everup"), Bin: bin,
		Report: func(child, line string) { t.Logf("%s: %s", child, line) },
	})
	return &suite{s, bin}
}

// run runs a program and returns its standard output; stdin may be nil.
func run(t *testing.T, stdin io.Reader, name string, args ...string) string {
	t.Helper()
	labtest.Needs(t, name)
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = stdin
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

func TestSuite(t *testing.T) {
	s := start(t)
	t.Run("balance", s.balance)
	t.Run("sessions", s.sessions)
	t.Run("files", s.files)
	t.Run("dns", s.dns)
	t.Run("memcached", s.memcached)
	t.Run("logs", s.logs)
	t.Run("console", s.console)
	t.Run("config", s.config)
	t.Run("no request lost", s.noRequestLost)
	t.Run("restart is an event", s.restartIsAnEvent)
}

// visit is what the demo's /api/visit answers.
type visit struct {
	Instance string
	Visits   int
}

func (s *suite) balance(t *testing.T) {
	seen := map[string]int{}
	for range 20 {
		var v visit
		out := run(t, nil, "curl", "-sS", "--fail", s.URL()+"/api/visit")
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		seen[v.Instance]++
	}
	if seen["web1"] < 5 || seen["web2"] < 5 {
		t.Errorf("20 requests were spread as %v", seen)
	}
}

// A session's counter goes on whichever instance answers: it is in cached.
func (s *suite) sessions(t *testing.T) {
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Timeout: 5 * time.Second}
	instances := map[string]bool{}
	for i := 1; i <= 10; i++ {
		resp, err := client.Get(s.URL() + "/api/visit")
		if err != nil {
			t.Fatal(err)
		}
		var v visit
		err = json.NewDecoder(resp.Body).Decode(&v)
		resp.Body.Close()
		if err != nil || v.Visits != i {
			t.Fatalf("visit %d: %+v, %v", i, v, err)
		}
		instances[v.Instance] = true
	}
	if len(instances) != 2 {
		t.Errorf("one session met %d instances", len(instances))
	}
}

func (s *suite) files(t *testing.T) {
	body := make([]byte, 3<<20+17)
	rand.Read(body)
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	url := s.URL() + "/files/dir/name%20with%20space"
	status := func(want string, args ...string) {
		t.Helper()
		got := run(t, nil, "curl", append([]string{"-sS", "-o", "/dev/null", "-w", "%{http_code}"}, args...)...)
		if got != want {
			t.Errorf("curl %v: %s, want %s", args, got, want)
		}
	}
	status("404", url)
	status("201", "-T", file, url)
	if got := run(t, nil, "curl", "-sS", "--fail", url); got != string(body) {
		t.Errorf("GET gives %d bytes, %d were put", len(got), len(body))
	}
	if got := run(t, nil, "curl", "-sS", "--fail", "-r", "100-199", url); got != string(body[100:200]) {
		t.Errorf("a range gives %d bytes", len(got))
	}
	head := run(t, nil, "curl", "-sS", "-I", url)
	if !strings.Contains(head, fmt.Sprintf("Content-Length: %d", len(body))) || !strings.Contains(strings.ToLower(head), "etag: \"") {
		t.Errorf("HEAD: %s", head)
	}
	status("412", "-T", file, "-H", "If-None-Match: *", url)
	status("204", "-T", file, url)
	status("204", "-X", "DELETE", url)
	status("404", url)
	status("404", "-X", "DELETE", url)
}

func (s *suite) dig(t *testing.T, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.Addr(site.PortDNS))
	return strings.TrimSpace(run(t, nil, "dig", append([]string{"@" + host, "-p", port, "+short", "+tries=1", "+time=3"}, args...)...))
}

func (s *suite) dns(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		if got := s.dig(t, args...); got != want {
			t.Errorf("dig %v: %q, want %q", args, got, want)
		}
	}
	f("127.0.0.1", "www.demo.test", "A")
	f("127.0.0.1", "+tcp", "www.demo.test", "A")
	f("127.0.0.1", "storaged.service.everup.internal", "A")
	f(fmt.Sprintf("0 100 %d demo.node.everup.internal.", site.PortFiles+s.Offset), "storaged.service.everup.internal", "SRV")
	f("127.0.0.1", "demo.node.everup.internal", "A")
	f("", "nobody.service.everup.internal", "A")
}

func (s *suite) memcached(t *testing.T) {
	c, err := net.Dial("tcp", s.Addr(site.PortCache))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, "set k 0 60 5\r\nhello\r\nget k\r\nquit\r\n")
	got, err := io.ReadAll(c)
	if want := "STORED\r\nVALUE k 0 5\r\nhello\r\nEND\r\n"; string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := exec.LookPath("memcstat"); err == nil {
		out := run(t, nil, "memcstat", "--servers="+s.Addr(site.PortCache))
		if !strings.Contains(out, "curr_items") {
			t.Errorf("memcstat: %s", out)
		}
	}
}

// grep waits until a line with all of the words lies in some log file of the host.
func (s *suite) grep(t *testing.T, host string, words ...string) {
	t.Helper()
	labtest.Eventually(t, 15*time.Second, fmt.Sprintf("a line of %s with %q in a file", host, words), func() error {
		files, err := filepath.Glob(filepath.Join(s.State, "logd", "*", "*", "*", "*", host+".log"))
		if err != nil || len(files) == 0 {
			return fmt.Errorf("no file %s.log below %s: %v", host, s.State, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(b)) {
				if containsAll(line, words) {
					return nil
				}
			}
		}
		return errors.New("not there yet")
	})
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

func (s *suite) logs(t *testing.T) {
	host, port, _ := net.SplitHostPort(s.Addr(site.PortSyslog))
	run(t, nil, "logger", "--tcp", "--server", host, "--port", port, "--rfc5424", "--tag", "e2e", "hello over tcp")
	run(t, nil, "logger", "--udp", "--server", host, "--port", port, "--rfc5424", "--tag", "e2e", "hello over udp")
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	s.grep(t, own, "e2e", "hello over tcp")
	s.grep(t, own, "e2e", "hello over udp")

	marker := "/logged-" + rand.Text()
	run(t, nil, "curl", "-sS", "-o", "/dev/null", s.URL()+marker)
	s.grep(t, site.Node, "lbd", "GET "+marker, " 404 ")
	labtest.Eventually(t, 15*time.Second, "the instance that answered has logged it", func() error {
		files, _ := filepath.Glob(filepath.Join(s.State, "logd", "*", "*", "*", "*", "web*.log"))
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), marker) {
				return nil
			}
		}
		return fmt.Errorf("not in %v", files)
	})
}

func (s *suite) console(t *testing.T) {
	page := run(t, nil, "curl", "-sS", "--fail", "http://"+s.Addr(site.PortConsole)+"/")
	for _, d := range []string{"lbd", "dnsd", "cached", "storaged", "logd"} {
		if !strings.Contains(page, d) {
			t.Errorf("the console does not show %s", d)
		}
	}
	if m := run(t, nil, "curl", "-sS", "--fail", "http://"+s.Addr(site.PortConsole)+"/metrics"); !strings.Contains(m, "everup_lbd_") {
		t.Error("no metrics of lbd")
	}
}

// A bad file: every error with its position, exit code 78, and the running daemon untouched.
func (s *suite) config(t *testing.T) {
	file := filepath.Join(s.Config, "lbd.yaml")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(file, good, 0o600)
	bad := strings.Replace(string(good), "strip_prefix:", "strip_prefx:", 1)
	bad = strings.Replace(bad, "interval: 250ms", "interval: 250", 1)
	if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"check", "reload"} {
		out, err := exec.Command(filepath.Join(s.bin, "lbd"), verb, "-c", file).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 78 {
			t.Errorf("lbd %s: %v\n%s", verb, err, out)
		}
		for _, want := range []string{file + ":", `did you mean "strip_prefix"?`, "pools.web.check.interval"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("lbd %s does not say %q:\n%s", verb, want, out)
			}
		}
	}
	run(t, nil, "curl", "-sS", "--fail", "-o", "/dev/null", s.URL()+"/")
	os.WriteFile(file, good, 0o600)
	run(t, nil, filepath.Join(s.bin, "lbd"), "reload", "-c", file)
}

// enough is the least number of requests that a statement about lost ones rests on.
const enough = 300

// load sends GETs without pause from a few clients until stop is called, which waits for enough of them and returns how many
// there were and how many failed.
func (s *suite) load(t *testing.T) (stop func() (sent, failed int64)) {
	t.Helper()
	var sent, failed atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			for ctx.Err() == nil && sent.Load() < 100_000 {
				resp, err := client.Get(s.URL() + "/api/visit")
				sent.Add(1)
				if err != nil {
					failed.Add(1)
					t.Logf("failed: %v", err)
					continue
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Logf("failed: %s %v %.200s", resp.Status, err, body)
				}
			}
		})
	}
	return func() (int64, int64) {
		t.Helper()
		labtest.Eventually(t, 30*time.Second, "enough requests", func() error {
			if n := sent.Load(); n < enough {
				return fmt.Errorf("%d sent", n)
			}
			return nil
		})
		cancel()
		wg.Wait()
		return sent.Load(), failed.Load()
	}
}

// back waits until a child has died and runs again, and answers.
func (s *suite) back(t *testing.T, child string, before int, port int) {
	t.Helper()
	labtest.Eventually(t, 30*time.Second, child+" runs again", func() error {
		if pid := s.Pid(child); pid == 0 || pid == before {
			return fmt.Errorf("pid %d, before %d", pid, before)
		}
		c, err := net.Dial("tcp", s.Addr(port))
		if err == nil {
			c.Close()
		}
		return err
	})
}

// Stopping an instance of the application, in order and by force, loses no request.
func (s *suite) noRequestLost(t *testing.T) {
	for _, c := range []struct {
		child string
		port  int
		sig   syscall.Signal
	}{{"web1", site.PortWeb1, syscall.SIGTERM}, {"web2", site.PortWeb2, syscall.SIGKILL}} {
		s.bothUp(t)
		stop := s.load(t)
		pid := s.Pid(c.child)
		if err := syscall.Kill(pid, c.sig); err != nil {
			t.Fatal(err)
		}
		s.back(t, c.child, pid, c.port)
		sent, failed := stop()
		t.Logf("%s of %s: %d requests, %d failed", c.sig, c.child, sent, failed)
		if failed != 0 {
			t.Errorf("%s of %s: %d of %d requests failed", c.sig, c.child, failed, sent)
		}
	}
}

// bothUp waits until lbd holds both instances for well.
func (s *suite) bothUp(t *testing.T) {
	t.Helper()
	labtest.Eventually(t, 20*time.Second, "both instances answer through lbd", func() error {
		seen := map[string]bool{}
		for range 8 {
			resp, err := http.Get(s.URL() + "/api/visit")
			if err != nil {
				return err
			}
			var v visit
			json.NewDecoder(resp.Body).Decode(&v)
			resp.Body.Close()
			seen[v.Instance] = true
		}
		if len(seen) != 2 {
			return fmt.Errorf("seen %v", seen)
		}
		return nil
	})
}

// Each daemon killed is restarted, the site works again, and any NATS client of the host hears of it.
func (s *suite) restartIsAnEvent(t *testing.T) {
	nc, err := nats.Connect("nats://"+s.Addr(site.PortBus), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	events := make(chan *nats.Msg, 1024)
	if _, err := nc.ChanSubscribe("everup.demo.event.>", events); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		child string
		port  int
	}{
		{"storaged", site.PortFiles}, {"cached", site.PortCache}, {"lbd", site.PortSite}, {"dnsd", site.PortDNS},
		{"logd", site.PortSyslog}, {"storaged", site.PortFiles}, // once more: events flow again whoever ran the bus
	} {
		// An event reaches who is connected. When the child that dies runs the host's bus server, a client from outside may
		// still be connecting anew when the news goes out: then the next child's event is what it must hear.
		carried := s.runsBus(t, c.child)
		pid := s.Pid(c.child)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.back(t, c.child, pid, c.port)
		if !carried {
			hears(t, events, c.child)
		}
		labtest.Eventually(t, 20*time.Second, "the client is connected", func() error { return nc.FlushTimeout(time.Second) })
	}
	s.bothUp(t)
	run(t, nil, "curl", "-sS", "--fail", "-o", "/dev/null", s.URL()+"/")
	s.files(t)
	s.dns(t)
}

// runsBus reports whether the child runs the host's bus server now.
func (s *suite) runsBus(t *testing.T, child string) bool {
	t.Helper()
	c := admin.Dial(s.Socket(child))
	defer c.Close()
	var status struct{ Bus bus.State }
	if err := c.Do(t.Context(), http.MethodGet, "/v1/status", nil, &status); err != nil {
		t.Fatal(err)
	}
	return status.Bus == bus.Server
}

// hears waits for the event that says that child was restarted.
func hears(t *testing.T, events <-chan *nats.Msg, child string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case m := <-events:
			if m.Subject == "everup.demo.event.everup.child-restarted" && m.Header.Get("ce-subject") == child {
				return
			}
		case <-deadline:
			t.Fatalf("no event says that %s was restarted", child)
		}
	}
}
