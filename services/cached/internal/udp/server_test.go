package udp

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/oracletest"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/labtest"
)

// startServer serves on a port of address until the test ends.
func startServer(t *testing.T, address string, c Config) (*Server, string) {
	t.Helper()
	labtest.LeakCheck(t)
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Skipf("SKIP-NEEDS: %s: %v", address, err)
	}
	s := newServer(t, c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, conn.(*net.UDPConn), session.NewMeter(), new(session.LoopCount)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, conn.LocalAddr().String()
}

// client asks over a socket of its own.
type client struct {
	t *testing.T
	c net.Conn
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c}
}

func (c *client) send(f Frame, body string) {
	c.t.Helper()
	if _, err := c.c.Write(framed(f, body)); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next datagram, or io.EOF when none comes in time.
func (c *client) next(wait time.Duration) (Frame, string, error) {
	c.t.Helper()
	if err := c.c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, 2*datagram)
	n, err := c.c.Read(b)
	if err != nil {
		return Frame{}, "", io.EOF
	}
	f, body, ok := parseFrame(b[:n])
	if !ok || n > datagram {
		c.t.Fatalf("a datagram of %d bytes", n)
	}
	return f, string(body), nil
}

// exchange sends body and then a request whose answer tells that all others have come; it returns what came between.
func (c *client) exchange(id uint16, body string) (answers []string, frames []Frame) {
	c.t.Helper()
	const last = 0xffff
	c.send(Frame{ID: id, Total: 1}, body)
	c.send(Frame{ID: last, Total: 1}, "nosuchcommand\r\n")
	for {
		f, got, err := c.next(10 * time.Second)
		if err != nil {
			c.t.Fatalf("%.60q: no answer", body)
		}
		if f.ID == last {
			return answers, frames
		}
		answers, frames = append(answers, got), append(frames, f)
	}
}

func TestServeIPv4AndIPv6(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		t.Run(address, func(t *testing.T) {
			_, at := startServer(t, address, Config{})
			_, port, _ := net.SplitHostPort(at)
			host := "127.0.0.1"
			if address == "[::1]:0" {
				host = "::1"
			}
			c := dial(t, net.JoinHostPort(host, port))
			long := strings.Repeat("0123456789", 100_000)[:60_000]
			if got, _ := c.exchange(1, "set a 0 0 60000\r\n"+long+"\r\n"); strings.Join(got, "") != "STORED\r\n" {
				t.Fatalf("set: %q", got)
			}
			got, frames := c.exchange(7, "get a\r\n")
			if want := "VALUE a 0 60000\r\n" + long + "\r\nEND\r\n"; strings.Join(got, "") != want {
				t.Errorf("get: %d bytes, want %d", len(strings.Join(got, "")), len(want))
			}
			for i, f := range frames {
				if want := (Frame{ID: 7, Seq: uint16(i), Total: 44}); f != want {
					t.Errorf("datagram %d: %+v, want %+v", i, f, want)
				}
			}
		})
	}
}

// TestServeStrangers trusts nobody, so that the test itself is a stranger.
func TestServeStrangers(t *testing.T) {
	s, at := startServer(t, "127.0.0.1:0", Config{Trusted: []netip.Prefix{}, Rate: 1_000_000})
	c := dial(t, at)
	c.send(Frame{ID: 1, Total: 1}, "set a 0 0 1\r\nx\r\n")
	c.send(Frame{ID: 2, Total: 1}, "get a\r\n")
	if f, got, err := c.next(10 * time.Second); err != nil || f.ID != 2 || got != "END\r\n" {
		t.Errorf("%+v, %q, %v", f, got, err)
	}
	if n := s.Counts().Refused.Load(); n != 1 {
		t.Errorf("%d refused, want 1", n)
	}
}

