package cached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/stats"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
)

func TestConfigStruct(t *testing.T) {
	if err := conf.CheckStruct(&Config{}); err != nil {
		t.Error(err)
	}
}

// instance is a cached that runs in this process.
type instance struct {
	*daemon.Instance[Config]
	addr, file, fixed string
	stop              func() // and wait for the end
}

// start runs cached with the given tail of a configuration until the test ends.
func start(t *testing.T, tail string) *instance {
	t.Helper()
	labtest.LeakCheck(t)
	dir := t.TempDir()
	in := &instance{addr: labtest.FreeAddr(t), file: filepath.Join(dir, "cached.yaml")}
	in.fixed = fmt.Sprintf("node: n1\nstate: %[1]s/state\nadmin: {socket: %[1]s/sock}\nlisten: ['%[2]s']\n", dir, in.addr)
	in.configure(t, tail)
	load := func() (daemon.Loaded[Config], error) {
		c := new(Config)
		doc, err := conf.Load(in.file, c, conf.Options{})
		return daemon.Loaded[Config]{Config: c, Doc: doc}, err
	}
	l, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if in.Instance, err = daemon.New(Spec(), l, load, io.Discard); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	in.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("cached ended with: %v", err)
		}
		done <- nil
	}
	t.Cleanup(in.stop)
	return in
}

func (in *instance) configure(t *testing.T, tail string) {
	t.Helper()
	if err := os.WriteFile(in.file, []byte(in.fixed+tail), 0o600); err != nil {
		t.Fatal(err)
	}
}

// client is a connection and what reads its lines.
type client struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func (in *instance) dial(t *testing.T) *client {
	t.Helper()
	c, err := net.Dial("tcp", in.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{c, bufio.NewReader(c), t}
}

// ask sends text and checks the lines that come back.
func (c *client) ask(text string, want ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
	for _, w := range want {
		if line, err := c.r.ReadString('\n'); line != w+"\r\n" {
			c.t.Fatalf("after %.60q: %q, %v; want %q", text, line, err, w)
		}
	}
}

// ended checks that the server hung up.
func (c *client) ended(what string) {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) { // a reset is an end too
		c.t.Errorf("%s: read %q, %v; want the end", what, b, err)
	}
}

func TestConversation(t *testing.T) {
	in := start(t, "")
	c, other := in.dial(t), in.dial(t)
	c.ask("set a 7 0 3\r\nabc\r\n", "STORED")
	other.ask("get a\r\n", "VALUE a 7 3", "abc", "END")
	other.ask("append a 0 0 2 noreply\r\nde\r\nget a\r\n", "VALUE a 7 5", "abcde", "END")
	c.ask(strings.Repeat("incr n 1\r\n", 2000)+"version\r\n", append(repeat("NOT_FOUND", 2000), "VERSION "+stats.Version)...)
	c.ask("set "+strings.Repeat("x", 250)+" 0 0 1\r\nx\r\nset "+strings.Repeat("x", 5000), "STORED")
	c.ended("a line without an end in sight")
	other.ask("quit\r\n")
	other.ended("quit")
}

func repeat(s string, n int) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

// stats returns what the command stats says.
func (c *client) stats() map[string]string {
	c.t.Helper()
	io.WriteString(c, "stats\r\n")
	out := map[string]string{}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		f := strings.Fields(line)
		if f[0] == "END" {
			return out
		}
		out[f[1]] = strings.Join(f[2:], " ")
	}
}

func TestStats(t *testing.T) {
	in := start(t, "memory: 8MiB\n")
	c := in.dial(t)
	c.ask("set a 0 0 1\r\nx\r\nget a\r\nget b\r\n", "STORED", "VALUE a 0 1", "x", "END", "END")
	got := c.stats()
	for k, want := range map[string]string{
		"curr_items": "1", "cmd_set": "1", "cmd_get": "2", "get_hits": "1", "get_misses": "1", "curr_connections": "1",
		"total_connections": "1", "limit_maxbytes": "8388608", "pid": fmt.Sprint(os.Getpid()), "evictions": "0",
	} {
		if got[k] != want {
			t.Errorf("stats: %s is %q, want %q", k, got[k], want)
		}
	}
	for i := range 32 {
		c.ask(fmt.Sprintf("set big%d 0 0 500000\r\n%s\r\n", i, strings.Repeat("x", 500_000)), "STORED")
	}
	if got := c.stats(); got["evictions"] == "0" || len(got["bytes"]) > 7 {
		t.Errorf("16 MB in 8 MiB: %v", got)
	}
}

func TestLimitOfConnections(t *testing.T) {
	in := start(t, "connections: 2\n")
	a, b := in.dial(t), in.dial(t)
	a.ask("version\r\n", "VERSION "+stats.Version)
	b.ask("version\r\n", "VERSION "+stats.Version)
	c := in.dial(t)
	c.ask("", "ERROR Too many open connections")
	c.ended("the third of two")
	in.configure(t, "connections: 3\n")
	if _, err := in.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	in.dial(t).ask("version\r\n", "VERSION "+stats.Version)
	if got := a.stats()["rejected_connections"]; got != "1" {
		t.Errorf("%s connections rejected", got)
	}
}

