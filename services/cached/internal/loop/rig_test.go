package loop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/carriertest"
	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/labtest"
)

// rig is a group that serves scripts.
type rig struct {
	g       *Group
	gate    *conns.Gate
	addr    net.Addr
	scripts *carriertest.Scripts
	bugs    chan string
	stop    func() error
}

type option func(*Options)

// start runs a group until the test ends; then all of it must be gone.
func start(t testing.TB, network string, opts ...option) *rig {
	t.Helper()
	labtest.LeakCheck(t)
	r := &rig{scripts: carriertest.New(t), bugs: make(chan string, 16)}
	r.scripts.Conns = func() int { return len(r.g.Conns(1000)) - 1 }
	addr, transport := "127.0.0.1:0", session.TCP
	if network == "unix" {
		addr, transport = filepath.Join(t.TempDir(), "s"), session.Unix
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr()
	o := Options{
		Threads: 2, Listeners: []Listener{{Net: l, Transport: transport, Tag: 7}}, Env: &session.Env{},
		Gate: conns.NewGate(2000, true), timeless: true, Limits: Limits{Write: 10 * time.Second},
		Factory: r.scripts.Factory,
		Hooks:   Hooks{Bug: func(what any, _ []byte) { r.bugs <- fmt.Sprint(what) }},
	}
	for _, f := range opts {
		f(&o)
	}
	r.gate = o.Gate
	if r.g, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.g.Run(ctx) }()
	var stopped bool
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		l.Close()
		return <-done
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := r.gate.Counts().Current; n != 0 || r.g.load() != 0 {
			t.Errorf("%d connections are counted after the end, %d by the loops", n, r.g.load())
		}
		if begun, ends := r.scripts.Begun.Load(), r.scripts.Ends.Load(); begun != ends {
			t.Errorf("%d sessions began, %d ended", begun, ends)
		}
		select {
		case what := <-r.bugs:
			t.Errorf("BUG: %s", what)
		default:
		}
	})
	return r
}

// tick lets n seconds pass, one after the other: every loop has seen one before the next.
func (r *rig) tick(n int) {
	for range n {
		r.g.tick()
		r.g.Conns(0)
	}
}

// client is a test's end of a connection.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (r *rig) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.Dial(r.addr.Network(), r.addr.String())
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

// want reads as many bytes as want has and compares.
func (c *client) want(want string) *client {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.r, got)
	if string(got[:n]) != want {
		c.t.Fatalf("got %s (%v), want %s", short(string(got[:n])), err, short(want))
	}
	return c
}

// wantEnd demands that the server has closed, and nothing came before.
func (c *client) wantEnd() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil {
		c.t.Fatalf("got %s, %v at what should be the end", short(string(b)), err)
	}
}

// wantCut demands that the connection has ended, whichever way.
func (c *client) wantCut() {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c.r); err != nil && strings.Contains(err.Error(), "timeout") {
		c.t.Fatal("the connection is still there")
	}
}

func short(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%q… of %d bytes", s[:200], len(s))
	}
	return strconv.Quote(s)
}

// wantBug takes a report that the test provoked.
func (r *rig) wantBug(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-r.bugs:
		if !strings.Contains(got, want) {
			t.Errorf("the report is %q, want one with %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("no report of %q", want)
	}
}
