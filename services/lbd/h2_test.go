package lbd

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/everup/everup/shared/labtest"
)

// An address with http2 speaks it beside HTTP/1.1: over TLS by ALPN, without TLS by its preface; one without it does not. A reload may
// change that.
func TestHTTP2(t *testing.T) {
	certs := labtest.NewCerts(t, "a.test", "127.0.0.1")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.URL) }))
	t.Cleanup(s.Close)
	member := strings.TrimPrefix(s.URL, "http://")
	pem := bothIn(t, filepath.Join(t.TempDir(), "a.pem"), certs)
	yaml := func(listen string) string {
		return "listen: [{addr: '127.0.0.1:0', " + listen + "}]\ntls: {web: {certificates: " + pem + "}}\n" +
			"routes: [{pool: web}]\npools: {web: {check: {interval: 200ms, timeout: 200ms}, members: [{addr: '" + member + "'}]}}\n"
	}
	plain := start(t, yaml("http2: true"))
	secure := start(t, yaml("tls: web, http2: true"))
	f := func(b *balancer, scheme, want string) {
		t.Helper()
		config := certs.Client()
		config.ServerName, config.Certificates = "a.test", nil
		tr := &http2.Transport{TLSClientConfig: config, AllowHTTP: true}
		if scheme == "http" {
			tr.DialTLSContext = func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
		}
		defer tr.CloseIdleConnections()
		req, _ := http.NewRequest("GET", scheme+"://"+b.addr+"/x?y", nil)
		req.Host = "a.test"
		res, err := tr.RoundTrip(req)
		if err != nil {
			if want != "" {
				t.Error(err)
			}
			return
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != want {
			t.Errorf("%q, %v, want %q", body, err, want)
		}
	}
	f(plain, "http", "a.test/x?y")
	f(secure, "https", "a.test/x?y")
	if got := raw(t, plain.addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "a/") {
		t.Errorf("HTTP/1.1 beside it: %q", got)
	}
	if got := asker(t, secure, certs.Client())("a.test", "/"); got != "200 a.test/" {
		t.Errorf("HTTP/1.1 beside it: %q", got)
	}
	plain.reload(yaml("http2: false"))
	f(plain, "http", "")
}

// A pool with http2 is spoken to by it, whatever the client speaks.
func TestHTTP2Behind(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, r.Host, r.URL) }))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.Protocols.SetHTTP1(true)
	s.Start()
	t.Cleanup(s.Close)
	yaml := func(more string) string {
		return "routes: [{pool: web}]\npools: {web: {check: {interval: 200ms, timeout: 200ms}, members: [{addr: '" +
			strings.TrimPrefix(s.URL, "http://") + "'}], " + more + "}}\n"
	}
	b := start(t, yaml("http2: true"))
	const ask = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	if got := raw(t, b.addr, ask); !strings.HasSuffix(got, "HTTP/2.0a/x") {
		t.Errorf("%q", got)
	}
	b.reload(yaml("http2: false"))
	if got := raw(t, b.addr, ask); !strings.HasSuffix(got, "HTTP/1.1a/x") {
		t.Errorf("%q", got)
	}
}
