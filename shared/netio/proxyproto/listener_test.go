package proxyproto

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/fault"
)

const tcp4 = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"

func listen(t *testing.T, l *Listener) {
	t.Helper()
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Listener = inner
	t.Cleanup(func() { inner.Close() })
}

func dial(t *testing.T, l net.Listener, data string) net.Conn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, data); err != nil {
		t.Fatal(err)
	}
	return c
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

func TestListenerCarriesTheClient(t *testing.T) {
	l := &Listener{Trusted: loopback()}
	listen(t, l)
	client := dial(t, l, tcp4+"hello")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != "192.0.2.1:56324" {
		t.Errorf("RemoteAddr = %s", got)
	}
	if got := c.LocalAddr().String(); got != "198.51.100.7:443" {
		t.Errorf("LocalAddr = %s", got)
	}
	if got := c.(*Conn).PeerAddr().String(); got != client.LocalAddr().String() {
		t.Errorf("PeerAddr = %s, want %s", got, client.LocalAddr())
	}
	client.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestListenerReadsNothingFromOthers(t *testing.T) {
	l := &Listener{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	listen(t, l)
	client := dial(t, l, tcp4)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != client.LocalAddr().String() {
		t.Errorf("RemoteAddr = %s was claimed by a peer that is not trusted", c.RemoteAddr())
	}
	client.(*net.TCPConn).CloseWrite()
	if b, _ := io.ReadAll(c); string(b) != tcp4 {
		t.Errorf("read %q", b)
	}
}

func TestListenerTrustsUnixWhenTold(t *testing.T) {
	for _, trust := range []bool{false, true} {
		inner, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		defer inner.Close()
		l := &Listener{Listener: inner, TrustUnix: trust}
		dial(t, l, tcp4)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.RemoteAddr().String() == "192.0.2.1:56324"; got != trust {
			t.Errorf("trusted %t: RemoteAddr %s", trust, c.RemoteAddr())
		}
	}
}

// A peer that sends nothing holds up nobody else.
func TestAcceptDoesNotWaitForHeaders(t *testing.T) {
	l := &Listener{Trusted: loopback()}
	listen(t, l)
	dial(t, l, "")
	dial(t, l, "PROXY")
	served := make(chan string, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { served <- r.RemoteAddr })}
	go srv.Serve(l)
	defer srv.Close()
	dial(t, l, tcp4+"GET / HTTP/1.0\r\n\r\n")
	if got := <-served; got != "192.0.2.1:56324" {
		t.Errorf("the handler saw %s", got)
	}
}

func TestConnBadHeaderIsAnErrorOfRead(t *testing.T) {
	for data, want := range map[string]fault.Class{
		"GET / HTTP/1.0\r\n\r\n": fault.Invalid, "PROXY TCP4 x": fault.Internal, "": fault.Internal,
	} {
		a, b := net.Pipe()
		go func() { io.WriteString(a, data); a.Close() }()
		c := NewConn(b, 0)
		if c.RemoteAddr() != b.RemoteAddr() {
			t.Errorf("%q: RemoteAddr %v", data, c.RemoteAddr())
		}
		if _, err := c.Read(make([]byte, 10)); fault.Of(err) != want {
			t.Errorf("%q: Read = %v, want class %v", data, err, want)
		}
	}
}

func TestConnHeaderTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		go io.WriteString(a, "PROXY TCP4 ")
		c := NewConn(b, 3*time.Second)
		c.SetDeadline(time.Now().Add(time.Hour))
		begun := time.Now()
		_, err := c.Read(make([]byte, 1))
		if took := time.Since(begun); !errors.Is(err, fault.Timeout) || took != 3*time.Second {
			t.Errorf("Read = %v after %v, want a time-out after 3 s", err, took)
		}
	})
}

func TestConnKeepsTheUsersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		c := NewConn(b, time.Minute)
		begun := time.Now()
		c.SetReadDeadline(begun.Add(2 * time.Second))
		go io.WriteString(a, tcp4)
		if _, err := c.Header(); err != nil {
			t.Fatal(err)
		}
		_, err := c.Read(make([]byte, 1))
		if took := time.Since(begun); err == nil || took != 2*time.Second {
			t.Errorf("after the header: Read = %v after %v, want a time-out after 2 s", err, took)
		}
		c.SetReadDeadline(time.Time{})
		go func() { time.Sleep(time.Hour); io.WriteString(a, "x") }()
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("without a deadline: Read = %d, %v", n, err)
		}
	})
}

// A header that comes byte by byte, longer than the first buffer, is put together; what follows is not lost.
func TestConnHeaderInPieces(t *testing.T) {
	a, b := net.Pipe()
	h := golden[4].want
	h.TLVs = []TLV{{TypeUniqueID, []byte(strings.Repeat("u", 3000))}}
	h.Checksum = true
	wire, err := h.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range wire {
			a.Write(wire[i : i+1])
		}
		io.WriteString(a, "body")
		a.Close()
	}()
	c := NewConn(b, time.Minute)
	if body, err := io.ReadAll(c); string(body) != "body" || err != nil {
		t.Errorf("read %q, %v", body, err)
	}
	if got, _ := c.Header(); !got.Checksum || len(got.TLVs) != 1 || got.Source != h.Source {
		t.Errorf("header %+v", got)
	}
}
