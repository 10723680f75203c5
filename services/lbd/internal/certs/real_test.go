package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/everup/everup/shared/labtest"
)

// serve answers requests with who asks, by a front, and returns its port.
func serve(t *testing.T, f *Front) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, r.TLS.ServerName)
		if c := ClientOf(r.TLS); c != nil {
			io.WriteString(w, " "+c.Subject)
		}
	})}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(tls.NewListener(l, f.Config(false))) })
	t.Cleanup(func() { s.Close(); wg.Wait() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// program runs a program and returns all that it prints.
func program(t *testing.T, input, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin = strings.NewReader(input)
	out, err := c.CombinedOutput()
	return string(out), err
}

func TestCurl(t *testing.T) {
	labtest.Needs(t, "curl")
	a, d := newAuthority(t, "ca"), newDir(t)
	ca := d.write("ca.pem", a.pem())
	o := defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both()), d.write("w.pem", a.issue(kindRSA, []string{"*.w.test"}).both()))...)
	o.Clients = &Clients{CA: ca, CRL: d.write("crl.pem", a.crl(time.Now().Add(day)))}
	port := serve(t, newKeep(t).put(o))
	me := a.issue(kindECDSA, nil)
	d.write("me.pem", me.both())
	f := func(host, want string, args ...string) {
		t.Helper()
		out, err := program(t, "", "curl", append([]string{"-sS", "-m", "15", "--cacert", ca, "--resolve", host + ":" + port + ":127.0.0.1",
			"https://" + host + ":" + port + "/"}, args...)...)
		if err != nil {
			if e := (*exec.ExitError)(nil); !errors.As(err, &e) || !strings.HasPrefix(want, "error ") {
				t.Errorf("%s %v: %v: %s", host, args, err, out)
				return
			}
			out = "error " + out
		}
		if !strings.Contains(out, strings.TrimPrefix(want, "error ")) || want == "" && out != "" {
			t.Errorf("%s %v: %q, want %q", host, args, out, want)
		}
	}
	f("a.test", "a.test")
	f("x.w.test", "x.w.test")
	f("b.test", "error no alternative certificate subject name matches")
	f("a.test", "a.test", "--tls-max", "1.2")
	f("x.w.test", "x.w.test", "--tls-max", "1.2", "--ciphers", "ECDHE-RSA-CHACHA20-POLY1305")
	f("a.test", "error alert", "--tls-max", "1.2", "--ciphers", "AES128-SHA")
	f("a.test", "a.test", "-0")
	f("a.test", "a.test CN=subject of,O=Test", "--cert", d.at("me.pem"))
}

// A session of openssl's that was made at one lbd is resumed at another, with either version; OCSP answers are stapled.
func TestOpenSSL(t *testing.T) {
	labtest.Needs(t, "openssl")
	a, d := newAuthority(t, "ca"), newDir(t)
	c := a.issue(kindECDSA, []string{"a.test"})
	o := defaults(sources(d.write("a.pem", c.both()))...)
	d.write("a.pem.ocsp", a.answer(c, ocsp.Good, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
	ca := d.write("ca.pem", a.pem())
	one, two, strict := serve(t, newKeep(t).put(o)), serve(t, newKeep(t).put(o)), o
	strict.Strict = true
	connect := func(port, name string, args ...string) string {
		t.Helper()
		out, _ := program(t, "GET / HTTP/1.0\r\n\r\n", "openssl", append([]string{"s_client", "-connect", "127.0.0.1:" + port, "-servername", name,
			"-CAfile", ca, "-ign_eof"}, args...)...)
		return out
	}
	has := func(out string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("it lacks %q:\n%s", w, out)
			}
		}
	}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		session := d.at("session" + version)
		has(connect(one, "a.test", version, "-status", "-sess_out", session),
			"Verify return code: 0 (ok)", "OCSP Response Status: successful", "Cert Status: good", "\nNew, TLSv1", "200 OK")
		has(connect(two, "a.test", version, "-sess_in", session), "\nReused, TLSv1", "200 OK")
	}
	has(connect(one, "a.test", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "alert protocol version")
	has(connect(serve(t, newKeep(t).put(strict)), "b.test"), "tlsv1 unrecognized name")
}
