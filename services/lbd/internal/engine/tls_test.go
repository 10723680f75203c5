package engine

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/netio/proxyproto"
)

// named speaks TLS with members by the host of their name.
func named(certs *labtest.Certs) func(string) *tls.Config {
	return func(host string) *tls.Config {
		c := certs.Client()
		c.ServerName = host
		return c
	}
}

// record returns the nth record from 1, which may come after its answer.
func (s *site) record(t *testing.T, n int) (rec Record) {
	t.Helper()
	labtest.Eventually(t, 5*time.Second, "a record", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.records) < n {
			return fmt.Errorf("%d are there", len(s.records))
		}
		rec = s.records[n-1]
		return nil
	})
	return rec
}

// get asks the engine and returns status and content.
func (r *rig) get(t *testing.T, path string) string {
	t.Helper()
	c, url := r.http(t)
	res, err := c.Get(url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprint(res.StatusCode, " ", string(b))
}

// A member that cannot prove who it is gets no request; another one does.
func TestMemberNotVerified(t *testing.T) {
	certs, others := labtest.NewCerts(t), labtest.NewCerts(t)
	hello := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }
	bad, good := backendOver(t, others.Server(), func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }), backendOver(t, certs.Server(), hello)
	s := &site{members: []netip.AddrPort{bad, good}}
	s.via = &Transport{TLS: named(certs)}
	r := start(t, s)
	if got := r.get(t, "/"); got != "200 hello" {
		t.Error(got)
	}
	s.mu.Lock()
	failed, retried := s.failed, s.retried
	s.members = s.members[:1]
	s.mu.Unlock()
	if failed != 1 || retried != 1 {
		t.Errorf("%d failures, %d retries", failed, retried)
	}
	r.told(t, "certificate", "")
	if got := r.get(t, "/"); got != "503 503 Service Unavailable\n" {
		t.Error(got)
	}
	if rec := s.record(t, 2); rec.Reason != SecureError {
		t.Errorf("the reason is %q", rec.Reason)
	}
}

