package loop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/labtest"
)

// script is a session that does what its lines say, each word of the contract by one command:
//
//	echo X      answers X
//	put N       takes a body of N bytes in pieces of at most 1000 from memory of its own, and answers their sum
//	big N       answers a pinned value of N bytes and a line end
//	flush N     answers N lines of 1000 bytes, with a Flush after each
//	yield N     yields N times, then answers "yielded"
//	long N      answers N bytes in one Step, whatever their number
//	detach      serves the connection away from the loop: each line is answered "away: …", until "back" or "end"
//	conns       answers how many connections the group lists
//	quit, abort, panic
type script struct {
	p    *session.Peer
	rig  *rig
	todo func(out *session.Out) (session.Next, bool) // the command under way
	body []byte
	puts bool
	left int
	sum  int
	ends *atomic.Int64
}

func (s *script) Step(in []byte, out *session.Out) (n int, next session.Next) {
	s.rig.step(s.p)
	for {
		if s.puts {
			k := min(s.left, len(in)-n)
			s.take(in[n : n+k])
			if n += k; s.left > 0 {
				return n, session.Body
			}
			s.puts = false
			fmt.Fprintf(&sink{&out.Buf}, "sum %d\r\n", s.sum)
		}
		if s.todo != nil {
			next, on := s.todo(out)
			if !on {
				s.todo = nil
			}
			if next != session.More {
				return n, next
			}
			continue
		}
		end := bytes.IndexByte(in[n:], '\n')
		if end < 0 {
			return n, session.More
		}
		word, arg, _ := strings.Cut(strings.TrimRight(string(in[n:n+end]), "\r"), " ")
		n += end + 1
		if next, stop := s.command(word, arg, out); stop {
			return n, next
		}
	}
}

// sink is an io.Writer on a slice.
type sink struct{ b *[]byte }

func (s *sink) Write(b []byte) (int, error) { *s.b = append(*s.b, b...); return len(b), nil }

func (s *script) command(word, arg string, out *session.Out) (next session.Next, stop bool) {
	count, _ := strconv.Atoi(arg)
	switch word {
	case "echo":
		fmt.Fprintf(&sink{&out.Buf}, "%s\r\n", arg)
	case "put":
		s.puts, s.left, s.sum = true, count, 0
	case "big":
		s.todo = s.big(count)
	case "flush":
		s.todo = func(out *session.Out) (session.Next, bool) {
			out.Buf = append(append(out.Buf, bytes.Repeat([]byte{'f'}, 998)...), "\r\n"...)
			count--
			return session.Flush, count > 0
		}
	case "yield":
		s.todo = func(out *session.Out) (session.Next, bool) {
			if count--; count >= 0 {
				return session.Yield, true
			}
			out.Buf = append(out.Buf, "yielded\r\n"...)
			return session.More, false
		}
	case "long":
		out.Buf = append(append(out.Buf, bytes.Repeat([]byte{'l'}, count)...), "\r\n"...)
	case "conns":
		fmt.Fprintf(&sink{&out.Buf}, "%d\r\n", len(s.rig.g.Conns(1000))-1)
	case "detach":
		return session.Detach, true
	case "quit":
		return session.Close, true
	case "abort":
		return session.Abort, true
	case "panic":
		panic("as asked")
	default:
		fmt.Fprintf(&sink{&out.Buf}, "what is %q?\r\n", word)
	}
	return 0, false
}

func (s *script) big(n int) func(out *session.Out) (session.Next, bool) {
	pinned := false
	return func(out *session.Out) (session.Next, bool) {
		if pinned {
			out.Buf = append(out.Buf, "\r\n"...)
			return session.More, false
		}
		ref := s.rig.store.Lock([]byte("big"), 1)
		defer ref.Unlock()
		if err := ref.Put(engine.Value{}, bytes.Repeat([]byte{'b'}, n)); err != nil {
			panic(err)
		}
		out.Big, pinned = ref.Pin(), true
		return session.Flush, true
	}
}

func (s *script) Body() []byte {
	s.body = make([]byte, min(s.left, 1000))
	return s.body
}

func (s *script) Filled(n int) { s.take(s.body[:n]) }

func (s *script) take(b []byte) {
	for _, c := range b {
		s.sum += int(c)
	}
	s.left -= len(b)
}

func (s *script) Detached(ctx context.Context, c net.Conn, rest []byte) (left []byte, back bool) {
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(rest), c))
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, false
		}
		switch word := strings.TrimSpace(line); word {
		case "back":
			left, _ := r.Peek(r.Buffered())
			return left, true
		case "end":
			return nil, false
		case "panic":
			panic("away, as asked")
		default:
			fmt.Fprintf(c, "away: %s\r\n", word)
		}
	}
}

func (s *script) State() string { return "conn_read" }
func (s *script) End()          { s.ends.Add(1) }

// rig is a group that serves scripts.
type rig struct {
	g           *Group
	gate        *conns.Gate
	addr        net.Addr
	store       *engine.Store
	bugs        chan string
	begun, ends atomic.Int64
	onStep      atomic.Pointer[func(*session.Peer)]
	stop        func() error
}

func (r *rig) step(p *session.Peer) {
	if f := r.onStep.Load(); f != nil {
		(*f)(p)
	}
}

type option func(*Options)

// start runs a group until the test ends; then all of it must be gone.
func start(t testing.TB, network string, opts ...option) *rig {
	t.Helper()
	labtest.LeakCheck(t)
	store, err := engine.New(engine.Options{Memory: 64 << 20, MaxItem: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{store: store, bugs: make(chan string, 16)}
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
		Threads: 2, Listeners: []Listener{{Net: l, Transport: transport, Tag: 7}}, Env: &session.Env{Store: store},
		Gate: conns.NewGate(2000, true), timeless: true, Limits: Limits{Write: 10 * time.Second},
		Factory: func(_ byte, p *session.Peer) session.Session {
			r.begun.Add(1)
			return &script{p: p, rig: r, ends: &r.ends}
		},
		Hooks: Hooks{Bug: func(what any, _ []byte) { r.bugs <- fmt.Sprint(what) }},
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
		if r.begun.Load() != r.ends.Load() {
			t.Errorf("%d sessions began, %d ended", r.begun.Load(), r.ends.Load())
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
