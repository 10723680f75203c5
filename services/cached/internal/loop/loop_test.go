package loop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/labtest"
)

// both runs a test on either transport.
func both(t *testing.T, f func(t *testing.T, network string)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) { f(t, network) })
	}
}

func TestEveryNext(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		r := start(t, network)
		f := func(send, want string) {
			t.Helper()
			r.dial(t).send(send).want(want)
		}
		f("echo one\r\n", "one\r\n")
		f("echo one\r\necho two\r\nyield 3\r\necho three\r\n", "one\r\ntwo\r\nyielded\r\nthree\r\n")
		f("put 5\r\n\x01\x01\x01\x01\x01echo next\r\n", "sum 5\r\nnext\r\n")
		f("put 100000\r\n"+strings.Repeat("\x01", 100000)+"echo next\r\n", "sum 100000\r\nnext\r\n")
		f("echo a\r\nbig 50\r\necho b\r\n", "a\r\n"+strings.Repeat("b", 50)+"\r\nb\r\n")
		f("big 5000000\r\necho b\r\n", strings.Repeat("b", 5000000)+"\r\nb\r\n")
		f("flush 300\r\necho b\r\n", strings.Repeat(strings.Repeat("f", 998)+"\r\n", 300)+"b\r\n")
		f("long 3000000\r\necho b\r\n", strings.Repeat("l", 3000000)+"\r\nb\r\n")
		f("echo "+strings.Repeat("x", 900_000)+"\r\necho b\r\n", strings.Repeat("x", 900_000)+"\r\nb\r\n")
		r.dial(t).send("echo a\r\nquit\r\necho b\r\n").want("a\r\n").wantCut()
		r.dial(t).send("echo a\r\nabort\r\n").wantCut()
	})
}

func TestPipelineOfManyReads(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		r := start(t, network)
		c := r.dial(t)
		var want strings.Builder
		var wg sync.WaitGroup
		wg.Go(func() {
			w := bytes.NewBuffer(nil)
			for i := range 50_000 {
				fmt.Fprintf(w, "echo %d\r\n", i)
			}
			c.Write(w.Bytes())
		})
		for i := range 50_000 {
			fmt.Fprintf(&want, "%d\r\n", i)
		}
		c.want(want.String())
		wg.Wait()
	})
}

func TestByteByByte(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		r := start(t, network)
		c := r.dial(t)
		for _, b := range []byte("echo one\r\nput 5\r\n\x01\x01\x01\x01\x01echo two\r\n") {
			c.send(string(b))
		}
		c.want("one\r\nsum 5\r\ntwo\r\n")
	})
}

func TestHalfClose(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		r := start(t, network)
		f := func(send, want string) {
			t.Helper()
			c := r.dial(t).send(send)
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			c.want(want).wantEnd()
		}
		f("", "")
		f("echo one\r\n", "one\r\n")
		f("echo one\r\necho tw", "one\r\n")
		f("echo one\r\nput 5\r\n\x01", "one\r\n")
		f("yield 5\r\n", "yielded\r\n")
		f("big 3000000\r\n", strings.Repeat("b", 3000000)+"\r\n")
		f("echo one\r\ndetach\r\ntwo\r\n", "one\r\naway: two\r\n")
	})
}

func TestResetAndBrokenPipe(t *testing.T) {
	r := start(t, "tcp")
	for range 20 {
		c := r.dial(t).send("big 10000000\r\n").want("bbb")
		c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close() // the server is in the middle of its answer
	}
	c := r.dial(t).send("echo half a li")
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
	r.dial(t).send("echo well\r\n").want("well\r\n")
	r.settled(t, 1)
}

// settled waits until the server has n connections.
func (r *rig) settled(t *testing.T, n int) {
	t.Helper()
	labtest.Eventually(t, 10*time.Second, "the connections have come or gone", func() error {
		if got := r.g.load(); got != n {
			return fmt.Errorf("there are %d, want %d", got, n)
		}
		return nil
	})
}

func TestPanicEndsOneConnection(t *testing.T) {
	r := start(t, "tcp", func(o *Options) { o.Threads = 1 })
	well := r.dial(t).send("echo a\r\n").want("a\r\n")
	// What the panic leaves in the output buffer must not reach anybody else.
	r.dial(t).send("echo secret\r\npanic\r\n").wantCut()
	r.wantBug(t, "as asked")
	well.send("echo b\r\n").want("b\r\n")
	r.dial(t).send("detach\r\npanic\r\n").wantCut()
	r.wantBug(t, "away, as asked")
	well.send("echo c\r\n").want("c\r\n")
	if n := r.g.Stats().Bugs; n != 2 {
		t.Errorf("%d bugs are counted, want 2", n)
	}
}