// A member that accepts and does not go on with the handshake has the time for a connection.
func TestMemberHandshakeStandsStill(t *testing.T) {
	quiet := scripted(t, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	certs := labtest.NewCerts(t)
	s := &site{members: []netip.AddrPort{quiet}}
	s.via = &Transport{TLS: named(certs)}
	s.plan = func(_ *Request, p *Plan) { p.Connect, p.Retries = 100*time.Millisecond, 0 }
	r := start(t, s)
	if got := r.get(t, "/"); got != "503 503 Service Unavailable\n" {
		t.Error(got)
	}
	r.told(t, FaultLate)
	if rec := s.record(t, 1); rec.Reason != SecureError {
		t.Errorf("the reason is %q", rec.Reason)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != 1 {
		t.Errorf("%d failures", s.failed)
	}
}

// An answer that ends with its connection is not whole if TLS does not say so.
func TestMemberCutsTLS(t *testing.T) {
	certs := labtest.NewCerts(t)
	member := scripted(t, func(c net.Conn, r *bufio.Reader) {
		s := tls.Server(struct{ net.Conn }{c}, certs.Server())
		req, err := http.ReadRequest(bufio.NewReader(s))
		if err != nil {
			return
		}
		io.WriteString(s, "HTTP/1.1 200 OK\r\n\r\nhello")
		if req.URL.Path == "/whole" {
			s.CloseWrite()
		}
	})
	// The script's reader is not used: it has read nothing yet.
	s := &site{members: []netip.AddrPort{member}}
	s.via = &Transport{TLS: named(certs)}
	r := start(t, s)
	f := func(path string, whole bool) {
		t.Helper()
		c, in := r.dial(t)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path)
		b, err := io.ReadAll(in)
		if strings.HasSuffix(string(b), "5\r\nhello\r\n0\r\n\r\n") != whole || err != nil {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	f("/whole", true)
	f("/cut", false)
}

// Idle connections of TLS are used again, in spite of tickets that come late; those of another transport or name are not.
func TestMemberReusedOverTLS(t *testing.T) {
	certs := labtest.NewCerts(t)
	b := backendOver(t, certs.Server(), func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.TLS.ServerName+" "+r.RemoteAddr) })
	s := &site{members: []netip.AddrPort{b}}
	via := func(name string) *Transport {
		return &Transport{TLS: func(string) *tls.Config {
			c := certs.Client()
			c.ServerName = name
			return c
		}}
	}
	s.via = via("localhost")
	r := start(t, s)
	ask := func() string {
		got := r.get(t, "/")
		labtest.Eventually(t, 5*time.Second, "an idle connection", func() error {
			if r.idle.Len() == 0 {
				return fmt.Errorf("none is idle")
			}
			return nil
		})
		return got
	}
	first := ask()
	for range 5 {
		if got := ask(); got != first {
			t.Errorf("%q after %q", got, first)
		}
	}
	s.mu.Lock()
	s.via = via("localhost")
	s.mu.Unlock()
	if got := ask(); got == first {
		t.Error("a connection of another transport was used")
	}
}

// A transport may want a connection for each request.
func TestMemberFresh(t *testing.T) {
	seen := map[string]bool{}
	b := backend(t, func(w http.ResponseWriter, r *http.Request) {
		seen[r.RemoteAddr] = true
		fmt.Fprint(w, r.Close)
	})
	s := &site{members: []netip.AddrPort{b}, via: &Transport{Fresh: true}}
	r := start(t, s)
	for range 3 {
		if got := r.get(t, "/"); got != "200 true" {
			t.Error(got)
		}
	}
	if len(seen) != 3 || r.idle.Len() != 0 {
		t.Errorf("%d connections, %d idle", len(seen), r.idle.Len())
	}
}

// Members are told of the client by the PROXY header, before TLS.
func TestProxyHeaderOut(t *testing.T) {
	certs := labtest.NewCerts(t)
	heard := make(chan proxyproto.Header, 10)
	member := func(config *tls.Config) netip.AddrPort {
		return scripted(t, func(c net.Conn, _ *bufio.Reader) {
			p := proxyproto.NewConn(c, 0)
			h, err := p.Header()
			if err != nil {
				t.Error(err)
			}
			heard <- h
			c = net.Conn(p)
			if config != nil {
				c = tls.Server(p, config)
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
	}
	f := func(version int, config *tls.Config) {
		t.Helper()
		s := &site{members: []netip.AddrPort{member(config)}, via: &Transport{Proxy: version}}
		if config != nil {
			s.via.TLS = named(certs)
		}
		r := startWith(t, s, &Opening{Proxy: ProxyAccept, Trusted: loopback})
		c, in := r.dial(t)
		for range 2 {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(res.Body); string(b) != "ok" {
				t.Errorf("the answer is %q", b)
			}
			h := <-heard
			want := proxyproto.Header{
				Version: version, Transport: proxyproto.TCP, Source: netip.MustParseAddrPort(c.LocalAddr().String()), Destination: netip.MustParseAddrPort(r.addr),
			}
			if fmt.Sprint(h) != fmt.Sprint(want) {
				t.Errorf("the member heard %+v, want %+v", h, want)
			}
		}
		// What a proxy in front said is passed on.
		r.raw(t, "PROXY TCP4 192.0.2.1 198.51.100.7 5000 443\r\n"+ask)
		if h := <-heard; h.Source.String() != "192.0.2.1:5000" || h.Destination.String() != "198.51.100.7:443" {
			t.Errorf("the member heard %+v", h)
		}
	}
	f(1, nil)
	f(2, nil)
	f(2, certs.Server())
}

// A slow reader over TLS gets all, byte by byte what was sent.
func TestSlowReaderOverTLS(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	overAll(t, func(t *testing.T, o *over) {
		b := o.backend(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, big) })
		r := o.start(t, &site{members: []netip.AddrPort{b}})
		c, _ := r.dial(t)
		io.WriteString(c, "GET / HTTP/1.0\r\nHost: a\r\n\r\n")
		var got strings.Builder
		room := make([]byte, 777)
		for {
			n, err := c.Read(room)
			got.Write(room[:n])
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				break
			}
		}
		if _, body, _ := strings.Cut(got.String(), "\r\n\r\n"); body != big {
			t.Errorf("%d bytes came of %d", len(body), len(big))
		}
	})
}
