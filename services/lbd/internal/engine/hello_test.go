package engine

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/limit"
	"github.com/everup/everup/shared/netio/proxyproto"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// peerSite answers each request itself with what it knows of the client.
func peerSite() *site {
	s := &site{}
	s.plan = func(r *Request, p *Plan) {
		name := "-"
		if r.TLS != nil {
			name = r.TLS.ServerName
		}
		*p = Plan{Status: 200, Type: "text/plain", Body: fmt.Sprint(r.Peer, " ", name), Read: patience, Write: patience}
	}
	return s
}

const ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

// raw sends pieces on a new connection and returns what comes back, without the head.
func (r *rig) raw(t *testing.T, pieces ...string) (body string) {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * patience))
	for _, p := range pieces {
		io.WriteString(c, p) // it may be closed by now
	}
	got, _ := io.ReadAll(c)
	_, body, _ = strings.Cut(string(got), "\r\n\r\n")
	return body
}

// told fails the test unless those were the faults of what has begun since it was last asked.
func (r *rig) told(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	labtest.Eventually(t, patience, "what was told", func() error {
		for _, b := range r.begun.take() {
			got = append(got, b.Fault)
		}
		if len(got) < len(want) {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	if !slices.Equal(got, want) {
		t.Errorf("told were %q, want %q", got, want)
	}
}

func header(t *testing.T, h proxyproto.Header) string {
	t.Helper()
	b, err := h.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestProxyHeaderIn(t *testing.T) {
	client, local := netip.MustParseAddrPort("192.0.2.1:5000"), netip.MustParseAddrPort("198.51.100.7:443")
	v1 := header(t, proxyproto.Header{Version: 1, Transport: proxyproto.TCP, Source: client, Destination: local})
	v2 := header(t, proxyproto.Header{Version: 2, Transport: proxyproto.TCP, Source: client, Destination: local, Checksum: true})
	long := header(t, proxyproto.Header{
		Version: 2, Transport: proxyproto.TCP, Source: client, Destination: local, TLVs: []proxyproto.TLV{{Type: 0xe0, Value: make([]byte, 3000)}},
	})
	own := header(t, proxyproto.Header{Version: 2, Local: true})
	f := func(o *Opening, want string, fault string, pieces ...string) {
		t.Helper()
		r := startWith(t, peerSite(), o)
		body := r.raw(t, pieces...)
		if want == "own" {
			want = "127.0.0.1:"
			body = body[:min(len(body), len(want))]
		}
		if body != want {
			t.Errorf("%.60q: the answer is %q, want %q", pieces, body, want)
		}
		if fault == "" {
			r.told(t)
		} else {
			r.told(t, fault)
		}
	}
	require := &Opening{Proxy: ProxyRequire, Trusted: loopback}
	accept := &Opening{Proxy: ProxyAccept, Trusted: loopback}
	for _, o := range []*Opening{require, accept} {
		f(o, "192.0.2.1:5000 -", "", v1+ask)
		f(o, "192.0.2.1:5000 -", "", v2+ask)
		f(o, "192.0.2.1:5000 -", "", long, ask)
		f(o, "192.0.2.1:5000 -", "", strings.Split(v1+ask, "")...)
		f(o, "192.0.2.1:5000 -", "", strings.Split(v2+ask, "")...)
		f(o, "own", "", own+ask)
		f(o, "own", "", "PROXY UNKNOWN\r\n"+ask)
		f(o, "", FaultBadHeader, "PROXY TCP4 192.0.2.1 192.0.2.2 70000 80\r\n"+ask)
		f(o, "", FaultBadHeader, "PROXY "+strings.Repeat("x", 200)+ask)
		f(o, "", FaultBadHeader, v2[:12]+"\x21\x11\xff\xff"+ask)
	}
	f(require, "", FaultNoHeader, ask)
	f(accept, "own", "", ask)
	f(accept, "400 Bad Request\n", "", v1+v1+ask) // a second one is the client's own
	stranger := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	f(&Opening{Proxy: ProxyRequire, Trusted: stranger}, "", FaultStranger, v1+ask)
	f(&Opening{Proxy: ProxyAccept, Trusted: stranger}, "400 Bad Request\n", "", v1+ask)
	f(&Opening{Proxy: ProxyAccept, Trusted: stranger}, "own", "", ask)
	f(new(Opening), "400 Bad Request\n", "", v1+ask)
}

// A header that the peer's end cuts is told at once, not after the time-out.
func TestProxyHeaderCut(t *testing.T) {
	r := startWith(t, peerSite(), &Opening{Proxy: ProxyRequire, Trusted: loopback})
	for _, sent := range []string{"", "PROXY TCP4 192.0"} {
		c, _ := r.dial(t)
		io.WriteString(c, sent)
		c.(closeWriter).CloseWrite()
		began := time.Now()
		// What was sent and not read makes the end a reset.
		if got, _ := io.ReadAll(c); len(got) > 0 || time.Since(began) > patience/2 {
			t.Errorf("%q: %q after %v", sent, got, time.Since(began))
		}
		r.told(t, "closed")
	}
}

func TestProxyHeaderBeforeTLS(t *testing.T) {
	certs := labtest.NewCerts(t)
	r := startWith(t, peerSite(), &Opening{Proxy: ProxyRequire, Trusted: loopback, TLS: certs.Server()})
	c, _ := r.dial(t)
	io.WriteString(c, "PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\n")
	config := certs.Client()
	config.ServerName = "localhost"
	s := tls.Client(c, config)
	io.WriteString(s, ask)
	got, err := io.ReadAll(s)
	if !strings.HasSuffix(string(got), "\r\n\r\n[2001:db8::1]:5000 localhost") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if b := r.begun.take(); len(b) != 1 || b[0].Fault != "" || b[0].TLS == nil || b[0].Took <= 0 || b[0].Peer.Port() != 5000 {
		t.Errorf("told was %+v", b)
	}
}

func TestRefusedByTLS(t *testing.T) {
	certs := labtest.NewCerts(t)
	server := certs.Server()
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, certs.Pool
	r := startWith(t, peerSite(), &Opening{TLS: server})
	f := func(want string, sent ...string) {
		t.Helper()
		if body := r.raw(t, sent...); body != "" {
			t.Errorf("%.20q: %q", sent, body)
		}
		r.told(t, want)
	}
	f("not-tls", ask)
	f("not-tls", "\x80\x2e\x01\x00\x02", strings.Repeat("x", 100))
	f("too-long", "\x16\x03\x01\x00\x04\x01\xff\xff\xff")
	config := certs.Client()
	config.ServerName = "localhost"
	config.Certificates = nil
	c, _ := r.dial(t)
	s := tls.Client(c, config)
	io.WriteString(s, ask)
	if _, err := io.ReadAll(s); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	r.told(t, "certificate")
}

func TestHandshakesPerSource(t *testing.T) {
	certs := labtest.NewCerts(t)
	r := startWith(t, peerSite(), &Opening{TLS: certs.Server()})
	rate, err := limit.NewRate(1, time.Hour, 3)
	if err != nil {
		t.Fatal(err)
	}
	r.SetHandshakeRate(rate)
	r.client = certs.Client()
	r.client.ServerName = "localhost"
	good := 0
	for range 5 {
		c, in := r.dial(t)
		io.WriteString(c, ask)
		if b, err := io.ReadAll(in); err == nil && len(b) > 0 {
			good++
		}
	}
	if good != 3 {
		t.Errorf("%d went well", good)
	}
	r.told(t, "", "", "", FaultLimited, FaultLimited)
	r.SetHandshakeRate(limit.Rate{})
	for range 5 {
		c, in := r.dial(t)
		io.WriteString(c, ask)
		if b, err := io.ReadAll(in); err != nil || len(b) == 0 {
			t.Errorf("without a bound: %q, %v", b, err)
		}
	}
}

// exact is a connection whose end is an error, so that crypto/tls tells an end without close_notify from one with it.
type exact struct{ net.Conn }

var errCut = errors.New("cut")

func (c exact) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = errCut
	}
	return n, err
}

// An answer that is whole ends with close_notify, one that is not without.
func TestEndsByTLS(t *testing.T) {
	member := scripted(t, func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\n"+strings.TrimPrefix(req.URL.RawQuery, "q=")+"\r\n\r\nhello")
	})
	certs := labtest.NewCerts(t)
	r := startWith(t, &site{members: []netip.AddrPort{member}}, &Opening{TLS: certs.Server()})
	config := certs.Client()
	config.ServerName = "localhost"
	f := func(query, version string, want error) {
		t.Helper()
		c, _ := r.dial(t)
		s := tls.Client(exact{c}, config)
		fmt.Fprintf(s, "GET /?%s HTTP/%s\r\nHost: a\r\nConnection: close\r\n\r\n", query, version)
		if got, err := io.ReadAll(s); err != want || !strings.HasSuffix(string(got), "hello") && version == "1.0" {
			t.Errorf("%s: %q, %v", query, got, err)
		}
	}
	f("q=Content-Length:5", "1.1", nil)
	f("q=X:1", "1.0", nil)
	f("q=Content-Length:9", "1.1", errCut)
	f("q=Content-Length:9", "1.0", errCut)
}

// A client that begins a handshake and does not go on has the head's time.
func TestLateHandshake(t *testing.T) {
	certs := labtest.NewCerts(t)
	r := startPatient(t, peerSite(), &Opening{TLS: certs.Server()}, 100*time.Millisecond)
	c, _ := r.dial(t)
	io.WriteString(c, "\x16\x03\x01")
	if _, err := io.ReadAll(c); err != nil {
		t.Error(err)
	}
	r.told(t, FaultLate)
}

// A listener begins its next connections in another way once it is told to.
func TestOpenAnew(t *testing.T) {
	certs := labtest.NewCerts(t)
	r := start(t, peerSite())
	if r.raw(t, ask) == "" {
		t.Error("no plain answer")
	}
	r.listener.Open(&Opening{TLS: certs.Server()})
	if body := r.raw(t, ask); body != "" {
		t.Errorf("%q", body)
	}
	r.told(t, "not-tls")
}
