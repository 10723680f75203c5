package stream

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/carriertest"
	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/labtest"
)

// rig is a server of scripts, and what its clients need.
type rig struct {
	s       *Server
	gate    *conns.Gate
	certs   *Certs
	lab     *labtest.Certs
	addr    string
	scripts *carriertest.Scripts
	bugs    chan string
	stop    func()
}

type option func(*rig, *Options, *Files)

func start(t *testing.T, opts ...option) *rig {
	t.Helper()
	labtest.LeakCheck(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, l, opts...)
}

func startOn(t *testing.T, l net.Listener, opts ...option) *rig {
	t.Helper()
	r := &rig{lab: labtest.NewCerts(t), gate: conns.NewGate(100, true), scripts: carriertest.New(t), bugs: make(chan string, 8)}
	r.addr = l.Addr().String()
	files := Files{Chain: r.lab.CertFile, Key: r.lab.KeyFile, CA: r.lab.CAFile, Verify: 1, Min: DefaultMin}
	o := Options{
		Factory: r.scripts.Factory, Env: &session.Env{},
		Hooks: conns.Hooks{Bug: func(what any, _ []byte) { r.bugs <- fmt.Sprint(what) }},
	}
	for _, f := range opts {
		f(r, &o, &files)
	}
	var err error
	if r.certs, err = LoadCerts(files); err != nil {
		t.Fatal(err)
	}
	o.Gate, o.Listeners = r.gate, []Listener{{Net: l, TLS: r.certs.Config(false), Tag: 7}}
	r.s = New(o)
	r.scripts.Conns = func() int { return len(r.s.Conns(1000)) - 1 }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		r.stop()
		if n := r.gate.Counts().Current; n != 0 {
			t.Errorf("%d connections are counted after the end", n)
		}
		if begun, ends := r.scripts.Begun.Load(), r.scripts.Ends.Load(); begun != ends {
			t.Errorf("%d sessions began, %d ended", begun, ends)
		}
		if n := r.s.held.Load(); n != 0 {
			t.Errorf("%d bytes of input are counted after the end", n)
		}
	})
	return r
}

type client struct {
	*tls.Conn
	t *testing.T
	r *bufio.Reader
}

func (r *rig) dial(t *testing.T) *client {
	t.Helper()
	c, err := tls.Dial("tcp", r.addr, r.lab.Client())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second)) // a test that hangs should say where
	return &client{c, t, bufio.NewReader(c)}
}

func (c *client) send(s string) *client {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("write: %v", err)
	}
	return c
}

func (c *client) want(want string) *client {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.r, got); string(got) != want {
		c.t.Fatalf("got %.200q of %d bytes (%v), want %.200q of %d", got[:n], n, err, want, len(want))
	}
	return c
}

// wantEnd demands that the server has closed by the rules, after all its answers.
func (c *client) wantEnd() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil {
		c.t.Fatalf("got %.200q, %v at what should be the end", b, err)
	}
}

// wantCut demands that the connection has ended, whichever way.
func (c *client) wantCut() {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c.r); err != nil && strings.Contains(err.Error(), "timeout") {
		c.t.Fatal("the connection is still there")
	}
}

func TestEveryNext(t *testing.T) {
	r := start(t)
	f := func(send, want string) {
		t.Helper()
		r.dial(t).send(send).want(want)
	}
	f("echo one\r\n", "one\r\n")
	f("echo one\r\necho two\r\nyield 3\r\necho three\r\n", "one\r\ntwo\r\nyielded\r\nthree\r\n")
	f("put 5\r\n\x01\x01\x01\x01\x01echo next\r\n", "sum 5\r\nnext\r\n")
	f("put 100000\r\n"+strings.Repeat("\x01", 100000)+"echo next\r\n", "sum 100000\r\nnext\r\n")
	f("echo a\r\nbig 5000000\r\necho b\r\n", "a\r\n"+strings.Repeat("b", 5000000)+"\r\nb\r\n")
	f("flush 300\r\necho b\r\n", strings.Repeat(strings.Repeat("f", 998)+"\r\n", 300)+"b\r\n")
	f("echo "+strings.Repeat("x", 900_000)+"\r\necho b\r\n", strings.Repeat("x", 900_000)+"\r\nb\r\n")
	f("echo a\r\ndetach\r\ntwo\r\nback\r\necho three\r\n", "a\r\naway: two\r\nthree\r\n")
	f("conns\r\n", "9\r\n") // with the eight before, whose clients are still there
	r.dial(t).send("echo a\r\nquit\r\n").want("a\r\n").wantEnd()
	r.dial(t).send("detach\r\nx\r\nend\r\n").want("away: x\r\n").wantEnd()
	r.dial(t).send("abort\r\n").wantCut()
}

