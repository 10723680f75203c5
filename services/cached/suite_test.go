package cached

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
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/insight"
	"github.com/everup/everup/services/cached/internal/stats"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// Without a word about listening only this host gets in.
func TestDefaultsBindLoopback(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	lab := labtest.New(t)
	a, b := lab.Host("a"), lab.Host("b")
	dir := openDir(t)
	file := filepath.Join(dir, "cached.yaml")
	text := fmt.Sprintf("state: %[1]s/state\nadmin: {socket: %[1]s/sock}\n", dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := a.Start("cached", binaryOf(t), "run", "-c", file)
	p.WaitLine(`"msg":"starting"`, patience) // from here on signals are taken, which the open port does not say
	a.WaitTCP("127.0.0.1:11211", patience)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if c, err := b.DialContext(ctx, "tcp", a.AddrPort(11211)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("from another host: %v, %v", c, err)
	}
	if code := p.Terminate(patience); code != 0 {
		t.Errorf("exit code %d: %s", code, p.Output())
	}
}

func TestCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cached.yaml")
	f := func(code int, text string, want ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := command(t, nil, "check", "-c", file)
		for _, w := range want {
			if !strings.Contains(got.out+got.errors, w) {
				t.Errorf("check of %q: no %q in %+v", text, w, got)
			}
		}
		if got.code != code {
			t.Errorf("check of %q: code %d, want %d", text, got.code, code)
		}
	}
	f(0, "memory: 64MiB\n", "ok")
	f(78, "memory: 1GiB\nmax_item: 2GiB\nlisten:\n- nonsense:x\nconnnections: 7\n",
		file+":2:11: max_item: is 2GiB", file+":4:3: listen[0]", file+":5:1: connnections", `"connections"?`)
	f(78, "memory: 16MiB\nmax_item: 9MiB\nlisten:\n- tls:127.0.0.1:1\n", file+":2:11: max_item: is more than half", file+":4:3: listen[0]: wants TLS")
}

func TestReloadOfEachKey(t *testing.T) {
	in := start(t, "idle: 1h\n")
	c := in.dial(t)
	refused := func(key, tail string) {
		t.Helper()
		in.configure(t, tail)
		if _, err := in.Reload(t.Context()); fault.Of(err) != fault.Config || !strings.Contains(err.Error(), key+" changes only with a restart") {
			t.Errorf("%s: %v", key, err)
		}
	}
	users := usersFile(t, "a:b")
	certs := labtest.NewCerts(t)
	refused("socket_mode", "socket_mode: '0600'\n")
	refused("protocol", "protocol: text\n")
	refused("threads", "threads: 3\n")
	refused("max_item", "max_item: 2MiB\n")
	refused("evict", "evict: false\n")
	refused("cas", "cas: false\n")
	refused("commands", "commands: {shutdown: true}\n")
	refused("auth", "auth: {users: "+users+"}\n")
	refused("tls", "tls: {cert: "+certs.CertFile+", key: "+certs.KeyFile+"}\n")
	refused("udp", "udp: {}\n")
	refused("resp", "resp: {}\n")
	refused("warm", "warm: /dev/shm/x\n")
	fixed := in.fixed
	in.fixed = strings.Replace(fixed, "listen: [", "listen: ['127.0.0.1:0', ", 1)
	refused("listen", "")
	in.fixed = fixed

	c.settings("idle_timeout=3600", "maxconns=1024", "maxconns_fast=yes", "maxbytes=67108864")
	in.configure(t, "idle: 2h\nconnections: 20\nconnections_full: wait\nmemory: 32MiB\nwrite_timeout: 5s\npublish: [deletes, stores]\n")
	if res, err := in.Reload(t.Context()); err != nil || !res.Changed || len(res.Restart) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	c.settings("idle_timeout=7200", "maxconns=20", "maxconns_fast=no", "maxbytes=33554432")
	if !in.service().sessions.Publish.Load() {
		t.Error("changes are not published")
	}
}

// everup runs a verb of cached's own command line and returns the exit code and what was printed.
func everup(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = cli.Execute(t.Context(), daemon.Command(Spec()), args, &o, &e)
	return code, o.String(), e.String()
}

