package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/shared/labtest"
)

const soon = 20 * time.Second

// slow has requests to /slow wait.
func slow(d time.Duration) func(*Request, *Plan) {
	return func(r *Request, p *Plan) {
		if string(r.Text(r.Head.Target.Path)) == "/slow" {
			p.Delay = d
		}
	}
}

func TestDelay(t *testing.T) {
	const pause = 200 * time.Millisecond
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d", r.URL.Path, n)
	})
	s := &site{members: []netip.AddrPort{b}, plan: slow(pause)}
	r := start(t, s)
	r.SetTarpits(10)
	c := client1(t)
	f := func(method, path string, body io.Reader, want string, least time.Duration) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+r.addr+path, body)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, _ := io.ReadAll(res.Body)
		if took := time.Since(began); string(got) != want || took < least {
			t.Errorf("%s %s: %q after %v", method, path, got, took)
		}
	}
	f("GET", "/slow", nil, "/slow 0", pause)
	f("POST", "/slow", io.LimitReader(zeros{}, 300_000), "/slow 300000", pause)
	f("GET", "/fast", nil, "/fast 0", 0)
	if n := r.Counts(); n.Delayed != 2 || n.Undelayed != 0 {
		t.Errorf("counts %+v", n)
	}
	r.SetTarpits(0)
	f("GET", "/slow", nil, "/slow 0", 0) // there is no room
	if n := r.Counts(); n.Delayed != 2 || n.Undelayed != 1 {
		t.Errorf("counts %+v", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What follows a delayed request on its connection comes after it, and an own answer waits too.
func TestDelayOwnAnswerAndPipeline(t *testing.T) {
	r := start(t, &site{plan: func(r *Request, p *Plan) {
		p.Pool, p.Status, p.Delay = nil, 429, 50*time.Millisecond
	}})
	r.SetTarpits(10)
	c, in := r.dial(t)
	io.WriteString(c, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	for range 2 {
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 429 {
			t.Fatalf("%v, %v", res, err)
		}
		io.Copy(io.Discard, res.Body)
	}
}

// A client that goes away leaves its place, and a drain hurries those who wait.
func TestDelayEndsEarly(t *testing.T) {
	s := &site{plan: func(r *Request, p *Plan) { p.Pool, p.Status, p.Delay = nil, 403, time.Hour }, done: make(chan struct{}, 10)}
	r := start(t, s)
	r.SetTarpits(1)
	waits := func() {
		t.Helper()
		labtest.Eventually(t, soon, "a request waits", func() error {
			if n := r.delayed.Load(); n != 1 {
				return fmt.Errorf("%d wait", n)
			}
			return nil
		})
	}
	gone, _ := r.dial(t)
	io.WriteString(gone, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	waits()
	gone.Close()
	<-s.done
	if rec := s.records[0]; rec.Status != 499 || rec.Reason != ClientGone {
		t.Errorf("record %+v", rec)
	}

	c, in := r.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	waits()
	r.Drain()
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 403 {
		t.Fatalf("%v, %v", res, err)
	}
	<-s.done
	if n := r.delayed.Load(); n != 0 {
		t.Errorf("%d wait still", n)
	}
}

// two admits two connections of a source.
type two struct {
	mu   sync.Mutex
	open map[dos.Key]int
}

func (a *two) Enter(peer netip.Addr) (dos.Key, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := dos.Nets{V4: 32, V6: 64}.Key(peer)
	if a.open[k] == 2 {
		return k, false
	}
	a.open[k]++
	return k, true
}

func (a *two) Leave(k dos.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k.Valid() {
		a.open[k]--
	}
}

func (a *two) of(source string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open[dos.Nets{V4: 32, V6: 64}.Key(netip.MustParseAddr(source))]
}

// Connections are counted for whom they are of, which a PROXY header says, and only while they are open.
func TestAdmission(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testAdmission(t, new(Opening), "127.0.0.1", "") })
	o := &Opening{Proxy: ProxyAccept, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	t.Run("proxied", func(t *testing.T) { testAdmission(t, o, "192.0.2.1", "PROXY TCP4 192.0.2.1 192.0.2.9 5000 80\r\n") })
}

func testAdmission(t *testing.T, o *Opening, source, header string) {
	a := &two{open: map[dos.Key]int{}}
	s := &site{plan: func(r *Request, p *Plan) { p.Pool, p.Status = nil, 204 }}
	r := startAdmitting(t, s, o, 5*time.Second, a)
	ask := func() (net.Conn, error) {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(soon))
		// A reset may be told to the one or the other.
		_, written := io.WriteString(c, header+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		_, read := c.Read(make([]byte, 1000))
		return c, errors.Join(written, read)
	}
	first, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = ask(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the third: %v", err)
	}
	if n := a.of(source); n != 2 {
		t.Errorf("%d are open", n)
	}
	first.Close()
	labtest.Eventually(t, soon, "one has left", func() error {
		if n := a.of(source); n != 1 {
			return fmt.Errorf("%d are open", n)
		}
		return nil
	})
	if _, err := ask(); err != nil {
		t.Errorf("the fourth: %v", err)
	}
	if got := r.begun.take(); len(got) != 1 || got[0].Fault != FaultBusy {
		t.Errorf("told %+v", got)
	}
}

// watcher notes what it is told.
type watcher struct {
	mu    sync.Mutex
	told  []string
	panic bool
}

func (w *watcher) Answered(r *Request, kind []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf("%s is %q", r.Text(r.Head.Target.Path), kind))
	if w.panic {
		panic("a watcher fails")
	}
}

func (w *watcher) Over() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, "over")
}

func TestWatch(t *testing.T) {
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			w.Header()["Content-Type"] = nil
		} else {
			w.Header().Set("Content-Type", "image/png")
		}
	})
	w := &watcher{}
	s := &site{members: []netip.AddrPort{b}, done: make(chan struct{}, 10), plan: func(r *Request, p *Plan) {
		p.Watch = w
		switch string(r.Text(r.Head.Target.Path)) {
		case "/own":
			p.Pool, p.Status = nil, 403
		case "/drop":
			p.Pool, p.Drop = nil, true
		}
	}}
	r := start(t, s)
	f := func(path string, fails bool, want ...string) {
		t.Helper()
		w.mu.Lock()
		w.told, w.panic = nil, fails
		w.mu.Unlock()
		if res, err := client1(t).Get("http://" + r.addr + path); err == nil {
			res.Body.Close()
		}
		if !fails {
			<-s.done
		}
		labtest.Eventually(t, soon, path+" is told of", func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if !slices.Equal(w.told, want) {
				return fmt.Errorf("told %q, want %q", w.told, want)
			}
			return nil
		})
	}
	f("/a", false, `/a is "image/png"`, "over")
	f("/none", false, `/none is ""`, "over")
	f("/own", false, `/own is "text/plain; charset=utf-8"`, "over")
	f("/drop", false, "over")
	f("/own", true, `/own is "text/plain; charset=utf-8"`, "over")
}