func TestPipelineAndByteByByte(t *testing.T) {
	r := start(t)
	c := r.dial(t)
	var send, want strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&send, "echo %d\r\n", i)
		fmt.Fprintf(&want, "%d\r\n", i)
	}
	var wg sync.WaitGroup
	wg.Go(func() { io.WriteString(c, send.String()) })
	c.want(want.String())
	wg.Wait()
	for _, b := range []byte("echo one\r\nput 5\r\n\x01\x01\x01\x01\x01echo two\r\n") {
		c.send(string(b))
	}
	c.want("one\r\nsum 5\r\ntwo\r\n")
	c.CloseWrite()
	c.wantEnd()
}

func TestPanic(t *testing.T) {
	r := start(t)
	well := r.dial(t).send("echo a\r\n").want("a\r\n")
	r.dial(t).send("panic\r\n").wantCut()
	if got := <-r.bugs; got != "as asked" {
		t.Errorf("the report is %q", got)
	}
	r.dial(t).send("detach\r\npanic\r\n").wantCut()
	<-r.bugs
	well.send("echo b\r\n").want("b\r\n")
}

func TestPeerAndListing(t *testing.T) {
	r := start(t)
	got := make(chan session.Peer, 1)
	see := func(p *session.Peer) { got <- *p }
	r.scripts.OnStep.Store(&see)
	c := r.dial(t).send("echo a\r\n").want("a\r\n")
	p := <-got
	if p.Cert != "localhost" || p.Transport != session.TLS || p.Tag != 7 || p.Remote != c.LocalAddr().String() || p.Local != r.addr {
		t.Errorf("the session's peer is %+v", p)
	}
	list := r.s.Conns(10)
	if len(list) != 2 || list[0].State != conns.Listening || list[1].State != "conn_read" || list[1].Remote != p.Remote {
		t.Errorf("the listing is %+v", list)
	}
}

func TestOverLimit(t *testing.T) {
	r := start(t, func(r *rig, _ *Options, _ *Files) { r.gate = conns.NewGate(1, true) })
	c := r.dial(t).send("echo a\r\n").want("a\r\n")
	plain, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if b, err := io.ReadAll(plain); string(b) != conns.Refusal || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
	c.send("quit\r\n").wantEnd()
	r.dial(t).send("echo b\r\n").want("b\r\n")
}

func TestShutAtTheLimit(t *testing.T) {
	r := start(t, func(r *rig, _ *Options, _ *Files) { r.gate = conns.NewGate(1, false) })
	c := r.dial(t).send("echo a\r\n").want("a\r\n")
	next := make(chan *client)
	go func() { next <- r.dial(t) }()
	c.send("quit\r\n").wantEnd()
	(<-next).send("echo b\r\n").want("b\r\n")
	if n := r.gate.Counts().Rejected; n != 0 {
		t.Errorf("%d connections were refused", n)
	}
}

func TestBuffersAreBounded(t *testing.T) {
	r := start(t, func(_ *rig, o *Options, _ *Files) { o.Limits.Buffers = 200_000 })
	c := r.dial(t)
	io.WriteString(c, "echo "+strings.Repeat("x", 500_000)) // it may fail half way
	c.wantCut()
	if n := r.s.Stats().BuffersFull; n != 1 {
		t.Errorf("%d are counted, want 1", n)
	}
	r.dial(t).send("echo " + strings.Repeat("x", 50_000) + "\r\n").want(strings.Repeat("x", 50_000) + "\r\n")
}

