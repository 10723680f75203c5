package lbd

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// secureMember is a backend that speaks TLS and wants a certificate of its authority's; it answers with what it was asked.
func secureMember(t *testing.T, certs *labtest.Certs) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			who = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprintf(w, "%s asked %s for %s by %s", who, r.TLS.ServerName, r.URL.Path, r.Header.Get("X-Forwarded-Proto"))
	}))
	s.TLS = certs.Server()
	s.TLS.ClientAuth, s.TLS.ClientCAs = tls.VerifyClientCertIfGiven, certs.Pool
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// asker asks over TLS, on a connection each time.
func asker(t *testing.T, b *balancer, config *tls.Config) func(name, path string) string {
	return func(name, path string) string {
		t.Helper()
		c := config.Clone()
		c.ServerName = name
		conn, err := tls.Dial("tcp", b.addr, c)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, name)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err.Error()
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		return fmt.Sprint(res.StatusCode, " ", string(body))
	}
}

// TLS on both sides: certificates by name, routes by it and by the client's certificate, members that are verified.
func TestTLSOnBothSides(t *testing.T) {
	dir := t.TempDir()
	front, back := labtest.NewCerts(t, "a.test", "b.test", "127.0.0.1"), labtest.NewCerts(t, "backend.test")
	addr := secureMember(t, back)
	yaml := func(section, pool string) string {
		return "listen: [{addr: '127.0.0.1:0', tls: web}]\n" +
			"tls: {web: {certificates: " + bothIn(t, filepath.Join(dir, "a.pem"), front) + section + "}}\n" +
			"routes:\n- {tls_name: b.test, answer: {body: by name}}\n- {path: /plain, scheme: http, answer: {body: plain}}\n" +
			"- {path: /who, tls_client: '*', answer: {body: 'known'}}\n- {pool: web}\n" +
			"pools: {web: {check: {interval: 200ms, timeout: 200ms}, members: [{addr: '" + addr + "'}], tls: " + pool + "}}\n"
	}
	pair := fmt.Sprintf("cert: '%s', key: '%s'", back.CertFile, back.KeyFile)
	b := start(t, yaml("", "{ca: '"+back.CAFile+"', server_name: backend.test, "+pair+"}"))
	config := front.Client()
	config.Certificates = nil
	get := asker(t, b, config)
	f := func(name, path, want string) {
		t.Helper()
		if got := get(name, path); got != want {
			t.Errorf("%s %s: %q, want %q", name, path, got, want)
		}
	}
	f("a.test", "/x", "200 backend.test asked backend.test for /x by https")
	f("a.test", "/plain", "200 backend.test asked backend.test for /plain by https")
	f("B.test", "/x", "200 by name")
	f("a.test", "/who", "200 backend.test asked backend.test for /who by https")
	if got := get("c.test", "/"); !strings.Contains(got, "certificate is valid for a.test") {
		t.Errorf("another name: %s", got)
	}
	// Members that cannot be verified are not asked.
	b.reload(yaml("", "{ca: '"+front.CAFile+"', server_name: backend.test}"))
	f("a.test", "/x", "503 503 Service Unavailable\n")
	b.reload(yaml("", "{ca: '"+back.CAFile+"', server_name: other.test}"))
	f("a.test", "/x", "503 503 Service Unavailable\n")
	b.reload(yaml("", "{insecure: true}"))
	f("a.test", "/x", "200 nobody asked  for /x by https")
	// Clients by certificate.
	b.reload(yaml(", clients: {ca: '"+front.CAFile+"'}", "{insecure: true}"))
	if got := get("a.test", "/who"); !strings.Contains(got, "certificate required") {
		t.Errorf("without a certificate: %s", got)
	}
	get = asker(t, b, front.Client())
	f("a.test", "/who", "200 known")
	text := metrics(t, b)
	for _, want := range []string{
		`everup_lbd_tls_handshakes_total{side="client",version="1.3",resumed="no"}`,
		`everup_lbd_tls_handshakes_total{side="member",version="1.3",resumed="no"}`,
		`everup_lbd_connection_failures_total{side="member",reason="certificate"}`,
		`everup_lbd_connection_failures_total{side="client",reason="certificate"}`,
		`everup_lbd_tls_handshake_seconds_count{side="client",resumed="no"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s:\n%s", want, text)
		}
	}
}

// Sessions are resumed, over reloads too.
func TestTLSResumed(t *testing.T) {
	dir := t.TempDir()
	front := labtest.NewCerts(t, "a.test")
	yaml := "listen: [{addr: '127.0.0.1:0', tls: web}]\ntls: {web: " + bothIn(t, filepath.Join(dir, "a.pem"), front) + "}\n" +
		"routes: [{answer: {body: ok}}]\n"
	yaml = strings.Replace(yaml, "tls: {web: "+dir+"/a.pem}", "tls: {web: {certificates: "+dir+"/a.pem}}", 1)
	b := start(t, yaml)
	config := front.Client()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	get := asker(t, b, config)
	for range 3 {
		if got := get("a.test", "/"); got != "200 ok" {
			t.Error(got)
		}
		b.reload(yaml)
	}
	if want := `everup_lbd_tls_handshakes_total{side="client",version="1.3",resumed="yes"} 2`; !strings.Contains(metrics(t, b), want) {
		t.Errorf("metrics lack %s:\n%s", want, metrics(t, b))
	}
}

// Real clients over TLS.
func TestTLSWithCurl(t *testing.T) {
	labtest.Needs(t, "curl")
	dir := t.TempDir()
	front := labtest.NewCerts(t, "127.0.0.1")
	big := strings.Repeat("0123456789abcdef", 1<<16)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
			return
		}
		io.WriteString(w, big)
	}))
	defer s.Close()
	b := start(t, "listen: [{addr: '127.0.0.1:0', tls: web}]\ntls: {web: {certificates: "+bothIn(t, filepath.Join(dir, "a.pem"), front)+"}}\n"+
		poolYAML("", s.Listener.Addr().String()))
	url := "https://" + b.addr + "/"
	f := func(want string, args ...string) {
		t.Helper()
		out := run(t, "curl", append([]string{"-sS", "--cacert", front.CAFile, "--max-time", "20"}, args...)...)
		if out != want {
			t.Errorf("%v: %d bytes: %.100q", args, len(out), out)
		}
	}
	f(big, url)
	f(big+big, url, url)
	f("1048576", "--data-binary", "@"+write(t, dir, big), url)
	f("1048576", "-H", "Transfer-Encoding: chunked", "--data-binary", "@"+write(t, dir, big), "--tls-max", "1.2", url)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %v: %v", name, args, err)
	}
	return string(out)
}

func write(t *testing.T, dir, content string) string {
	t.Helper()
	path := filepath.Join(dir, "content")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The log says how TLS was agreed on, and what that took; of the first request of a connection only.
func TestTLSIsLogged(t *testing.T) {
	dir := t.TempDir()
	front := labtest.NewCerts(t, "a.test", "127.0.0.1")
	path := filepath.Join(dir, "a.log")
	b := start(t, "listen: [{addr: '127.0.0.1:0', tls: web}]\ntls: {web: {certificates: "+bothIn(t, filepath.Join(dir, "a.pem"), front)+"}}\n"+
		"access_log: {file: "+path+", format: template, template: '$scheme $tls $tls_cipher $tls_name $handshake'}\nroutes: [{answer: {body: x}}]\n")
	config := front.Client()
	config.ServerName, config.MaxVersion = "a.test", tls.VersionTLS13
	conn, err := tls.Dial("tcp", b.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
	io.Copy(io.Discard, conn)
	got := lines(t, path, 2)
	first := "https TLSv1.3 " + tls.CipherSuiteName(conn.ConnectionState().CipherSuite) + " a.test 0."
	if !strings.HasPrefix(got[0], first) || strings.HasSuffix(got[0], " 0.000000\n") || !strings.HasSuffix(got[1], " a.test 0.000000\n") {
		t.Errorf("%q, want %s…", got, first)
	}
}
