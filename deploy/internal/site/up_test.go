package site_test

import (
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
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/deploy/internal/site"
	"github.com/everup/everup/deploy/internal/site/sitetest"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/labtest"
	"github.com/nats-io/nats.go"
)

const patience = 60 * time.Second

// output is what a process wrote. Safe for concurrent use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// TestUp runs `everup up` as an operator does, kills each child in turn, and stops it.
func TestUp(t *testing.T) {
	if testing.Short() {
		t.Skip("long: builds and runs every program")
	}
	bin, offset, dir := sitetest.Bin(t), sitetest.Offset(t), t.TempDir()
	cmd := exec.Command(filepath.Join(bin, "everup"), "up", "--dir", dir, "--bin", bin, "--port-offset", strconv.Itoa(offset))
	var out, errs output
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	t.Cleanup(func() { t.Logf("stdout:\n%s\nstderr:\n%s", &out, &errs) })
	url := fmt.Sprintf("http://127.0.0.1:%d", site.PortSite+offset)
	labtest.Eventually(t, patience, "the banner", func() error {
		if !strings.Contains(out.String(), url) {
			return errors.New(out.String() + errs.String())
		}
		return nil
	})
	labtest.Eventually(t, patience, "the site", func() error { return get(url+"/", "everup demo") })
	labtest.Eventually(t, patience, "a file", func() error { return put(url+"/files/a", "hello") })
	if err := get(url+"/files/a", "hello"); err != nil {
		t.Error(err)
	}

	events := follow(t, offset)
	for _, name := range []string{"cached", "web1", "web2", "dnsd", "storaged", "lbd", "logd"} {
		pid := children(t, cmd.Process.Pid)[name]
		if pid == 0 {
			t.Fatalf("%s does not run", name)
		}
		server := busRole(dir, name) == "server"
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		labtest.Eventually(t, patience, name+" is back", func() error {
			if now := children(t, cmd.Process.Pid)[name]; now == 0 || now == pid || !strings.Contains(errs.String(), name+": is back") {
				return fmt.Errorf("pid %d after %d", now, pid)
			}
			return nil
		})
		// With the bus's own server our connection to it died: what is said before we are connected again is not for us.
		if !server {
			waitRestart(t, events, name)
		}
	}
	labtest.Eventually(t, patience, "the site after all that", func() error { return get(url+"/", "everup demo") })
	labtest.Eventually(t, patience, "the file after all that", func() error { return get(url+"/files/a", "hello") })

	operate(t, filepath.Join(bin, "everup"), dir, offset)

	last := children(t, cmd.Process.Pid)
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	for name, pid := range last {
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("%s (pid %d) outlives everup", name, pid)
		}
	}
	for _, p := range site.Ports() {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.Number+offset))
		if err != nil {
			t.Errorf("port %d is still taken", p.Number+offset)
			continue
		}
		ln.Close()
	}
}

// TestExamples has each example checked by the daemon it is for.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("long: builds every program")
	}
	bin, dir := sitetest.Bin(t), t.TempDir()
	s, err := site.New(site.Options{Dir: dir, Bin: bin, Offset: sitetest.Offset(t), Upstreams: []string{"192.0.2.53:53"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if err := s.Run(t.Context()); err != nil {
		t.Error(err)
	}
	check := func() {
		t.Helper()
		out, err := exec.Command(filepath.Join(bin, "everup"), "config", "check", s.Config, "--bin", bin).CombinedOutput()
		if n := strings.Count(string(out), ".yaml: ok\n"); err != nil || n != 5 {
			t.Errorf("%d of 5 are ok: %v\n%s", n, err, out)
		}
	}
	check()
	if n := uncomment(t, filepath.Join(s.Config, "cached.yaml")); n != 3 {
		t.Errorf("cached's example has %d settings that are off, want 3", n)
	}
	check()
}

// uncomment turns on what an example has behind a bare #.
func uncomment(t *testing.T, file string) (settings int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	off := regexp.MustCompile(`(?m)^#([a-z_]+:)`)
	if err := os.WriteFile(file, off.ReplaceAll(text, []byte("$1")), 0o600); err != nil {
		t.Fatal(err)
	}
	return len(off.FindAll(text, -1))
}

// operate tries the operator's commands on the suite.
func operate(t *testing.T, everup, dir string, offset int) {
	t.Helper()
	member := fmt.Sprintf("lbd/web/127.0.0.1:%d", site.PortWeb1+offset)
	f := func(want string, args ...string) {
		t.Helper()
		out, err := exec.Command(everup, append(args, "--dir", dir)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("everup %s: %v, want %q in\n%s", strings.Join(args, " "), err, want, out)
		}
	}
	f("demo/web", "status")
	f(`"findings": [`, "status", "-o", "json")
	f("demo/storaged", "members")
	f("drain", "drain", member, "--reason", "test", "--for", "1m")
	f("up, drained", "status")
	f("undrain", "undrain", member)
	f("nothing changed", "reload", "cached")
	f("pool-member-drained", "events", "--service", "lbd")
	labtest.Eventually(t, patience, "the access log is in logd", func() error {
		out, err := exec.Command(everup, "logs", "--dir", dir, "--app", "lbd", "-n", "1", "--from", "2020-01-01T00:00:00Z").Output()
		if err != nil || !strings.Contains(string(out), "GET /") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

func get(url, want string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(b), want) {
		return fmt.Errorf("%s: %s, %v, %q", url, resp.Status, err, b)
	}
	return nil
}

func put(url, body string) error {
	req, err := http.NewRequest(http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return errors.New(resp.Status)
	}
	return nil
}

// children returns the pids of the processes whose parent is ppid, by the names of the suite.
func children(t *testing.T, ppid int) map[string]int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, f := range dirs {
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(f), "stat"))
		args, err1 := os.ReadFile(f)
		_, rest, _ := strings.Cut(string(stat), ") ")
		if w := strings.Fields(rest); err != nil || err1 != nil || len(w) < 2 || w[1] != strconv.Itoa(ppid) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			continue
		}
		arg := strings.Split(string(args), "\x00")
		name := filepath.Base(arg[0])
		if name == "everup-demo" && len(arg) > 4 {
			name = arg[4]
		}
		out[name] = pid
	}
	return out
}

// busRole returns what the daemon is on the bus, "" for what is no daemon.
func busRole(dir, daemon string) string {
	var s struct{ Bus string }
	c := admin.Dial(filepath.Join(dir, "run", daemon+".sock"))
	defer c.Close()
	if c.Do(context.Background(), http.MethodGet, "/v1/status", nil, &s) != nil {
		return ""
	}
	return s.Bus
}

// follow subscribes to restarts as any NATS client without credentials may.
func follow(t *testing.T, offset int) <-chan *nats.Msg {
	t.Helper()
	nc, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", site.PortBus+offset), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	events := make(chan *nats.Msg, 64)
	if _, err := nc.ChanSubscribe("everup."+site.Fleet+".event.everup.child-restarted", events); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return events
}

// waitRestart waits for the event of name's restart; others may come before it.
func waitRestart(t *testing.T, events <-chan *nats.Msg, name string) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case m := <-events:
			var e struct{ Name, Exit, After string }
			if err := json.Unmarshal(m.Data, &e); err != nil || e.Exit != "signal: killed" || e.After == "" {
				t.Errorf("event %s, %v", m.Data, err)
			}
			if e.Name == name {
				return
			}
		case <-late:
			t.Errorf("no event of the restart of %s", name)
			return
		}
	}
}
