package lbd

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
	"github.com/google/go-cmp/cmp"
)

// tlsBrowser returns a client that trusts an authority, finds lbd's address whatever the URL's host, and follows no redirection.
func tlsBrowser(t testing.TB, addr string, trust *tls.Config) *http.Client {
	c := client(t)
	tr := c.Transport.(*http.Transport)
	tr.TLSClientConfig = trust
	tr.DialContext = dialTo(addr)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

func dialTo(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}

// told is a backend that answers with what it is told of the client.
func told(t testing.TB) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s [%s] [%s]", r.Host, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Client"), r.Header.Get("X-Subject"))
	})
}

// TLS in front, as operators set it up: redirection from plain, names, HSTS, and clients with certificates.
func TestTLSInFront(t *testing.T) {
	dir := t.TempDir()
	files, others := labtest.NewCerts(t, "a.test", "*.a.test"), labtest.NewCerts(t, "b.test")
	plain, secure := labtest.FreeAddr(t), labtest.FreeAddr(t)
	b := start(t, `listen: ['`+plain+`', {addr: '`+secure+`', tls: web}]
tls:
  web:
    certificates: ['`+bothIn(t, filepath.Join(dir, "a.pem"), files)+`', '`+bothIn(t, filepath.Join(dir, "b.pem"), others)+`']
    clients: {mode: optional, ca: '`+files.CAFile+`'}
routes:
  - {scheme: http, redirect: {to: "https://$host$target", status: 308}}
  - {hsts: {max_age: 1d}}
  - {path: /admin, not: {tls_client: "*"}, deny: true}
  - {tls_name: b.test, answer: {body: "this is b\n"}}
  - {request_headers: {set: {X-Client: "$tls_client", X-Subject: "$tls_client_subject $tls_client_names"}}, pool: web}
pools: {web: {members: [{addr: '`+told(t)+`'}]}}
`)
	f := func(addr string, trust *tls.Config, url string, status int, want string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Client", "forged")
		res, err := tlsBrowser(t, addr, trust).Do(req)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		got := string(body)
		if l := res.Header.Get("Location"); l != "" {
			got = l
		}
		if res.StatusCode != status || got != want {
			t.Errorf("%s: %d %q, want %d %q", url, res.StatusCode, got, status, want)
		}
		hsts := ""
		if strings.HasPrefix(url, "https:") {
			hsts = "max-age=86400"
		}
		if h := res.Header.Get("Strict-Transport-Security"); h != hsts {
			t.Errorf("%s: HSTS %q", url, h)
		}
	}
	nobody := &tls.Config{RootCAs: files.Pool}
	f(plain, nil, "http://www.a.test/x?y=1", 308, "https://www.a.test/x?y=1")
	f(secure, nobody, "https://a.test/", 200, "a.test https [] []")
	f(secure, nobody, "https://www.a.test/", 200, "www.a.test https [] []")
	f(secure, &tls.Config{RootCAs: others.Pool}, "https://b.test/", 200, "this is b\n")
	f(secure, nobody, "https://a.test/admin", 403, "403 Forbidden\n")
	f(secure, files.Client(), "https://a.test/admin", 200, "a.test https [a.test] [CN=a.test DNS:a.test, DNS:*.a.test]")
	stranger := others.Client()
	stranger.RootCAs = files.Pool
	if res, err := tlsBrowser(t, secure, stranger).Get("https://a.test/"); err == nil {
		res.Body.Close()
		t.Errorf("a client of another authority is let in: %s", res.Status)
	}
	var ends []string // as the fleet is told
	for _, e := range b.Env().Fleet.View().Members[0].Endpoints {
		ends = append(ends, e.Name+" "+e.Addr.String())
	}
	if d := cmp.Diff([]string{"http " + plain, "https " + secure}, ends); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Certificates change under load, and an address that was plain takes TLS with a reload: no request fails.
func TestCertificatesChangeUnderLoad(t *testing.T) {
	dir := t.TempDir()
	files := labtest.NewCerts(t, "127.0.0.1")
	path := bothIn(t, filepath.Join(dir, "a.pem"), files)
	addr := labtest.FreeAddr(t)
	yaml := "listen: [{addr: '" + addr + "', tls: web}]\ntls: {web: {certificates: " + path + "}}\n" + poolYAML("", backend(t, "x").addr)
	b := start(t, "listen: ['"+addr+"']\n"+poolYAML("", backend(t, "x").addr))
	get(t, client(t), "http://"+addr)
	b.reload(yaml)
	stop, ended := make(chan struct{}), make(chan struct{})
	var n int
	var failed []string
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			c := client(t)
			c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // authorities change with the certificates
			if why := tryGet(c, "https://"+addr); why != "" {
				failed = append(failed, why)
			}
			c.CloseIdleConnections()
			n++
		}
	}()
	for range 10 {
		bothIn(t, path, labtest.NewCerts(t, "127.0.0.1"))
		b.reload(yaml)
	}
	close(stop)
	<-ended
	if n < 5 || len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %.3q", len(failed), n, failed)
	}
	if res, err := client(t).Get("http://" + addr); err == nil {
		res.Body.Close()
		t.Error("plain HTTP is answered where TLS is spoken")
	}
}