func TestDetachAndReturn(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		r := start(t, network)
		c := r.dial(t).send("echo one\r\ndetach\r\ntwo\r\n").want("one\r\naway: two\r\n")
		if n := r.g.Stats().Detached; n != 1 {
			t.Errorf("%d connections are detached, want 1", n)
		}
		c.send("three\r\nback\r\necho four\r\n").want("away: three\r\nfour\r\n")
		c.send("echo five\r\ndetach\r\nback\r\n").want("five\r\n").send("echo six\r\n").want("six\r\n")
		r.dial(t).send("detach\r\nend\r\n").wantEnd()
		r.dial(t).send("detach\r\nwaits until the group ends\r\n").want("away: waits until the group ends\r\n")
		if got := r.gate.Counts().Current; got != 2 {
			t.Errorf("%d connections are counted, want 2", got)
		}
	})
}

func TestChurn(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		r := start(t, network)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for i := range 100 {
					c, err := net.Dial(network, r.addr.String())
					if err != nil {
						t.Error(err)
						return
					}
					want := fmt.Sprintf("%d\r\n", i)
					got := make([]byte, len(want))
					fmt.Fprintf(c, "echo %s", want)
					if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
						t.Errorf("got %q, %v", got, err)
					}
					c.Close()
				}
			})
		}
		wg.Wait()
		if n := r.gate.Counts().Total; n != 1000 {
			t.Errorf("%d connections were counted, want 1000", n)
		}
	})
}

func TestPeer(t *testing.T) {
	r := start(t, "tcp")
	got := make(chan session.Peer, 1)
	see := func(p *session.Peer) { got <- *p }
	r.scripts.OnStep.Store(&see)
	c := r.dial(t).send("echo a\r\n").want("a\r\n")
	p := <-got
	if p.Remote != c.LocalAddr().String() || p.Local != r.addr.String() || p.Tag != 7 || p.Meter == nil || p.Note == nil || p.ID == 0 {
		t.Errorf("the session's peer is %+v", p)
	}
}

func TestConnsAskedFromAllLoopsAtOnce(t *testing.T) {
	r := start(t, "tcp", func(o *Options) { o.Threads = 4 })
	var all []*client
	for range 20 {
		all = append(all, r.dial(t).send("echo a\r\n").want("a\r\n"))
	}
	for range 20 {
		for _, c := range all {
			c.send("conns\r\n")
		}
		for _, c := range all {
			c.want("20\r\n")
		}
	}
	all[0].send("detach\r\nx\r\n").want("away: x\r\n")
	list := r.g.Conns(1000)
	var states []string
	for _, p := range conns.Pairs(list) {
		if strings.HasSuffix(p.Name, ":state") {
			states = append(states, p.Value)
		}
	}
	if len(states) != 21 || states[0] != conns.Listening || states[1] != "conn_read" {
		t.Errorf("the listing has the states %v", states)
	}
}

func TestEvenlyDealt(t *testing.T) {
	r := start(t, "tcp", func(o *Options) { o.Threads = 4 })
	for range 50 {
		r.dial(t).send("echo a\r\n").want("a\r\n")
	}
	for _, n := range r.g.Stats().Loops {
		if n < 11 || n > 14 {
			t.Fatalf("50 connections are dealt %v", r.g.Stats().Loops)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	r := start(t, "tcp")
	c := r.dial(t).send("echo a\r\n").want("a\r\n")
	idle := r.dial(t)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	c.wantCut()
	idle.wantCut()
}

func TestDrain(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		r := start(t, network)
		quiet := r.dial(t)
		used := r.dial(t).send("echo a\r\n").want("a\r\n")
		partial := r.dial(t).send("echo a\r\necho b").want("a\r\n")
		slow := r.dial(t).send("big 10000000\r\n").want("b")
		away := r.dial(t).send("detach\r\nx\r\n").want("away: x\r\n")
		done := make(chan error, 1)
		go func() { done <- r.g.Drain(context.Background()) }()
		quiet.wantEnd()
		used.wantEnd()
		partial.wantEnd()
		away.wantEnd()
		slow.want(strings.Repeat("b", 10000000-1) + "\r\n").wantEnd()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDrainGivesUp(t *testing.T) {
	r := start(t, "unix")
	slow := r.dial(t).send("big 10000000\r\n").want("b")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.g.Drain(ctx); err == nil || !strings.Contains(err.Error(), "1 connections are left") {
		t.Errorf("the drain returned %v", err)
	}
	r.stop()
	slow.wantCut()
}
