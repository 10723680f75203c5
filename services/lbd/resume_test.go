package lbd

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// inFleetOf is the configuration of a daemon in a fleet, of which it may be the first.
func inFleetOf(t *testing.T, gossip, join, secrets string) string {
	t.Helper()
	return fmt.Sprintf("cluster: {fleet: demo, listen: %q, join: [%q], secrets: [%s]}\nbus: {listen: %q, routes: %q}\n",
		gossip, join, secrets, labtest.FreeAddr(t), labtest.FreeAddr(t))
}

// webTLS is the section web of tls.
func webTLS(c *labtest.Certs) string {
	return fmt.Sprintf("tls: {web: {certificates: [{cert: %q, key: %q}]}}\n", c.CertFile, c.KeyFile)
}

// visitByTLS has a page over TLS on a connection of its own, behind which the tickets are, and returns what TLS came to.
func visitByTLS(addr string, config *tls.Config) (*tls.ConnectionState, error) {
	c, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, err
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "page" {
		return nil, fmt.Errorf("status %d: %q, %v", res.StatusCode, body, err)
	}
	s := c.ConnectionState()
	return &s, nil
}

// resumer returns a client's configuration that keeps one session.
func resumer(c *labtest.Certs, version uint16) *tls.Config {
	config := c.Client()
	config.ServerName, config.MinVersion, config.MaxVersion = "localhost", version, version
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return config
}

// TestSessionsAcrossProcesses: a session that one lbd of a fleet has made is resumed by another, also by one that has a newer secret
// before the old one; one of another fleet serves without.
func TestSessionsAcrossProcesses(t *testing.T) {
	const old, young = "0123456789abcdef0123", "another-0123456789abcdef"
	member, certs := echoes(t), labtest.NewCerts(t)
	a := labtest.FreeAddr(t)
	begin := func(node, gossip, join, secrets string) *program {
		t.Helper()
		return startProgram(t, node, member, ", tls: web, http2: true", webTLS(certs)+inFleetOf(t, gossip, join, secrets))
	}
	one, two := begin("n1", a, a, old), begin("n2", labtest.FreeAddr(t), a, old)
	rotated := begin("n3", labtest.FreeAddr(t), a, young+", "+old)
	alien := labtest.FreeAddr(t)
	stranger := begin("n4", alien, alien, young)
	f := func(what string, from, to *program, want bool) {
		t.Helper()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := resumer(certs, version)
			if s, err := visitByTLS(from.addr, config); err != nil || s.DidResume {
				t.Fatalf("%s, %s: a first visit: %+v, %v", what, tls.VersionName(version), s, err)
			}
			if s, err := visitByTLS(to.addr, config); err != nil || s.DidResume != want || s.Version != version {
				t.Errorf("%s, %s: %v, resumed %v, want %v", what, tls.VersionName(version), err, s != nil && s.DidResume, want)
			}
		}
	}
	f("the same", one, one, true)
	f("another of the fleet", one, two, true)
	f("and back", two, one, true)
	f("one with a newer secret", one, rotated, true)
	f("by the newer secret", rotated, one, false)
	f("another fleet", one, stranger, false)
	f("from another fleet", stranger, one, false)
	t.Run("openssl", func(t *testing.T) { resumeByOpenSSL(t, certs, one, two, stranger) })
}

// resumeByOpenSSL does so by OpenSSL's client, which keeps a session in a file.
func resumeByOpenSSL(t *testing.T, certs *labtest.Certs, one, two, stranger *program) {
	labtest.Needs(t, "openssl")
	session := filepath.Join(t.TempDir(), "session")
	ask := func(p *program, version string, more ...string) string {
		t.Helper()
		cmd := exec.Command("openssl", append([]string{"s_client", "-connect", p.addr, "-servername", "localhost", "-CAfile", certs.CAFile,
			"-verify_return_error", "-ign_eof", "-" + version}, more...)...)
		cmd.Stdin = strings.NewReader("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "\r\n\r\npage") {
			t.Errorf("openssl %v: %v\n%s", more, err, out)
		}
		for line := range strings.Lines(string(out)) {
			if kind, _, ok := strings.Cut(line, ", TLSv1."); ok {
				return kind
			}
		}
		return string(out)
	}
	for _, version := range []string{"tls1_2", "tls1_3"} {
		if got := ask(one, version, "-sess_out", session); got != "New" {
			t.Errorf("%s, a first visit: %s", version, got)
		}
		if got := ask(two, version, "-sess_in", session); got != "Reused" {
			t.Errorf("%s, another of the fleet: %s", version, got)
		}
		if got := ask(stranger, version, "-sess_in", session); got != "New" {
			t.Errorf("%s, another fleet: %s", version, got)
		}
	}
}

// TestSessionsLiveOn: a session is resumed after a reload that changes the certificate, and by the process that takes this one's place, in a
// fleet and alone.
func TestSessionsLiveOn(t *testing.T) {
	member := echoes(t)
	f := func(what, more string) {
		t.Helper()
		before, after := labtest.NewCerts(t), labtest.NewCerts(t)
		p := startProgram(t, "n1", member, ", tls: web, http2: true", webTLS(before)+more)
		configs := map[uint16]*tls.Config{tls.VersionTLS12: resumer(before, tls.VersionTLS12), tls.VersionTLS13: resumer(before, tls.VersionTLS13)}
		visits := func(when string, want bool) {
			t.Helper()
			for version, config := range configs {
				if s, err := visitByTLS(p.addr, config); err != nil || s.DidResume != want {
					t.Errorf("%s, %s, %s: %v, resumed %v, want %v", what, when, tls.VersionName(version), err, s != nil && s.DidResume, want)
				}
			}
		}
		visits("a first visit", false)
		visits("a second", true)
		p.reload(webTLS(before), webTLS(after))
		if s, err := visitByTLS(p.addr, resumer(after, tls.VersionTLS13)); err != nil || s.DidResume {
			t.Errorf("%s: the new certificate: %+v, %v", what, s, err)
		}
		visits("another certificate", true)
		if out, err := p.lbd("upgrade"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		visits("an upgrade", true)
		if err := p.cmd.Wait(); err != nil { // it was the successor that resumed the last
			t.Errorf("the old process: %v", err)
		}
		visits("the old process has ended", true)
	}
	own := labtest.FreeAddr(t)
	f("in a fleet", inFleetOf(t, own, own, "0123456789abcdef0123"))
	f("alone", "")
}
