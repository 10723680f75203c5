package lbd

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serve runs a backend and returns its address.
func serve(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// upgrader is a backend that changes to "echo" and sends back what it gets.
func upgrader(t testing.TB) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" || r.Header.Get("Connection") != "Upgrade" {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\nX-Kept: 1\r\n\r\n")
		io.Copy(c, rw)
	})
}

// dialUpgrade makes an upgraded connection and returns the head of the answer.
func dialUpgrade(t testing.TB, addr string) (net.Conn, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	// The first bytes of the other protocol come with the head: they must not be taken for a request.
	io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\nfirst\n")
	r := bufio.NewReader(c)
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", head.String(), err)
		}
		if line == "\r\n" {
			break
		}
		head.WriteString(line)
	}
	if line, err := r.ReadString('\n'); line != "first\n" {
		t.Fatalf("echo of the first bytes: %q, %v", line, err)
	}
	return c, head.String()
}

func TestUpgradeIsRelayedRaw(t *testing.T) {
	b := start(t, poolYAML("", upgrader(t)))
	c, head := dialUpgrade(t, b.addr)
	defer c.Close()
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "X-Kept: 1") || !strings.Contains(head, "Upgrade: echo") {
		t.Errorf("head %q", head)
	}
	sent := "\x00\n\n" + strings.Repeat("binary \xff\r\n", 20000)
	go func() {
		io.WriteString(c, sent)
		c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != sent {
		t.Errorf("%d bytes came back, %v; want %d", len(got), err, len(sent))
	}
}

func TestSmugglingReachesNobody(t *testing.T) {
	a := backend(t, "a")
	b := start(t, poolYAML("", a.addr))
	f := func(name, send string) {
		t.Helper()
		before := a.hits.Load()
		got := raw(t, b.addr, send)
		if !strings.HasPrefix(got, "HTTP/1.1 4") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%s: answered %q", name, got)
		}
		if n := a.hits.Load() - before; n != 0 {
			t.Errorf("%s: %d requests reached the backend", name, n)
		}
	}
	inner := "GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
	f("CL.TE", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+inner)
	f("TE.CL", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n"+inner)
	f("two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 0\r\n\r\n"+inner)
	f("two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"+inner)
	f("obs-fold", "GET / HTTP/1.1\r\nHost: x\r\nX: 1\r\n 2\r\n\r\n"+inner)
	f("bare LF", "GET / HTTP/1.1\nHost: x\n\n"+inner)
	f("bad chunk, kept", "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"+inner)
	f("bad chunk, streamed", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n"+inner)
	f("space before colon", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n"+inner)
	f("head too large", "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 80<<10)+"\r\n\r\n")
}

func TestUnknownCodingIs501(t *testing.T) {
	a := backend(t, "a")
	b := start(t, poolYAML("", a.addr))
	if got := raw(t, b.addr, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 501 ") {
		t.Errorf("answered %q", got)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, "["+r.URL.Path+":"+string(body)+"]")
	})
	b := start(t, poolYAML("", a))
	got := raw(t, b.addr, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"+
		"POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"+
		"PUT /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxyGET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	var bodies []string
	for _, part := range strings.Split(got, "[")[1:] {
		text, _, _ := strings.Cut(part, "]")
		bodies = append(bodies, text)
	}
	if s := strings.Join(bodies, " "); s != "/1: /2:abc /3:xy /4:" {
		t.Errorf("answered %q: %q", s, got)
	}
}
