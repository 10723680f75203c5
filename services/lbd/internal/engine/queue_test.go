package engine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/labtest"
	"github.com/google/go-cmp/cmp"
)

// queueing is a site whose pool queues the first request and seats the others.
func queueing(cancels bool, wait time.Duration, members ...netip.AddrPort) (*site, chan pool.Waiter) {
	asked := make(chan pool.Waiter, 1)
	s := &site{members: members, done: make(chan struct{}, 10), cancels: cancels}
	first := true
	s.pick = func(a *pool.Ask) (pool.Choice, *pool.Ticket, pool.Outcome) {
		if first {
			first = false
			asked <- a.Waiter
			return pool.Choice{}, &pool.Ticket{}, pool.Queued
		}
		return s.seat(members[0]), nil, pool.Granted
	}
	s.plan = func(_ *Request, p *Plan) { p.Wait = wait }
	return s, asked
}

// grant gives one who waits a seat.
func (s *site) grant(w pool.Waiter, at netip.AddrPort) {
	s.mu.Lock()
	c := s.seat(at)
	s.mu.Unlock()
	w.Granted(pool.Grant{Waiter: w, Seat: c.Seat, Outcome: pool.Granted})
}

func (s *site) last(t *testing.T) Record {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		t.Fatal("no record")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[len(s.records)-1]
}

func sendRequest(t *testing.T, c net.Conn, r *bufio.Reader, method, path, body string) (int, string) {
	t.Helper()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body)
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("X-Everup-Reason") + string(b)
}

func greeter(t *testing.T) netip.AddrPort {
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		io.WriteString(w, "hello "+string(b))
	})
}

func TestAQueuedRequestGoesOn(t *testing.T) {
	m := greeter(t)
	s, asked := queueing(true, 5*time.Second, m)
	r := start(t, s)
	go func() { s.grant(<-asked, m) }()
	c, br := r.dial(t)
	if code, text := sendRequest(t, c, br, "POST", "/", "abc"); code != 200 || text != "hello abc" {
		t.Errorf("%d %q", code, text)
	}
	if code, text := sendRequest(t, c, br, "GET", "/", ""); code != 200 || text != "hello " {
		t.Errorf("the next request on the connection: %d %q", code, text)
	}
}

func TestAQueuedRequestIsTurnedAway(t *testing.T) {
	f := func(o pool.Outcome, reason string) {
		t.Helper()
		s, asked := queueing(true, 5*time.Second, greeter(t))
		r := start(t, s)
		go func() {
			w := <-asked
			w.Granted(pool.Grant{Waiter: w, Outcome: o})
		}()
		c, br := r.dial(t)
		if code, text := sendRequest(t, c, br, "GET", "/", ""); code != 503 || !strings.HasPrefix(text, reason) {
			t.Errorf("%d %q", code, text)
		}
	}
	f(pool.NoMember, "no-member")
	f(pool.CircuitOpen, "breaker-open")
}

// The time in the queue is bounded; a seat that comes too late is given back.
func TestAQueuedRequestIsLate(t *testing.T) {
	for _, cancels := range []bool{true, false} {
		m := greeter(t)
		s, asked := queueing(cancels, 50*time.Millisecond, m)
		r := start(t, s)
		c, br := r.dial(t)
		if code, text := sendRequest(t, c, br, "GET", "/", ""); code != 503 || !strings.HasPrefix(text, "queue-timeout") {
			t.Errorf("%d %q", code, text)
		}
		if !cancels {
			s.grant(<-asked, m)
		}
		if code, text := sendRequest(t, c, br, "GET", "/", ""); code != 200 || text != "hello " {
			t.Errorf("the next request on the connection: %d %q", code, text)
		}
		s.nobodyIsSeated(t)
	}
}

func (s *site) nobodyIsSeated(t *testing.T) {
	t.Helper()
	labtest.Eventually(t, 10*time.Second, "all seats are given back", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.active != 0 {
			return fmt.Errorf("%d are not", s.active)
		}
		return nil
	})
}

// A client that goes away while its request waits leaves nothing behind, also where a seat is on its way to it.
func TestAClientThatLeavesTheQueue(t *testing.T) {
	for _, cancels := range []bool{true, false} {
		m := greeter(t)
		s, asked := queueing(cancels, 5*time.Second, m)
		r := start(t, s)
		c, _ := r.dial(t)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		w := <-asked
		c.Close()
		if rec := s.last(t); rec.Reason != ClientGone || rec.Status != statusClientGone {
			t.Errorf("record %+v", rec)
		}
		if !cancels {
			s.grant(w, m)
		}
		s.nobodyIsSeated(t)
		c, br := r.dial(t)
		if code, _ := sendRequest(t, c, br, "GET", "/", ""); code != 200 {
			t.Errorf("the next client: %d", code)
		}
	}
}

