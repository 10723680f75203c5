package lbd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// misbehave runs a server that reads a request's head on each connection, counts it, and then does as it is told.
func misbehave(t testing.TB, f func(c net.Conn, n int64)) (addr string, heads *atomic.Int64) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heads = new(atomic.Int64)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					if _, err := http.ReadRequest(r); err != nil {
						return // also a health check's connection
					}
					f(c, heads.Add(1))
				}
			}()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-ended })
	return ln.Addr().String(), heads
}

func do(t testing.TB, method, url, body string) (int, string) {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client(t).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, err.Error()
	}
	return res.StatusCode, string(b)
}

// echoBody is a backend that answers with the method and the body.
func echoBody(t testing.TB) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d", r.Method, len(b))
	})
}

func TestAMemberThatClosesWithoutAWord(t *testing.T) {
	f := func(method, body string, code int, answer string) {
		t.Helper()
		bad, heads := misbehave(t, func(c net.Conn, _ int64) {
			// Of a large body it takes more than lbd keeps: then the rest cannot be sent again.
			io.CopyN(io.Discard, c, int64(len(body)/2))
			c.Close()
		})
		b := start(t, poolYAML("", bad, echoBody(t)))
		var bodies []string
		for range 2 { // round robin: one of them goes to the bad one first
			got, text := do(t, method, b.url("/"), body)
			bodies = append(bodies, fmt.Sprint(got, " ", text))
		}
		if !strings.Contains(strings.Join(bodies, "|"), fmt.Sprint(code, " ", answer)) || heads.Load() != 1 {
			t.Errorf("%s with %d bytes: %q, %d heads at the bad member", method, len(body), bodies, heads.Load())
		}
		if code == 200 && bodies[0] != bodies[1] {
			t.Errorf("%s with %d bytes: %q", method, len(body), bodies)
		}
	}
	f("GET", "", 200, "GET 0")
	f("DELETE", "", 200, "DELETE 0")
	f("PUT", strings.Repeat("x", 64<<10), 200, "PUT 65536")
	f("PUT", strings.Repeat("x", 1<<20), 502, "502 Bad Gateway\n") // too large to be kept
	f("POST", "x", 502, "502 Bad Gateway\n")
	f("POST", "", 502, "502 Bad Gateway\n")
}

func TestAMemberThatRefusesConnections(t *testing.T) {
	f := func(method, body string) {
		t.Helper()
		a := backend(t, "a")
		// A long interval: the check does not see the death, only requests do.
		b := start(t, strings.Replace(poolYAML("", a.addr, echoBody(t)), "200ms", "1h", 1))
		a.Close()
		for range 4 {
			if code, text := do(t, method, b.url("/"), body); code != 200 {
				t.Errorf("%s with %d bytes: %d %s", method, len(body), code, text)
			}
		}
	}
	f("GET", "")
	f("POST", "x")
	f("POST", strings.Repeat("x", 1<<20))
}

func TestAKeptConnectionThatIsClosedLosesNothing(t *testing.T) {
	// The only member answers each connection's first request and closes at the second, as one that restarts does.
	f := func(method string) {
		t.Helper()
		addr, _ := misbehave(t, func(c net.Conn, _ int64) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			r := bufio.NewReader(c)
			r.ReadByte() // the next request's first byte
			c.Close()
		})
		b := start(t, poolYAML("", addr))
		for i := range 4 {
			if code, text := do(t, method, b.url("/"), ""); code != 200 {
				t.Errorf("%s, request %d: %d %s", method, i, code, text)
			}
		}
	}
	f("GET")
	f("POST")
}

func TestWhatComesBackIsJudged(t *testing.T) {
	f := func(name, answer, extra string, code int, reason string) {
		t.Helper()
		addr, _ := misbehave(t, func(c net.Conn, _ int64) { io.WriteString(c, answer) })
		b := start(t, "reason_header: true\n"+poolYAML(extra, addr))
		res, err := client(t).Get(b.url("/"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		res.Body.Close()
		if res.StatusCode != code || res.Header.Get("X-Everup-Reason") != reason {
			t.Errorf("%s: %d %q, want %d %q", name, res.StatusCode, res.Header.Get("X-Everup-Reason"), code, reason)
		}
	}
	f("garbage", "SSH-2.0-OpenSSH\r\n\r\n", "", 502, "bad-answer")
	f("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "", 502, "bad-answer")
	f("silence", "", "    timeout: 200ms\n", 504, "timeout")
	f("silence in every try", "", "    retries: {per_try_timeout: 50ms}\n", 504, "timeout")
}

func TestATruncatedAnswerIsNotTakenForWhole(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		addr, _ := misbehave(t, func(c net.Conn, _ int64) {
			io.WriteString(c, answer)
			c.Close()
		})
		b := start(t, poolYAML("", addr))
		if code, text := do(t, "GET", b.url("/"), ""); code != 0 && text == "abc" {
			t.Errorf("%q arrived as a whole answer", answer)
		}
	}
}

func TestRetriesStayWithinTheirBound(t *testing.T) {
	bad, heads := misbehave(t, func(c net.Conn, _ int64) { c.Close() })
	b := start(t, poolYAML("    retries: {max: 3}\n", bad))
	if code, _ := do(t, "GET", b.url("/"), ""); code != 502 {
		t.Errorf("status %d", code)
	}
	if heads.Load() != 4 {
		t.Errorf("%d tries, want 4", heads.Load())
	}
}

func TestASlowBodyIs408(t *testing.T) {
	a := backend(t, "a")
	b := start(t, "timeouts: {read: 200ms}\n"+poolYAML("", a.addr))
	begin := time.Now()
	got := raw(t, b.addr, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
	if !strings.HasPrefix(got, "HTTP/1.1 408 ") || time.Since(begin) > patience/2 {
		t.Errorf("answered %q after %v", got, time.Since(begin))
	}
}

func TestABodyThatIsTooLargeIs413(t *testing.T) {
	a := backend(t, "a")
	b := start(t, poolYAML("    max_body: 1KiB\n", a.addr))
	big := strings.Repeat("x", 2000)
	for _, send := range []string{
		"PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n" + big,
		"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + big + "\r\n0\r\n\r\n",
	} {
		if got := raw(t, b.addr, send); !strings.HasPrefix(got, "HTTP/1.1 413 ") {
			t.Errorf("answered %q", got)
		}
	}
	if a.hits.Load() != 0 {
		t.Errorf("%d requests reached the backend", a.hits.Load())
	}
}
