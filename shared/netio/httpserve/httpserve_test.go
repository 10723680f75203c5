package httpserve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of in-memory connections, so that time can be virtual.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	a, b := net.Pipe()
	p.conns <- b
	return a
}

type fixture struct {
	*Server
	*pipes
	served chan error
}

func serve(h http.HandlerFunc) *fixture {
	f := &fixture{New(&http.Server{Handler: h}), newPipes(), make(chan error, 1)}
	go func() { f.served <- f.Serve(f.pipes) }()
	return f
}

func (f *fixture) shutdown(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return f.Server.Shutdown(ctx)
}

func ok(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }

// ask sends a request and returns the whole answer.
func ask(c net.Conn) string {
	go io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	b, _ := io.ReadAll(resp.Body)
	return fmt.Sprint(string(b), " close=", resp.Close)
}

// This is what Shutdown of net/http loses.
func TestARequestThatComesAfterTheStopIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(ok)
		c := f.dial()
		synctest.Wait()
		done := make(chan error)
		go func() { done <- f.shutdown(time.Minute) }()
		time.Sleep(time.Second)
		if got := ask(c); got != "ok close=true" {
			t.Errorf("answer %q", got)
		}
		if err := errors.Join(<-done, <-f.served); err != nil {
			t.Error(err)
		}
	})
}

func TestShutdownWaitsForRequestsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(func(w http.ResponseWriter, r *http.Request) { time.Sleep(20 * time.Second); ok(w, r) })
		silent, idle, slow := f.dial(), f.dial(), f.dial()
		if got := ask(idle); got != "ok close=false" {
			t.Fatalf("answer %q", got)
		}
		answer := make(chan string)
		go func() { answer <- ask(slow) }()
		time.Sleep(time.Second)
		begun := time.Now()
		if err := f.shutdown(time.Minute); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("Shutdown took %v, the slow request had 19 s to go", took)
		}
		if got := <-answer; !strings.HasPrefix(got, "ok") {
			t.Errorf("the slow request: %q", got)
		}
		for _, c := range []net.Conn{silent, idle} {
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("still open: %v", err)
			}
		}
		<-f.served
	})
}

func TestShutdownGivesASilentConnectionFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(ok)
		f.dial()
		synctest.Wait()
		begun := time.Now()
		err := f.shutdown(time.Minute)
		if took := time.Since(begun); err != nil || took < newGrace || took > newGrace+2*time.Second {
			t.Errorf("Shutdown = %v after %v", err, took)
		}
		<-f.served
	})
}

func TestShutdownCutsOffAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c := f.dial()
		go ask(c)
		time.Sleep(time.Second)
		if err := f.shutdown(3 * time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown = %v", err)
		}
		if err := errors.Join(<-f.served, f.Serve(newPipes())); err != nil {
			t.Errorf("Serve after the end = %v", err)
		}
	})
}