// A seat that is granted while the engine stops does not stay taken.
func TestAStopEmptiesTheQueue(t *testing.T) {
	s, asked := queueing(true, 5*time.Second, greeter(t))
	r := start(t, s)
	c, _ := r.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	r.Cut()
	if rec := s.last(t); rec.Reason != Stopped {
		t.Errorf("record %+v", rec)
	}
}

func TestAFullQueueIs503(t *testing.T) {
	s := &site{done: make(chan struct{}, 10)}
	s.pick = func(*pool.Ask) (pool.Choice, *pool.Ticket, pool.Outcome) { return pool.Choice{}, nil, pool.QueueFull }
	r := start(t, s)
	c, br := r.dial(t)
	if code, text := sendRequest(t, c, br, "GET", "/", ""); code != 503 || !strings.HasPrefix(text, "queue-full") {
		t.Errorf("%d %q", code, text)
	}
}

// An answer whose status is to be retried is thrown away where the request may be sent again, else passed on.
func TestRetryOnStatus(t *testing.T) {
	f := func(method, body string, retries, code int, want string, results ...int) {
		t.Helper()
		busy := backend(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(503)
			io.WriteString(w, "busy")
		})
		s := &site{members: []netip.AddrPort{busy, greeter(t)}, done: make(chan struct{}, 10)}
		s.plan = func(_ *Request, p *Plan) {
			p.Retries = retries
			p.RetryOn.Add(503)
		}
		r := start(t, s)
		c, br := r.dial(t)
		if got, text := sendRequest(t, c, br, method, "/", body); got != code || text != want {
			t.Errorf("%s with %d bytes: %d %.20q", method, len(body), got, text)
		}
		s.nobodyIsSeated(t)
		var told []int
		for _, res := range s.results {
			told = append(told, res.Status)
		}
		if diff := cmp.Diff(results, told); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
	}
	f("GET", "", 1, 200, "hello ", 503, 200)
	f("PUT", "abc", 1, 200, "hello abc", 503, 200)
	f("POST", "abc", 1, 503, "busy", 503)
	f("GET", "", 0, 503, "busy", 503)
	f("PUT", strings.Repeat("x", 1<<20), 1, 503, "busy", 503)
}

// What came of each try is told to the pool, once.
func TestResultsOfTries(t *testing.T) {
	f := func(answer string, plan func(*Plan), want ...pool.Failure) {
		t.Helper()
		m := scripted(t, func(c net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err == nil {
				io.WriteString(c, answer)
				if answer == "" {
					r.ReadByte() // until it is given up
				}
			}
		})
		s := &site{members: []netip.AddrPort{m}, done: make(chan struct{}, 10)}
		s.plan = func(_ *Request, p *Plan) { plan(p) }
		r := start(t, s)
		c, _ := r.dial(t)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		io.Copy(io.Discard, c)
		s.last(t)
		s.nobodyIsSeated(t)
		var told []pool.Failure
		for _, res := range s.results {
			told = append(told, res.Failure)
			if res.Head <= 0 && res.Failure != pool.Truncated || res.Head > 10*time.Second {
				t.Errorf("%q: after %v", answer, res.Head)
			}
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("%q: failures (-want +got):\n%s", answer, diff)
		}
	}
	plain := func(*Plan) {}
	f("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", plain, pool.None)
	f("garbage\r\n\r\n", plain, pool.Garbage)
	f("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", plain, pool.None, pool.Truncated)
	f("", func(p *Plan) { p.Timeout = 50 * time.Millisecond }, pool.Late)
	f("", func(p *Plan) { p.PerTry = 50 * time.Millisecond }, pool.Late)
	f("HTTP/1.1 200 ", plain, pool.Garbage)
}

func TestTheSessionsCookieIsSet(t *testing.T) {
	m := greeter(t)
	s := &site{members: []netip.AddrPort{m}, done: make(chan struct{}, 10)}
	s.pick = func(a *pool.Ask) (pool.Choice, *pool.Ticket, pool.Outcome) {
		c := s.seat(m)
		c.Cookie = []byte("lb=abc; Path=/")
		return c, nil, pool.Granted
	}
	r := start(t, s)
	res, err := http.Get("http://" + r.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if got := res.Header["Set-Cookie"]; len(got) != 1 || got[0] != "lb=abc; Path=/" {
		t.Errorf("Set-Cookie %q", got)
	}
}
