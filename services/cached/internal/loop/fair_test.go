package loop

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/everup/everup/services/cached/internal/session"
)

// TestGreedyClients counts how often a greedy client is served between a request of another one and its answer, for every way
// to be greedy.
func TestGreedyClients(t *testing.T) {
	f := func(name string, most int, endless func(w io.Writer) error) {
		t.Run(name, func(t *testing.T) {
			r := start(t, "tcp", func(o *Options) { o.Threads = 1 })
			polite, greedy := r.dial(t).send("echo a\r\n").want("a\r\n"), r.dial(t)
			w := watch{polite: polite, most: most, rounds: 20, done: make(chan struct{})}
			step := w.step
			r.scripts.OnStep.Store(&step)
			go io.Copy(io.Discard, greedy.Conn)
			go func() {
				for endless(greedy.Conn) == nil {
				}
			}()
			for range w.rounds {
				polite.want("p\r\n")
			}
			<-w.done
			greedy.Close()
			if w.worst.Load() > int64(most) {
				t.Errorf("the greedy client had %d steps between a request and its answer, want at most %d", w.worst.Load(), most)
			}
		})
	}
	write := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	const flushes = session.TurnBytes/1000 + 2
	f("pipeline", 2, write(strings.Repeat("echo x\r\n", 10_000)))
	f("yields", 2, write("yield 1000000\r\n"))
	f("long answers", 2*flushes, write("flush 1000000\r\n"))
	f("big values", 4, write("big 5000000\r\n"))
	f("upload", 2*flushes, write("put 50000000\r\n"+strings.Repeat("x", 50_000_000)))
}

// watch sends a request for the polite client from within a step of the greedy one, and counts the greedy steps until it is
// served. The loop's goroutine alone calls step.
type watch struct {
	polite *client
	most   int
	rounds int
	sent   int
	steps  int
	waits  bool
	worst  atomic.Int64
	done   chan struct{}
}

func (w *watch) step(p *session.Peer) {
	if p.Remote == w.polite.LocalAddr().String() {
		if w.waits = false; w.sent == w.rounds {
			close(w.done)
			w.sent++
		}
		return
	}
	if w.steps++; w.waits {
		w.worst.Store(max(w.worst.Load(), int64(w.steps)))
	}
	if !w.waits && w.sent < w.rounds {
		w.steps, w.waits = 0, true
		w.sent++
		w.polite.Write([]byte("echo p\r\n"))
	}
}

// TestStalledClientsCostNoTurns: a client that takes nothing, and sends on, is not served.
func TestStalledClientIsNotRead(t *testing.T) {
	r := start(t, "unix", func(o *Options) { o.Threads = 1 })
	var steps atomic.Int64
	step := func(*session.Peer) { steps.Add(1) }
	r.scripts.OnStep.Store(&step)
	c, other := r.dial(t), r.dial(t)
	c.send("big 10000000\r\n").want("b")
	before := steps.Load()
	for i := range 100 {
		c.send(fmt.Sprintf("echo %d\r\n", i))
		other.send("echo a\r\n").want("a\r\n")
	}
	if n := steps.Load() - before; n != 100 {
		t.Errorf("%d steps, want the 100 of the other client", n)
	}
	c.want(strings.Repeat("b", 9_999_999) + "\r\n")
	for i := range 100 {
		c.want(fmt.Sprintf("%d\r\n", i))
	}
}

// TestSystemCalls counts what a request costs.
func TestSystemCalls(t *testing.T) {
	f := func(depth int, most uint64) {
		t.Helper()
		r := start(t, "tcp", func(o *Options) { o.Threads = 1 })
		c := r.dial(t).send("echo a\r\n").want("a\r\n")
		const requests = 1000
		for range requests {
			c.send(strings.Repeat("echo a\r\n", depth)).want(strings.Repeat("a\r\n", depth))
		}
		c.send("quit\r\n").wantEnd()
		r.stop()
		n := r.g.Counts()[0]
		got := n.ReadSyscalls.Load() + n.WriteCalls.Load() + n.Waits.Load()
		if got > most*requests+20 {
			t.Errorf("%d requests at a depth of %d cost %d reads, %d writes and %d waits, want %d calls each",
				requests, depth, n.ReadSyscalls.Load(), n.WriteCalls.Load(), n.Waits.Load(), most)
		}
		if n.BytesRead.Load() != (requests*uint64(depth)+1)*8+6 || n.BytesWritten.Load() != (requests*uint64(depth)+1)*3 {
			t.Errorf("%d bytes read, %d written", n.BytesRead.Load(), n.BytesWritten.Load())
		}
	}
	f(1, 3)
	f(16, 3)
}

func TestConnEvents(t *testing.T) {
	var lines []string
	r := start(t, "tcp", func(o *Options) {
		o.Threads = 1
		o.Env.Watch.Want(session.ConnEvents)
		o.Env.Watch.Send = func(_ session.Topic, line []byte) { lines = append(lines, string(line)) }
	})
	c := r.dial(t).send("quit\r\n")
	c.wantEnd()
	r.stop() // the loop has ended: lines is ours
	port := c.LocalAddr().(*net.TCPAddr).Port
	if len(lines) != 2 || lines[0] != fmt.Sprintf("type=conn_new rip=127.0.0.1 rport=%d transport=tcp cfd=1", port) ||
		lines[1] != fmt.Sprintf("type=conn_close rip=127.0.0.1 rport=%d transport=tcp reason=normal cfd=1", port) {
		t.Errorf("the lines are %q", lines)
	}
}
