package lbd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/everup/everup/shared/netio/proxyproto"
)

// proxied is a backend behind the PROXY protocol, which answers with whom it takes for the client, and whether it is to close.
func proxied(t *testing.T) string {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &proxyproto.Listener{Listener: inner, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr, " ", r.Context().Value(http.LocalAddrContextKey), " ", r.Header.Get("X-Forwarded-For"), " ", r.Close)
	})}
	ended := make(chan struct{})
	go func() { s.Serve(l); close(ended) }()
	t.Cleanup(func() { s.Close(); <-ended })
	return inner.Addr().String()
}

// The PROXY protocol passes through, and a reload changes what is spoken at an address that stays open.
func TestProxyProtocol(t *testing.T) {
	addr := proxied(t)
	yaml := func(mode, more string) string {
		return "listen: [{addr: '127.0.0.1:0', proxy_protocol: " + mode + "}]\ntrusted: [127.0.0.0/8]\n" +
			"routes: [{pool: web}]\npools: {web: {check: {interval: 200ms, timeout: 200ms}, members: [{addr: '" + addr + "'}], " + more + "}}\n"
	}
	b := start(t, yaml("require", "proxy_protocol: v2"))
	const ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	f := func(send, want string) {
		t.Helper()
		res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw(t, b.addr, send))), nil)
		if err != nil {
			if want != "" {
				t.Errorf("%q: %v", send, err)
			}
			return
		}
		if body, _ := io.ReadAll(res.Body); string(body) != want {
			t.Errorf("%q: %q, want %q", send, body, want)
		}
	}
	const head = "PROXY TCP4 192.0.2.1 198.51.100.7 5000 80\r\n"
	f(head+ask, "192.0.2.1:5000 198.51.100.7:80 192.0.2.1 true")
	f(ask, "")
	if want := `everup_lbd_connection_failures_total{side="client",reason="proxy-missing"} 1`; !strings.Contains(metrics(t, b), want) {
		t.Errorf("metrics lack %s:\n%s", want, metrics(t, b))
	}
	b.reload(yaml("accept", "proxy_protocol: v1"))
	f(head+ask, "192.0.2.1:5000 198.51.100.7:80 192.0.2.1 true")
	if got := raw(t, b.addr, ask); !strings.Contains(got, " "+b.addr+" 127.0.0.1 true") {
		t.Errorf("without a header: %q", got)
	}
	b.reload(yaml("off", "proxy_protocol: v2, keep_alive: false"))
	f(head+ask, "400 Bad Request\n")
}

// A pool may want a connection for each request.
func TestKeepAliveOff(t *testing.T) {
	seen := map[string]bool{}
	closes := 0
	s := backend(t, "x")
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Forwarded-For") != "" { // no check
			seen[r.RemoteAddr] = true
			if r.Close {
				closes++
			}
		}
	})
	b := start(t, "routes: [{pool: web}]\npools: {web: {check: {interval: 200ms, timeout: 200ms}, keep_alive: false, members: [{addr: '"+s.addr+"'}]}}\n")
	c := client(t)
	for range 3 {
		get(t, c, b.url("/"))
	}
	if len(seen) != 3 || closes != 3 {
		t.Errorf("%d connections, %d of them told to close", len(seen), closes)
	}
}
