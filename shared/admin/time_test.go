package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/fault"
)

// pipes is a listener whose connections are net.Pipes, so that it works in virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	server, client := net.Pipe()
	p.conns <- server
	return client
}

// inBubble serves r on pipes in virtual time while f runs; f gets what stops it.
func inBubble(t *testing.T, r *rig, f func(l *pipes, stop func() error)) {
	t.Helper()
	l := newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, l, nil) }()
	stopped := false
	stop := func() error { stopped = true; cancel(); return <-done }
	f(l, stop)
	if !stopped {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

func request(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func response(t *testing.T, r *bufio.Reader) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// A handler that does not listen to its context: the caller has an answer after 30 s, the place stays taken.
func TestHandlerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		release := make(chan struct{})
		r.Handle("GET /v1/stuck", "Sticks.", func(context.Context, *Request) (any, error) { <-release; return nil, nil })
		start := time.Now()
		status, answer := r.Call(t.Context(), "GET", "/v1/stuck", nil, "bus")
		if status != 504 || time.Since(start) != callTimeout || !bytes.Contains(answer, []byte("no answer after 30s")) {
			t.Errorf("%d after %v: %s", status, time.Since(start), answer)
		}
		if len(r.slots) != 1 {
			t.Errorf("%d places taken, want 1", len(r.slots))
		}
		close(release)
		synctest.Wait()
		if len(r.slots) != 0 {
			t.Errorf("%d places taken, want none", len(r.slots))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.Handle("GET /v1/heeds", "Heeds.", func(ctx context.Context, _ *Request) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		if status, answer := r.Call(ctx, "GET", "/v1/heeds", nil, "bus"); status != 504 && status != 499 {
			t.Errorf("%d: %s", status, answer)
		}
	})
}

func TestHungLivenessIsNotAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		release := make(chan struct{})
		r.SetLiveness(func() error { <-release; return nil })
		start := time.Now()
		if status, _ := r.Call(t.Context(), "GET", "/healthz", nil, "probe"); status != 504 || time.Since(start) != probeTimeout {
			t.Errorf("%d after %v", status, time.Since(start))
		}
		close(release)
	})
}

func TestSlowRequestIsCut(t *testing.T) {
	f := func(text string, want time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			inBubble(t, newRig(), func(l *pipes, _ func() error) {
				c := l.dial()
				defer c.Close()
				start := time.Now()
				request(t, c, text)
				if _, err := io.ReadAll(c); err != nil || time.Since(start) != want {
					t.Errorf("%.20q: cut after %v (%v), want %v", text, time.Since(start), err, want)
				}
			})
		})
	}
	f("GET /v1/ HTTP/1.1\r\nHost: x\r\n", 5*time.Second)
	f("POST /v1/log/level HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{", 60*time.Second)
	f("GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n", 60*time.Second) // answered, then idle
}

func TestHugeHeaderIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inBubble(t, newRig(), func(l *pipes, _ func() error) {
			c := l.dial()
			defer c.Close()
			go io.WriteString(c, "GET /v1/ HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
			if resp := response(t, bufio.NewReader(c)); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	})
}

// A stream outlives the time that a request may take to arrive.
func TestLongStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		lines, ended := make(chan string), make(chan error, 1)
		r.handleStream(lines, ended)
		inBubble(t, r, func(l *pipes, _ func() error) {
			c := l.dial()
			defer c.Close()
			request(t, c, "GET /v1/follow HTTP/1.1\r\nHost: x\r\n\r\n")
			body := bufio.NewReader(response(t, bufio.NewReader(c)).Body)
			time.Sleep(time.Hour)
			synctest.Wait()
			select {
			case err := <-ended:
				t.Fatalf("the stream ended by itself: %v", err)
			case lines <- "late":
			}
			if got, err := body.ReadString('\n'); err != nil || got != "late\n" {
				t.Errorf("line %q: %v", got, err)
			}
		})
	})
}