func TestReload(t *testing.T) {
	in := start(t, "")
	c := in.dial(t)
	for i := range 20 {
		c.ask(fmt.Sprintf("set k%d 0 0 600000\r\n%s\r\n", i, strings.Repeat("x", 600_000)), "STORED")
	}
	in.configure(t, "memory: 8MiB\n")
	if _, err := in.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.stats(); got["limit_maxbytes"] != "8388608" || got["curr_items"] == "20" || got["curr_items"] == "0" {
		t.Errorf("12 MB after the limit fell to 8 MiB: %s items, limit %s", got["curr_items"], got["limit_maxbytes"])
	}
	in.configure(t, "memory: 8MiB\nmax_item: 500KiB\n")
	if _, err := in.Reload(t.Context()); fault.Of(err) != fault.Config {
		t.Errorf("another max_item: %v", err)
	}
	if got := c.stats()["limit_maxbytes"]; got != "8388608" {
		t.Errorf("limit %s after a refused reload", got)
	}
	in.configure(t, "memory: 8MiB\nmax_item: 8MiB\n")
	if _, err := in.Reload(t.Context()); fault.Of(err) != fault.Config {
		t.Errorf("an item as large as the memory: %v", err)
	}
}

// A drain ends clients that hold their connections for ever, whether they are silent or ask without pause.
func TestDrainEndsClients(t *testing.T) {
	for _, idle := range []string{"", "idle: 1h\n"} {
		t.Run(idle, func(t *testing.T) {
			in := start(t, idle)
			silent, busy := in.dial(t), in.dial(t)
			silent.ask("version\r\n", "VERSION "+stats.Version)
			asked := make(chan error, 1)
			began := make(chan struct{})
			go func() {
				for n := 0; ; n++ {
					if _, err := io.WriteString(busy, "get a\r\n"); err != nil {
						asked <- nil
						return
					}
					if line, err := busy.r.ReadString('\n'); err != nil {
						asked <- nil
						return
					} else if line != "END\r\n" {
						asked <- fmt.Errorf("read %q", line)
						return
					}
					if n == 10 {
						close(began)
					}
				}
			}()
			<-began
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := in.Service().Drain(ctx); err != nil {
				t.Error(err)
			}
			if c, err := net.Dial("tcp", in.addr); err == nil {
				c.Close()
				t.Error("a draining cache accepts")
			}
			silent.ended("a silent client")
			if err := <-asked; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFailingAcceptIsShownAndPasses(t *testing.T) {
	reg := health.NewRegistry()
	s := &Service{accepting: reg.Item("cached.accept", health.Options{})}
	s.acceptState(syscall.EMFILE)
	if reg.Worst() != health.Fail {
		t.Error("accepting fails and the health item does not")
	}
	s.acceptState(nil)
	if reg.Worst() != health.OK {
		t.Error("accepting works and the health item fails")
	}
}

// Tools of libmemcached.
func TestMemcapable(t *testing.T) {
	labtest.Needs(t, "memccapable")
	in := start(t, "")
	host, port, _ := net.SplitHostPort(in.addr)
	out, err := exec.Command("memccapable", "-a", "-h", host, "-p", port).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "All tests passed") {
		t.Errorf("memccapable -a: %v\n%s", err, out)
	}
}

func TestMemcTools(t *testing.T) {
	labtest.Needs(t, "memccp", "memccat", "memcstat", "memcrm", "memcping")
	in := start(t, "")
	file := filepath.Join(t.TempDir(), "greeting")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(wantOK bool, want, tool string, args ...string) {
		t.Helper()
		out, err := exec.Command(tool, append([]string{"--servers=" + in.addr}, args...)...).CombinedOutput()
		if (err == nil) != wantOK || !strings.Contains(string(out), want) {
			t.Errorf("%s %v: %v, %q", tool, args, err, out)
		}
	}
	f(true, "", "memcping")
	f(true, "", "memccp", file)
	f(true, "hello", "memccat", "greeting")
	f(true, "curr_items: 1", "memcstat")
	f(true, "", "memcrm", "greeting")
	f(false, "", "memccat", "greeting")
}

const pymemcache = `
import sys
from pymemcache.client.base import Client
c = Client(("127.0.0.1", int(sys.argv[1])), default_noreply=False, timeout=10)
assert c.set("a", b"1", expire=100) and c.get("a") == b"1"
assert c.set_many({"k%d" % i: b"v" * i for i in range(200)}) == []
assert c.get_many(["k%d" % i for i in range(300)]) == {"k%d" % i: b"v" * i for i in range(200)}
v, token = c.gets("a")
assert c.cas("a", b"2", token) is True and c.cas("a", b"3", token) is False and c.cas("zz", b"1", token) is None
assert c.incr("a", 40) == 42 and c.decr("a", 2) == 40 and c.incr("zz", 1) is None
assert c.append("a", b"0") and c.prepend("a", b"1") and c.get("a") == b"1400"
assert c.add("a", b"x") is False and c.replace("zz", b"x") is False
assert c.touch("a", 10) and c.delete("a") and c.get("a") is None
assert c.stats()[b"curr_items"] == 200
assert c.flush_all() and c.get("k7") is None
c.quit()
`

func TestPymemcache(t *testing.T) {
	labtest.Needs(t, "python3")
	python := "/usr/bin/python3" // Debian's, which has Debian's modules
	if err := exec.Command(python, "-c", "import pymemcache").Run(); err != nil {
		t.Skip("SKIP-NEEDS: python3-pymemcache")
	}
	in := start(t, "")
	_, port, _ := net.SplitHostPort(in.addr)
	if out, err := exec.Command(python, "-c", pymemcache, port).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
