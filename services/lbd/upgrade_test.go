package lbd

import (
	"bufio"
	"crypto/tls"
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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// program is an lbd that runs as a process of its own, from a copy of the binary that can be replaced.
type program struct {
	t    *testing.T
	dir  string
	path string // of the copy
	addr string
	cmd  *exec.Cmd // the first process
}

// startProgram runs lbd in front of a member until it serves; how is what its listener says beside its address, and more is added to its
// configuration. It and its successors are killed with the test.
func startProgram(t *testing.T, node, member, how, more string) *program {
	t.Helper()
	p := &program{t: t, dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", labtest.FreePort(t))}
	p.path = filepath.Join(p.dir, "lbd")
	p.install(labtest.BuildBinary(t, "github.com/everup/everup/services/lbd/cmd/lbd"))
	text := fmt.Sprintf("node: %[4]s\nstate: %[1]s/state\nadmin: {socket: %[1]s/sock}\nlisten: [{addr: %[2]q%[5]s}]\nroutes: [{pool: web}]\npools: {web: {members: [{addr: %[3]q}]}}\n",
		p.dir, p.addr, member, node, how) + more
	if err := os.WriteFile(p.file(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(p.path, "run", "-c", p.file())
	// Successors write there, too: a file, so that nobody waits for the last of them.
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stderr, p.cmd.Stdout = log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	labtest.Eventually(t, patience, "lbd is ready", func() error {
		_, err := p.pid()
		return err
	})
	return p
}

func (p *program) file() string { return filepath.Join(p.dir, "lbd.yaml") }

// install puts a program in the place of the copy, as a package manager does.
func (p *program) install(from string) {
	p.t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(p.path+".new", b, 0o755)
	}
	if err == nil {
		err = os.Rename(p.path+".new", p.path)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// script is install of a shell script.
func (p *program) script(text string) {
	p.t.Helper()
	from := filepath.Join(p.dir, "script")
	if err := os.WriteFile(from, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.install(from)
}

// lbd runs a verb of the real program.
func (p *program) lbd(args ...string) (string, error) {
	out, err := exec.Command(labtest.BuildBinary(p.t, "github.com/everup/everup/services/lbd/cmd/lbd"), append(args, "-c", p.file())...).CombinedOutput()
	return string(out), err
}

// pid returns the process that serves, once it is ready.
func (p *program) pid() (int, error) {
	out, err := p.lbd("status", "-o", "json")
	if err != nil {
		return 0, errors.New(out)
	}
	var s struct {
		PID   int  `json:"pid"`
		Ready bool `json:"ready"`
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return 0, err
	}
	if !s.Ready {
		return 0, errors.New("not ready")
	}
	return s.PID, nil
}

// inFleet reports whether the daemon sees two members, and has the bus.
func (p *program) inFleet() error {
	out, err := p.lbd("status")
	if err == nil && (!strings.Contains(out, "2 members, bus ") || strings.Contains(out, "bus connecting")) {
		err = errors.New(out)
	}
	return err
}

// end kills whoever still runs, and shows what was said if the test failed.
func (p *program) end() {
	if pid, err := p.pid(); err == nil && pid != p.cmd.Process.Pid {
		syscall.Kill(pid, syscall.SIGKILL) // the successor, which nobody waits for but init
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	if p.t.Failed() {
		b, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		p.t.Logf("the daemon said:\n%s", b)
	}
}

// echoes is a member that answers requests, and echoes what comes after an upgrade.
func echoes(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.WriteString(w, "page")
			return
		}
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, rw)
	})}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// tunnel is an upgraded connection through lbd.
type tunnel struct {
	net.Conn
	in *bufio.Reader
}

// dial makes a connection to lbd.
type dial func() (net.Conn, error)

func plainly(addr string) dial { return func() (net.Conn, error) { return net.Dial("tcp", addr) } }

func openTunnel(to dial) (*tunnel, error) {
	c, err := to()
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(2 * patience))
	io.WriteString(c, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	t := &tunnel{c, bufio.NewReader(c)}
	res, err := http.ReadResponse(t.in, nil)
	if err == nil && res.StatusCode != 101 {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return t, err
}

// echo reports whether what is sent comes back.
func (t *tunnel) echo(text string) error {
	if _, err := io.WriteString(t, text+"\n"); err != nil {
		return err
	}
	got, err := t.in.ReadString('\n')
	if err == nil && got != text+"\n" {
		err = fmt.Errorf("%q came back for %q", got, text)
	}
	return err
}

// flood asks again and again on connections that are kept as long as lbd wants, until stop. It counts answers and failures.
type flood struct {
	wg       sync.WaitGroup
	stop     chan struct{}
	answered atomic.Int64
	mu       sync.Mutex
	failed   []error
}

func startTraffic(to dial, connections int) *flood {
	l := &flood{stop: make(chan struct{})}
	for range connections {
		l.wg.Go(func() {
			var c *tunnel
			for {
				select {
				case <-l.stop:
					if c != nil {
						c.Close()
					}
					return
				default:
				}
				var err error
				c, err = l.ask(to, c)
				l.note(err)
			}
		})
	}
	return l
}

// ask does one request; nobody tries it again. It returns the connection for the next one, nil if it ended.
func (l *flood) ask(to dial, c *tunnel) (*tunnel, error) {
	if c == nil {
		conn, err := to()
		if err != nil {
			return nil, err
		}
		c = &tunnel{conn, bufio.NewReader(conn)}
	}
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, err := http.ReadResponse(c.in, nil)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
	}
	if err == nil && string(body) != "page" {
		err = fmt.Errorf("status %d: %q", res.StatusCode, body)
	}
	if err != nil || res.Close {
		c.Close()
		c = nil
	}
	return c, err
}

// note counts a request.
func (l *flood) note(err error) {
	if err == nil {
		l.answered.Add(1)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, err)
}

// more waits for so many answers more.
func (l *flood) more(t *testing.T, n int64) {
	t.Helper()
	want := l.answered.Load() + n
	labtest.Eventually(t, patience, "requests are answered", func() error {
		if got := l.answered.Load(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

func (l *flood) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	t.Logf("%d requests", l.answered.Load())
	for _, err := range l.failed {
		t.Errorf("a request failed: %v", err)
	}
}

// TestUpgrade replaces the process under load: no request fails, and 500 upgraded connections live on in the old process, which ends with
// the last of them.
func TestUpgrade(t *testing.T) {
	const tunnels = 500
	p := startProgram(t, "n1", echoes(t), "", "")
	var open []*tunnel
	for range tunnels {
		c, err := openTunnel(plainly(p.addr))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	l := startTraffic(plainly(p.addr), 8)
	l.more(t, 500)
	out, err := p.lbd("upgrade")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l.more(t, 1000)
	l.end(t)
	pid, err := p.pid()
	if err != nil || pid == p.cmd.Process.Pid || !strings.Contains(out, fmt.Sprintf("process %d serves", pid)) {
		t.Errorf("process %d serves, %v, and was %d; the verb said %q", pid, err, p.cmd.Process.Pid, out)
	}
	for i, c := range open {
		if err := c.echo(fmt.Sprint("after ", i)); err != nil {
			t.Fatalf("upgraded connection %d: %v", i, err)
		}
		c.Close()
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the old process: %v", err)
	}
	if now, err := p.pid(); err != nil || now != pid {
		t.Errorf("process %d serves after the old one has ended, %v", now, err)
	}
	// The successor can be replaced in turn.
	if out, err := p.lbd("upgrade"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if now, err := p.pid(); err != nil || now == pid {
		t.Errorf("process %d serves after a second upgrade, %v", now, err)
	}
}

// TestUpgradeSecure is TestUpgrade over TLS, with clients that speak HTTP/2 among the others.
func TestUpgradeSecure(t *testing.T) {
	const tunnels = 50
	certs := labtest.NewCerts(t)
	p := startProgram(t, "n1", echoes(t), ", tls: web, http2: true", fmt.Sprintf("tls: {web: {certificates: [{cert: %q, key: %q}]}}\n", certs.CertFile, certs.KeyFile))
	secure := func() (net.Conn, error) { return tls.Dial("tcp", p.addr, certs.Client()) }
	var open []*tunnel
	for range tunnels {
		c, err := openTunnel(secure)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	l, streams := startTraffic(secure, 4), startStreams(p.addr, certs.Client())
	l.more(t, 100)
	streams.more(t, 200)
	if out, err := p.lbd("upgrade"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	l.more(t, 200)
	streams.more(t, 400)
	l.end(t)
	streams.end(t)
	for i, c := range open {
		if err := c.echo(fmt.Sprint("after ", i)); err != nil {
			t.Fatalf("upgraded connection %d: %v", i, err)
		}
		c.Close()
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the old process: %v", err)
	}
}

// startStreams asks again and again by HTTP/2, eight requests at once on as many connections as the server wants.
func startStreams(addr string, config *tls.Config) *flood {
	l := &flood{stop: make(chan struct{})}
	config = config.Clone()
	config.NextProtos = nil // the transport names its own
	tr := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: tr, Timeout: patience}
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
					l.note(getByHTTP2(client, "https://"+addr+"/"))
				}
			}
		})
	}
	l.wg.Go(func() {
		asking.Wait()
		tr.CloseIdleConnections()
	})
	return l
}

func getByHTTP2(client *http.Client, url string) error {
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.ProtoMajor != 2 || string(body) != "page") {
		err = fmt.Errorf("%s: status %d: %q", res.Proto, res.StatusCode, body)
	}
	return err
}

// TestUpgradeThatFails: a program that refuses the configuration changes nothing; one that dies afterwards is replaced by the old one.
func TestUpgradeThatFails(t *testing.T) {
	p := startProgram(t, "n1", echoes(t), "", "")
	c, err := openTunnel(plainly(p.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l := startTraffic(plainly(p.addr), 4)
	l.more(t, 100)

	p.script("echo no such key >&2; exit 78")
	if out, err := p.lbd("upgrade"); err == nil || !strings.Contains(out, "no such key") {
		t.Errorf("%v\n%s", err, out)
	}
	l.more(t, 100)
	if pid, err := p.pid(); err != nil || pid != p.cmd.Process.Pid {
		t.Errorf("process %d serves, %v", pid, err)
	}

	p.script("[ $1 = check ] || exit 3")
	if out, err := p.lbd("upgrade"); err == nil || !strings.Contains(out, "of the old one serves") {
		t.Errorf("%v\n%s", err, out)
	}
	l.more(t, 100)
	if pid, err := p.pid(); err != nil || pid == p.cmd.Process.Pid {
		t.Errorf("process %d serves, %v", pid, err)
	}
	if err := c.echo("still there"); err != nil {
		t.Error(err)
	}
	l.end(t)
}

// TestUpgradeInAFleet: the others do not see the member go. They hear that it is upgraded, and that the successor is ready.
func TestUpgradeInAFleet(t *testing.T) {
	member := echoes(t)
	a, b := labtest.FreeAddr(t), labtest.FreeAddr(t)
	client, route := labtest.FreeAddr(t), labtest.FreeAddr(t)
	of := func(own string) string {
		return fmt.Sprintf("cluster: {fleet: demo, listen: %q, join: [%q], secrets: ['0123456789abcdef0123']}\nbus: {listen: %q, routes: %q}\n", own, a, client, route)
	}
	one, two := startProgram(t, "n1", member, "", of(a)), startProgram(t, "n2", member, "", of(b))
	for _, p := range []*program{one, two} {
		labtest.Eventually(t, patience, "two members and the bus", func() error {
			return p.inFleet()
		})
	}
	c, err := openTunnel(plainly(one.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out, err := one.lbd("upgrade"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	labtest.Eventually(t, patience, "two members and the bus after the upgrade", func() error {
		for _, p := range []*program{one, two} {
			if err := p.inFleet(); err != nil {
				return err
			}
		}
		return nil
	})
	if err := c.echo("still there"); err != nil {
		t.Error(err)
	}
	log, err := os.ReadFile(filepath.Join(two.dir, "log"))
	if err != nil || strings.Contains(string(log), `"msg":"member gone"`) {
		t.Errorf("the other daemon: %v\n%s", err, log)
	}
}