// A reader that stops reading is cut off after 10 s, so that it holds no place.
func TestSlowStreamReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		lines, ended := make(chan string, 1), make(chan error, 1)
		r.handleStream(lines, ended)
		inBubble(t, r, func(l *pipes, _ func() error) {
			c := l.dial()
			defer c.Close()
			request(t, c, "GET /v1/follow HTTP/1.1\r\nHost: x\r\n\r\n")
			br := bufio.NewReader(c)
			response(t, br)
			start := time.Now()
			lines <- "nobody reads this"
			if err := <-ended; err == nil || time.Since(start) != streamWriteTimeout {
				t.Errorf("ended after %v: %v", time.Since(start), err)
			}
			synctest.Wait()
			if len(r.streams) != 0 {
				t.Errorf("%d streams hold a place", len(r.streams))
			}
		})
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		lines, ended := make(chan string), make(chan error, maxStreams)
		r.handleStream(lines, ended)
		inBubble(t, r, func(l *pipes, _ func() error) {
			get := func() int {
				c := l.dial()
				t.Cleanup(func() { c.Close() })
				request(t, c, "GET /v1/follow HTTP/1.1\r\nHost: x\r\n\r\n")
				return response(t, bufio.NewReader(c)).StatusCode
			}
			for range maxStreams {
				if status := get(); status != 200 {
					t.Fatalf("status %d within the bound", status)
				}
			}
			if status := get(); status != 503 {
				t.Errorf("status %d beyond the bound", status)
			}
		})
	})
}

// Calls under way get their answer after the stop began.
func TestGracefulStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		entered := make(chan struct{})
		r.Handle("GET /v1/slow", "Takes 3 s.", func(ctx context.Context, _ *Request) (any, error) {
			close(entered)
			select {
			case <-time.After(3 * time.Second):
				return "done", nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		inBubble(t, r, func(l *pipes, stop func() error) {
			c := l.dial()
			defer c.Close()
			request(t, c, "GET /v1/slow HTTP/1.1\r\nHost: x\r\n\r\n")
			<-entered
			got := make(chan string, 1)
			go func() {
				b, _ := io.ReadAll(c)
				got <- string(b)
			}()
			if err := stop(); err != nil {
				t.Errorf("Serve: %v", err)
			}
			if s := <-got; !strings.Contains(s, `"done"`) {
				t.Errorf("answer %q", s)
			}
		})
	})
}

func TestStopIsBounded(t *testing.T) {
	f := func(heeds bool, class fault.Class, want time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			entered, release := make(chan struct{}), make(chan struct{})
			r.Handle("GET /v1/stuck", "Sticks.", func(ctx context.Context, _ *Request) (any, error) {
				close(entered)
				if heeds {
					<-ctx.Done()
				} else {
					<-release
				}
				return nil, nil
			})
			inBubble(t, r, func(l *pipes, stop func() error) {
				c := l.dial()
				defer c.Close()
				request(t, c, "GET /v1/stuck HTTP/1.1\r\nHost: x\r\n\r\n")
				<-entered
				start := time.Now()
				if err := stop(); fault.Of(err) != class || time.Since(start) != want {
					t.Errorf("Serve ended after %v: %v", time.Since(start), err)
				}
			})
			close(release)
		})
	}
	f(true, fault.Unknown, stopTimeout)
	f(false, fault.Timeout, stopTimeout+time.Second)
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		l := limitConns(p, 2)
		accepted := make(chan net.Conn, 9)
		done := make(chan error, 1)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					done <- err
					return
				}
				accepted <- c
			}
		}()
		p.dial()
		p.dial()
		third := make(chan net.Conn, 1)
		go func() { third <- p.dial() }()
		synctest.Wait()
		if len(accepted) != 2 || len(third) != 0 {
			t.Fatalf("%d accepted, want 2", len(accepted))
		}
		c := <-accepted
		c.Close()
		c.Close() // must free one place only
		synctest.Wait()
		if len(accepted) != 2 || len(l.(*limitListener).places) != 2 {
			t.Errorf("%d accepted and %d places taken after a close", len(accepted), len(l.(*limitListener).places))
		}
		l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
	})
}

// A listener that fails ends Serve with its error.
func TestListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		l.Close()
		err := newRig().Serve(t.Context(), &failingListener{l}, nil)
		if fault.Of(err) != fault.Unavailable || !strings.Contains(err.Error(), "broken") {
			t.Errorf("Serve: %v", err)
		}
	})
}

type failingListener struct{ *pipes }

func (failingListener) Accept() (net.Conn, error) { return nil, errors.New("broken") }
func (failingListener) Close() error              { return nil }