func TestDrain(t *testing.T) {
	r := start(t)
	quiet := r.dial(t)
	partial := r.dial(t).send("echo a\r\necho b").want("a\r\n")
	slow := r.dial(t).send("big 10000000\r\n").want("b")
	away := r.dial(t).send("detach\r\nx\r\n").want("away: x\r\n")
	done := make(chan error, 1)
	go func() { done <- r.s.Drain(context.Background()) }()
	quiet.wantEnd()
	partial.wantEnd()
	away.wantCut()
	slow.want(strings.Repeat("b", 10000000-1) + "\r\n").wantEnd()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	r := start(t)
	c, stuck := r.dial(t).send("echo a\r\n").want("a\r\n"), r.dial(t).send("big 16000000\r\n").want("b")
	away := r.dial(t).send("detach\r\nx\r\n").want("away: x\r\n")
	r.stop()
	c.wantCut()
	stuck.wantCut()
	away.wantCut()
}

func TestCertificatesAreSwapped(t *testing.T) {
	r := start(t)
	old := r.dial(t).send("echo a\r\n").want("a\r\n")
	fresh := labtest.NewCerts(t)
	copyFile(t, fresh.CertFile, r.lab.CertFile)
	if err := r.certs.Load(); err == nil {
		t.Error("a certificate was taken whose key is another's")
	}
	r.dial(t).send("echo b\r\n").want("b\r\n") // with the old one
	copyFile(t, fresh.KeyFile, r.lab.KeyFile)
	copyFile(t, fresh.CAFile, r.lab.CAFile)
	if err := r.certs.Load(); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.Dial("tcp", r.addr, r.lab.Client()); err == nil {
		t.Error("a client that trusts the old authority alone has connected")
	}
	r.lab.Pool, r.lab.Leaf = fresh.Pool, fresh.Leaf
	r.dial(t).send("echo c\r\n").want("c\r\n")
	old.send("echo d\r\n").want("d\r\n")
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyModes(t *testing.T) {
	f := func(verify int, shows, ok bool) {
		t.Helper()
		r := start(t, func(_ *rig, _ *Options, f *Files) { f.Verify = verify })
		config := r.lab.Client()
		if !shows {
			config.Certificates = nil
		}
		c, err := tls.Dial("tcp", r.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "quit\r\n")
		// In TLS 1.3 the client learns only by reading that its certificate was refused.
		if _, err := io.ReadAll(c); (err == nil) != ok {
			t.Errorf("mode %d, a certificate is shown: %v: %v", verify, shows, err)
		}
		r.stop()
	}
	f(0, false, true)
	f(0, true, true)
	f(1, false, true)
	f(1, true, true)
	f(2, false, false)
	f(2, true, true)
	f(3, false, false)
	f(3, true, true)
}

func TestFilesThatDoNotFit(t *testing.T) {
	lab := labtest.NewCerts(t)
	f := func(files Files, want string) {
		t.Helper()
		if _, err := LoadCerts(files); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error with %q", files, err, want)
		}
	}
	f(Files{}, "no such file")
	f(Files{Chain: lab.CertFile}, "private key")
	f(Files{Chain: lab.CertFile, Key: lab.KeyFile, Verify: 4}, "ssl_verify_mode is 4")
	f(Files{Chain: lab.CertFile, Key: lab.KeyFile, Min: 4}, "ssl_min_version is 4")
	f(Files{Chain: lab.CertFile, Key: lab.KeyFile, Verify: 1}, "no ssl_ca_cert")
	f(Files{Chain: lab.CertFile, Key: lab.KeyFile, CA: lab.KeyFile}, "holds no certificate")
	c, err := LoadCerts(Files{Chain: lab.CertFile, Key: lab.KeyFile, Min: DefaultMin})
	if err != nil || c.MinVersion() != "tlsv1.2" || c.Mutual() {
		t.Errorf("%v", err)
	}
	if c, err := c.Config(true).GetConfigForClient(nil); err == nil {
		t.Errorf("a listener that demands certificates has %+v without authorities", c)
	}
}
