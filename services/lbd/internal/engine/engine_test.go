package engine

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func client1(t testing.TB) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience}
}

func TestForward(t *testing.T) { overAll(t, testForward) }

func testForward(t *testing.T, o *over) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	b := o.backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		switch r.URL.Path {
		case "/big":
			w.Write(big)
		case "/length":
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			w.Write(big)
		default:
			fmt.Fprintf(w, "%s %s %d %s", r.Method, r.URL, len(body), r.Header.Get("X-Forwarded-For"))
		}
	})
	r := o.start(t, &site{members: []netip.AddrPort{b}})
	c, url := r.http(t)
	f := func(method, path, body, want string) {
		t.Helper()
		req, _ := http.NewRequest(method, url+path, strings.NewReader(body))
		if len(body) > 1000 {
			req.ContentLength = -1
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err != nil || string(got) != want {
			t.Errorf("%s %s: %.100q, %v", method, path, got, err)
		}
	}
	f("GET", "/a?b", "", "GET /a?b 0 127.0.0.1")
	f("HEAD", "/a?b", "", "")
	f("POST", "/a?b", "hello", "POST /a?b 5 127.0.0.1")
	f("PUT", "/a", "hello", "PUT /a 5 127.0.0.1")
	f("GET", "/big", "", string(big))
	f("GET", "/length", "", string(big))
	f("POST", "/chunks", string(big), "POST /chunks 1048576 127.0.0.1")
	f("DELETE", "/", "", "DELETE / 0 127.0.0.1")
}

func TestPipelining(t *testing.T) { overAll(t, testPipelining) }

func testPipelining(t *testing.T, o *over) {
	b := o.backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	r := o.start(t, &site{members: []netip.AddrPort{b}})
	c, in := r.dial(t)
	var all strings.Builder
	for i := range 100 {
		fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i)
	}
	if _, err := io.WriteString(c, all.String()); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		got, _ := io.ReadAll(res.Body)
		if want := fmt.Sprintf("/%d", i/2); string(got) != want {
			t.Fatalf("%d: %q, want %q", i, got, want)
		}
	}
}

func TestRefused(t *testing.T) { overAll(t, testRefused) }

func testRefused(t *testing.T, o *over) {
	asked := 0
	b := o.backend(t, func(http.ResponseWriter, *http.Request) { asked++ })
	r := o.start(t, &site{members: []netip.AddrPort{b}})
	f := func(raw, want string) {
		t.Helper()
		c, in := r.dial(t)
		io.WriteString(c, raw)
		got, err := io.ReadAll(in)
		if line, _, _ := strings.Cut(string(got), "\r\n"); err != nil || line != want {
			t.Errorf("%q: %q, %v", raw, line, err)
		}
	}
	f("GET / HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 Bad Request")
	f("GET / HTTP/2.0\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported")
	f("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 Not Implemented")
	f("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 400 Bad Request")
	f("GET /"+strings.Repeat("x", 20000)+" HTTP/1.1\r\n", "HTTP/1.1 414 URI Too Long")
	if asked != 0 {
		t.Errorf("%d requests were forwarded", asked)
	}
}

func TestRetry(t *testing.T) { overAll(t, testRetry) }

func testRetry(t *testing.T, o *over) {
	good := o.backend(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		io.WriteString(w, "ok "+string(b))
	})
	bad := o.scripted(t, func(c net.Conn, r *bufio.Reader) { http.ReadRequest(r) })
	s := &site{members: []netip.AddrPort{bad, good}}
	r := o.start(t, s)
	f := func(method, body string, status int, want string) {
		t.Helper()
		s.mu.Lock()
		s.next = 0
		s.mu.Unlock()
		c, url := r.http(t)
		req, _ := http.NewRequest(method, url+"/", strings.NewReader(body))
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(res.Body)
		if res.Body.Close(); res.StatusCode != status || string(got) != want {
			t.Errorf("%s: %d %q", method, res.StatusCode, got)
		}
	}
	f("GET", "", 200, "ok ")
	f("PUT", "hello", 200, "ok hello")
	f("POST", "hello", 502, "502 Bad Gateway\n")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retried != 2 || s.failed != 3 {
		t.Errorf("%d retries, %d failures", s.retried, s.failed)
	}
}

func TestUpgrade(t *testing.T) { overAll(t, testUpgrade) }

func testUpgrade(t *testing.T, o *over) {
	b := o.scripted(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			t.Error(err)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ")
		io.Copy(c, r)
	})
	r := o.start(t, &site{members: []netip.AddrPort{b}})
	c, in := r.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ")
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatal(res, err)
	}
	io.WriteString(c, "late")
	c.(closeWriter).CloseWrite()
	got, err := io.ReadAll(in)
	if err != nil || string(got) != "hello early late" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestIdleKeepsNothing: what a connection without a request costs.
func TestIdleKeepsNothing(t *testing.T) { overAll(t, testIdleKeepsNothing) }

func testIdleKeepsNothing(t *testing.T, o *over) {
	b := o.backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	r := o.start(t, &site{members: []netip.AddrPort{b}})
	c, in := r.dial(t)
	for range 3 {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadAll(res.Body)
	}
	done := make(chan int)
	r.workers[0].loop.Post(func() {
		n := 0
		for c := range r.workers[0].clients {
			if c.x != nil {
				n++
			}
		}
		done <- n
	})
	if n := <-done; n != 0 {
		t.Errorf("%d exchanges are kept", n)
	}
}

// TestPanicEndsOneExchange: what goes wrong with one request is not the others'.
func TestPanicEndsOneExchange(t *testing.T) { overAll(t, testPanicEndsOneExchange) }

func testPanicEndsOneExchange(t *testing.T, o *over) {
	b := o.backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	s := &site{members: []netip.AddrPort{b}}
	s.plan = func(r *Request, p *Plan) {
		if string(r.Text(r.Head.Target.Path)) == "/bug" {
			panic("oops")
		}
	}
	r := o.start(t, s)
	c, in := r.dial(t)
	io.WriteString(c, "GET /bug HTTP/1.1\r\nHost: a\r\n\r\n")
	if got, err := io.ReadAll(in); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	h, url := r.http(t)
	res, err := h.Get(url + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, _ := io.ReadAll(res.Body); string(got) != "ok" || r.panics.Load() != 1 {
		t.Errorf("%q after %d panics", got, r.panics.Load())
	}
}
