package ingest

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/services/logd/internal/record"
	"github.com/everup/everup/shared/metric"
	"github.com/rs/zerolog"
)

func newSink(items int) *Sink {
	s := &Sink{Queue: NewQueue(items, 1<<20), Metrics: NewMetrics(metric.NewRegistry("everup_logd")), Log: zerolog.Nop(), Location: time.UTC}
	s.SetLimits(Limits{Message: 1024, Connections: 2, Idle: time.Minute, Frame: 10 * time.Second})
	return s
}

// take waits for n records.
func take(t *testing.T, q *Queue, n int) []string {
	t.Helper()
	var out []string
	for len(out) < n {
		select {
		case <-q.Ready():
		case <-time.After(10 * time.Second):
			t.Fatalf("%d of %d records came: %q", len(out), n, out)
		}
		batch, _ := q.Take()
		for i := range batch {
			out = append(out, string(batch[i].Text))
		}
	}
	return out
}

func serveTCP(t *testing.T, s *Sink) (addr string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.ServeStreams(ctx, ctx, ln) }()
	var stopped bool
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

func dial(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestTCP(t *testing.T) {
	s := newSink(1000)
	addr, stop := serveTCP(t, s)
	c := dial(t, "tcp", addr)
	fmt.Fprint(c, "<13>a: one\n10 <13>a: two<13>a: three\n")
	if got := fmt.Sprint(take(t, s.Queue, 3)); got != "[one two three]" {
		t.Error(got)
	}
	fmt.Fprint(c, "<13>a: arrived before the stop\n")
	stop()
	if got := fmt.Sprint(take(t, s.Queue, 1)); got != "[arrived before the stop]" {
		t.Error(got)
	}
}

func TestTCPRefusesAboveTheBound(t *testing.T) {
	s := newSink(1000)
	addr, _ := serveTCP(t, s)
	for range 2 {
		c := dial(t, "tcp", addr)
		fmt.Fprint(c, "<13>a: x\n")
	}
	take(t, s.Queue, 2)
	third := dial(t, "tcp", addr)
	third.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("third connection is served")
	}
	if n := s.Metrics.Refused.With("connections").Value(); n != 1 {
		t.Errorf("%d refusals counted", n)
	}
}

func TestUDPAndUnix(t *testing.T) {
	s := newSink(2)
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sock := filepath.Join(t.TempDir(), "log")
	g, err := net.ListenPacket("unixgram", sock)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- s.ServePackets(ctx, u, record.UDP) }()
	go func() { done <- s.ServePackets(ctx, g, record.Unix) }()
	fmt.Fprint(dial(t, "udp", u.LocalAddr().String()), "<13>a: over udp\nsecond line")
	if got := take(t, s.Queue, 1); got[0] != "over udp\nsecond line" {
		t.Errorf("%q", got)
	}
	fmt.Fprint(dial(t, "unixgram", sock), "<13>Nov 22 13:38:40 a: local")
	if got := take(t, s.Queue, 1); got[0] != "local" {
		t.Errorf("%q", got)
	}
	c := dial(t, "udp", u.LocalAddr().String())
	for range 5 {
		fmt.Fprint(c, "<13>a: "+strings.Repeat("x", 2000))
	}
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := take(t, s.Queue, 2); len(got[0]) != 1024-len("<13>a: ") {
		t.Errorf("%d bytes", len(got[0]))
	}
	m := s.Metrics
	if d, tr := m.Dropped.With("queue_full_udp").Value(), m.Truncated.Value(); d != 3 || tr != 5 {
		t.Errorf("%d dropped, %d truncated", d, tr)
	}
}

// pipe runs serveConn on one end of a pipe in virtual time and returns the other.
func pipe(t *testing.T, s *Sink) (client net.Conn, ended <-chan struct{}) {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		s.serveConn(t.Context(), t.Context(), server)
		close(done)
	}()
	t.Cleanup(func() { client.Close() })
	return client, done
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink(1000)
		c, ended := pipe(t, s)
		start := time.Now()
		for range 5 { // within the idle time
			time.Sleep(50 * time.Second)
			fmt.Fprint(c, "<13>a: x\n")
		}
		<-ended
		if d := time.Since(start); d != 5*50*time.Second+time.Minute {
			t.Errorf("an idle connection lived %v", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newSink(1000)
		c, ended := pipe(t, s)
		start := time.Now()
		fmt.Fprint(c, "<13>a: complete\n<13>sl")
		go func() { // a byte a second never ends the message
			for {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte("o")); err != nil {
					return
				}
			}
		}()
		<-ended
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("a slow message was waited for %v", d)
		}
		if batch, _ := s.Queue.Take(); len(batch) != 2 || !batch[1].Truncated {
			t.Errorf("%d records", len(batch))
		}
		if n := s.Metrics.Refused.With("slow").Value(); n != 1 {
			t.Errorf("%d slow connections counted", n)
		}
		time.Sleep(time.Minute) // lets the slow sender notice and end
	})
}

func TestFullQueueMakesTCPWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink(1)
		c, _ := pipe(t, s)
		wrote := make(chan struct{})
		go func() {
			fmt.Fprint(c, "<13>a: 1\n")
			fmt.Fprint(c, "<13>a: 2\n")
			fmt.Fprint(c, "<13>a: 3\n")
			close(wrote)
		}()
		time.Sleep(time.Hour)
		select {
		case <-wrote:
			t.Fatal("the sender did not have to wait")
		default:
		}
		if got := fmt.Sprint(take(t, s.Queue, 3)); got != "[1 2 3]" {
			t.Error(got)
		}
		<-wrote
	})
}

// What a sender that is done had sent is read at a stop though the files are slow; a sender that never pauses is cut.
func TestStopReadsWhatArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, messages := range []int{10, 1000} {
			s := newSink(1)
			stop, cancel := context.WithCancel(t.Context())
			conn, sender := net.Pipe()
			var wg sync.WaitGroup
			wg.Go(func() { s.serveConn(stop, t.Context(), conn); s.Queue.Close() })
			wg.Go(func() {
				for range messages {
					if _, err := io.WriteString(sender, "<13>x\n"); err != nil {
						break
					}
				}
				sender.Close()
			})
			cancel()
			start, got := time.Now(), 0
			for more := true; more; {
				<-s.Queue.Ready()
				var batch []record.Record
				batch, more = s.Queue.Take()
				got += len(batch)
				time.Sleep(60 * time.Millisecond) // a slow disk
			}
			wg.Wait()
			if messages == 10 && got != messages {
				t.Errorf("%d of %d messages were kept", got, messages)
			}
			if took := time.Since(start); took > lastCallMost+time.Second {
				t.Errorf("with %d messages the end took %v", messages, took)
			}
		}
	})
}
