package stream

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
)

// pipes is a listener whose connections live in a bubble.
type pipes struct {
	come chan net.Conn
	done chan struct{}
	end  func()
}

func newPipes() *pipes {
	p := &pipes{come: make(chan net.Conn), done: make(chan struct{})}
	p.end = sync.OnceFunc(func() { close(p.done) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.end(); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) dial(t *testing.T) net.Conn {
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	p.come <- server
	return client
}

// inBubble runs f with a server whose time-outs are 10 s, the handshake's 5 s.
func inBubble(t *testing.T, f func(t *testing.T, r *rig, dial func() *client, raw func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		r := startOn(t, l, func(_ *rig, o *Options, _ *Files) {
			o.Limits = conns.Limits{Idle: 10 * time.Second, Write: 10 * time.Second, Handshake: 5 * time.Second}
		})
		raw := func() net.Conn { return l.dial(t) }
		f(t, r, func() *client {
			config := r.lab.Client()
			config.ServerName = "localhost"
			c := tls.Client(raw(), config)
			return &client{c, t, bufio.NewReader(c)}
		}, raw)
		r.stop()
	})
}

func TestIdle(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, dial func() *client, _ func() net.Conn) {
		begin := time.Now()
		since := func(want time.Duration) {
			t.Helper()
			if got := time.Since(begin); got != want {
				t.Errorf("it ended after %v, want %v", got, want)
			}
		}
		c := dial().send("echo a\r\n").want("a\r\n")
		time.Sleep(9 * time.Second)
		c.send("echo b\r\necho c").want("b\r\n").wantEnd()
		since(19 * time.Second)
		r.s.SetLimits(conns.Limits{})
		c = dial().send("echo a\r\n").want("a\r\n")
		time.Sleep(time.Hour)
		c.send("echo b\r\n").want("b\r\n")
		var kicks uint64
		for _, n := range r.s.Counts() {
			kicks += n.IdleKicks.Load()
		}
		if kicks != 1 {
			t.Errorf("%d kicks are counted, want 1", kicks)
		}
	})
}

func TestHandshakeTime(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, _ func() *client, raw func() net.Conn) {
		begin := time.Now()
		if b, err := io.ReadAll(raw()); len(b) > 0 || err != nil {
			t.Errorf("a client that does not begin reads %q, %v", b, err)
		}
		if got := time.Since(begin); got != 5*time.Second {
			t.Errorf("it was closed after %v, want 5 s", got)
		}
		synctest.Wait()
		if n := r.s.Stats().HandshakeErrors; n != 1 {
			t.Errorf("%d failed handshakes are counted, want 1", n)
		}
	})
}

func TestSlowReader(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, dial func() *client, _ func() net.Conn) {
		slow := dial().send("big 960000\r\n")
		for range 12 { // each 64 KiB within 10 s, all in 60 s
			time.Sleep(5 * time.Second)
			if _, err := io.CopyN(io.Discard, slow.r, 80_000); err != nil {
				t.Fatal(err)
			}
		}
		slow.want("\r\n").send("echo a\r\n").want("a\r\n")
		dial().send("big 1000000\r\n").want("b")
		time.Sleep(16 * time.Second) // crypto/tls takes up to 5 s for the last word to a client that may not read it
		synctest.Wait()
		var cut uint64
		for _, n := range r.s.Counts() {
			cut += n.SlowReaders.Load()
		}
		// The slow one has been idle for longer than 10 s as well.
		if n := r.s.Stats().Current; cut != 1 || n != 0 {
			t.Errorf("%d slow readers are counted, %d connections are left, want 1 and none", cut, n)
		}
	})
}

func TestDrainPause(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig, dial func() *client, _ func() net.Conn) {
		r.s.SetLimits(conns.Limits{DrainPause: time.Second})
		c := dial().send("echo a\r\necho").want("a\r\n")
		done := make(chan error, 1)
		go func() { done <- r.s.Drain(t.Context()) }()
		time.Sleep(900 * time.Millisecond)
		c.send(" b\r\n").want("b\r\n").wantEnd()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