func TestCommands(t *testing.T) {
	in := start(t, "memory: 16MiB\n")
	c := in.dial(t)
	for i := range 100 {
		c.ask(fmt.Sprintf("set user:%d 0 0 1\r\nx\r\n", i), "STORED")
	}
	c.ask("set other 0 0 1\r\nx\r\nget other\r\nget none\r\n", "STORED", "VALUE other 0 1", "x", "END", "END")
	f := func(code int, args ...string) string {
		t.Helper()
		got, out, errs := everup(t, append(args, "--socket", in.socket)...)
		if got != code {
			t.Errorf("cached %v: code %d, want %d: %s%s", args, got, code, out, errs)
		}
		return out + errs
	}
	contains := func(text string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("no %q in:\n%s", w, text)
			}
		}
	}
	contains(f(0, "status"), "state", "ready", "items", "101 in ", " of 16.0 MiB", "connections", "evictions")
	var s struct{ Detail Status }
	if err := json.Unmarshal([]byte(f(0, "status", "-o", "json")), &s); err != nil || s.Detail.Items != 101 || s.Detail.Memory.Limit != 16<<20 ||
		len(s.Detail.Listen) != 1 || s.Detail.Listen[0] != in.addr {
		t.Errorf("status as JSON: %+v, %v", s, err)
	}
	contains(f(0, "hot"), "KEY", "SHARE")
	var hot []insight.Hot
	if err := json.Unmarshal([]byte(f(0, "hot", "-o", "json")), &hot); err != nil || hot == nil {
		t.Errorf("hot as JSON: %v, %v", hot, err)
	}
	contains(f(0, "curve"), "MEMORY", "HIT RATIO")
	var curve []Estimate
	if err := json.Unmarshal([]byte(f(0, "curve", "-o", "json")), &curve); err != nil || curve == nil {
		t.Errorf("curve as JSON: %v, %v", curve, err)
	}
	var done Spread
	if err := json.Unmarshal([]byte(f(0, "invalidate", "other", "none", "-o", "json")), &done); err != nil || done.Deleted != 1 || done.Applied != 1 || done.Missing == nil {
		t.Errorf("invalidate: %+v, %v", done, err)
	}
	contains(f(0, "invalidate", "--prefix", "user:1"), "NODE", "n1", "11")
	contains(f(2, "invalidate"), "neither keys nor prefix")
	contains(f(2, "invalidate", strings.Repeat("k", 251)), "251 bytes")
	f(0, "flush")
	if got := c.stats()["curr_items"]; got != "0" {
		t.Errorf("%s items after a flush", got)
	}
	in.stop()
	contains(f(4, "hot"), in.socket)
}

// A start that fails leaves nothing behind.
func TestFailedStart(t *testing.T) {
	labtest.LeakCheck(t)
	taken, err := net.ListenPacket("udp", labtest.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	in := prepared(t, "n1", fmt.Sprintf("udp: {listen: ['%s']}\nresp: {listen: ['127.0.0.1:0']}\n", taken.LocalAddr()))
	if err := in.open(t); fault.Of(err) != fault.Conflict && fault.Of(err) != fault.Unavailable || !strings.Contains(err.Error(), "in use") {
		t.Errorf("on a port that is taken: %v", err)
	}
	if c, err := net.Dial("tcp", in.addr); err == nil {
		c.Close()
		t.Error("a cache that could not start accepts")
	}
}

func TestConsoleShowsTheCache(t *testing.T) {
	web := labtest.FreeAddr(t)
	labtest.LeakCheck(t)
	in := prepared(t, "n1", "")
	in.fixed = strings.Replace(in.fixed, "admin: {", "admin: {http: '"+web+"', ", 1)
	in.run(t)
	in.dial(t).ask("set a 0 0 1\r\nx\r\nget a\r\n", "STORED", "VALUE a 0 1", "x", "END")
	<-in.Ready()
	resp, err := http.Get("http://" + web + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	for _, want := range []string{"cached", "1 in ", "of 64.0 MiB", "evictions", "memcached tcp " + in.addr} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q on the page (%v):\n%s", want, err, page)
		}
	}
}

// TestDrainOfAllCarriers ends clients of each protocol, silent or busy.
func TestDrainOfAllCarriers(t *testing.T) {
	certs := labtest.NewCerts(t, "127.0.0.1")
	secure, redis := labtest.FreeAddr(t), labtest.FreeAddr(t)
	labtest.LeakCheck(t)
	in := prepared(t, "n1", fmt.Sprintf("resp: {listen: ['%s']}\ntls: {cert: %s, key: %s}\n", redis, certs.CertFile, certs.KeyFile))
	in.fixed = strings.Replace(in.fixed, "listen: [", "listen: ['tls:"+secure+"', ", 1)
	in.run(t)
	silent, err := greet(t, secure, certs.Client())
	if err != nil {
		t.Fatal(err)
	}
	busy, err := greet(t, secure, certs.Client())
	if err != nil {
		t.Fatal(err)
	}
	resp := dial(t, "tcp", redis)
	resp.ask("PING\r\n", "+PONG")
	half := in.dial(t)
	half.ask("version\r\nset a 0 0 100\r\nhalf a val", "VERSION "+stats.Version)
	asked := keepAsking(busy)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	if err := in.Service().Drain(ctx); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > patience/2 {
		t.Errorf("the drain took %v", d)
	}
	if err := <-asked; err != nil {
		t.Error(err)
	}
	silent.ended("a silent client of TLS")
	resp.ended("a silent client of RESP")
	half.ended("a client in the middle of a value")
	for _, addr := range []string{in.addr, secure, redis} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s accepts while draining", addr)
		}
	}
}

// keepAsking asks without pause until the connection ends; the channel tells of a wrong answer, or nil. It returns when some answers came.
func keepAsking(c *client) <-chan error {
	asked, began := make(chan error, 1), make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			if n == 10 {
				close(began)
			}
			if _, err := io.WriteString(c, "get a\r\n"); err != nil {
				asked <- nil
				return
			}
			line, err := c.r.ReadString('\n')
			if err != nil {
				asked <- nil
				return
			}
			if line != "END\r\n" {
				asked <- fmt.Errorf("read %q", line)
				return
			}
		}
	}()
	<-began
	return asked
}