// TestBurst sends more datagrams than one system call takes.
func TestBurst(t *testing.T) {
	s, at := startServer(t, "127.0.0.1:0", Config{})
	c := dial(t, at)
	const n = 100
	for i := range n {
		c.send(Frame{ID: uint16(i), Total: 1}, "get none\r\n")
	}
	seen := map[uint16]bool{}
	for range n {
		f, got, err := c.next(10 * time.Second)
		if err != nil || got != "END\r\n" || seen[f.ID] {
			t.Fatalf("%+v, %q, %v after %d answers", f, got, err, len(seen))
		}
		seen[f.ID] = true
	}
	if c := s.Counts(); c.Received.Load() != n || c.Sent.Load() < n-inBatch || c.Answered.Load() != n {
		t.Errorf("%d received, %d answered, %d sent", c.Received.Load(), c.Answered.Load(), c.Sent.Load())
	}
}

func TestServeEndsWithItsSocket(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Config{})
	done := make(chan error)
	go func() { done <- s.Serve(context.Background(), conn.(*net.UDPConn), nil, nil) }()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("Serve returned nil although nobody asked it to end")
	}
}

// TestAgainstMemcached sends the same datagrams to memcached. What it answers is compared as a whole, and datagram by datagram where
// memcached does not begin anew in the middle.
func TestAgainstMemcached(t *testing.T) {
	server := oracletest.Start(t, oracletest.Options{TCP: true, UDP: true})
	_, at := startServer(t, "127.0.0.1:0", Config{})
	theirs, ours := dial(t, server.UDP), dial(t, at)
	long := strings.Repeat("v", 5000)
	requests := []string{
		"set a 0 0 1\r\nx\r\n", "set b 7 0 5000\r\n" + long + "\r\n", "get a\r\n", "get b\r\n", "get none\r\n", "get a none b a\r\n",
		"get a\r\nget b\r\nget none\r\n", "set a 0 0 1 noreply\r\ny\r\n", "get a", "get a\r\n", "add a 0 0 1\r\nz\r\n", "append a 0 0 1\r\nz\r\n", "incr a 1\r\n",
		"set n 0 0 1\r\n5\r\n", "incr n 1\r\n", "touch a 0\r\n", "gat 0 a\r\n", "delete a\r\n", "nosuch\r\n", "mg b s\r\n", "mg b s\r\nmn\r\n", "verbosity 0\r\n",
		packet(0x00, "b"), packet(0x00, "none"), packet(0x0c, "b"), packet(0x09, "none"), packet(0x0a, ""), packet(0x00, ""), packet(0x99, ""), "flush_all\r\n",
		"get b\r\n", strings.Repeat("x", 3000),
	}
	for i, body := range requests {
		want, wantFrames := theirs.exchange(uint16(i), body)
		got, gotFrames := ours.exchange(uint16(i), body)
		if strings.Join(want, "") != strings.Join(got, "") {
			t.Errorf("%.60q: %.200q, want %.200q", body, got, want)
			continue
		}
		once := len(wantFrames) > 0 && int(wantFrames[0].Total) == len(wantFrames)
		if once && (!slices.Equal(want, got) || !slices.Equal(wantFrames, gotFrames)) {
			t.Errorf("%.60q: %+v, want %+v", body, gotFrames, wantFrames)
		}
		for seq, f := range gotFrames {
			if (f != Frame{ID: uint16(i), Seq: uint16(seq), Total: uint16(len(gotFrames))}) {
				t.Errorf("%.60q: frame %+v", body, f)
			}
		}
	}
}

func BenchmarkServe(b *testing.B) {
	s := newServer(b, Config{})
	h := &handler{srv: s, peer: &session.Peer{Env: s.o.Env, Meter: session.NewMeter(), Note: new(session.LoopCount)}}
	defer h.end()
	h.ask(local, "set a 0 0 100\r\n"+strings.Repeat("v", 100)+"\r\n")
	d := framed(Frame{Total: 1}, "get a\r\n")
	b.ReportAllocs()
	for b.Loop() {
		h.handle(d, local, 0)
	}
}
