package cached

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/everup/everup/services/cached/internal/stats"
	"github.com/everup/everup/shared/labtest"
)

// putCerts puts the files of from where to's are.
func putCerts(t *testing.T, to, from *labtest.Certs) {
	t.Helper()
	for src, dst := range map[string]string{from.CertFile: to.CertFile, from.KeyFile: to.KeyFile, from.CAFile: to.CAFile} {
		b, err := os.ReadFile(src)
		if err == nil {
			err = os.WriteFile(dst, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// dialTLS makes a TLS connection; a handshake that fails is an error.
func dialTLS(t *testing.T, addr string, config *tls.Config) (*client, error) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return nil, err
	}
	return talk(t, c), nil
}

// greet is dialTLS with a question: a server of TLS 1.3 refuses a client's certificate after the client is done.
func greet(t *testing.T, addr string, config *tls.Config) (*client, error) {
	t.Helper()
	c, err := dialTLS(t, addr, config)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(c, "version\r\n")
	line, err := c.r.ReadString('\n')
	if err == nil && line != "VERSION "+stats.Version+"\r\n" {
		t.Errorf("%q", line)
	}
	return c, err
}

func TestTLSOptions(t *testing.T) {
	certs, renewed := labtest.NewCerts(t, "127.0.0.1"), labtest.NewCerts(t, "127.0.0.1")
	stranger := labtest.NewCerts(t, "127.0.0.1")
	env, args, _ := anyPort(t, "-Z", "-l", "127.0.0.1,mtls:127.0.0.1,notls:127.0.0.1", "-A",
		"-o", "ssl_chain_cert="+certs.CertFile+",ssl_key="+certs.KeyFile+",ssl_ca_cert="+certs.CAFile+",ssl_min_version=3")
	p := launchMemcached(t, env, args...)
	ports := portsOf(t, strings.TrimPrefix(env[0], "MEMCACHED_PORT_FILENAME="))["TCP INET"]
	if len(ports) != 3 {
		t.Fatalf("ports %v", ports)
	}
	once, mutual, plain := "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1], "127.0.0.1:"+ports[2]
	config := func(c *labtest.Certs, shown bool) *tls.Config {
		tc := c.Client()
		if !shown {
			tc.Certificates = nil
		}
		return tc
	}

	old, err := greet(t, once, config(certs, false))
	if err != nil {
		t.Fatal(err)
	}
	old.settings("ssl_enabled=yes", "ssl_chain_cert="+certs.CertFile, "ssl_key="+certs.KeyFile, "ssl_verify_mode=0", "ssl_min_version=tlsv1.3", "ssl_ca_cert="+certs.CAFile)
	old.ask("set a 0 0 1\r\nx\r\n", "STORED")
	dial(t, "tcp", plain).ask("get a\r\n", "VALUE a 0 1", "x", "END")
	dial(t, "tcp", once).ask("get a\r\n")
	before := config(certs, false)
	before.MaxVersion = tls.VersionTLS12
	if _, err := dialTLS(t, once, before); err == nil {
		t.Error("TLS 1.2 is let in with ssl_min_version=3")
	}
	if _, err := greet(t, mutual, config(certs, true)); err != nil {
		t.Errorf("mtls: %v", err)
	}
	if _, err := greet(t, mutual, config(certs, false)); err == nil {
		t.Error("mtls: lets a client in that shows no certificate")
	}
	foreign := config(certs, false)
	foreign.Certificates = stranger.Client().Certificates
	if _, err := greet(t, mutual, foreign); err == nil {
		t.Error("mtls: lets a client in whose certificate somebody else made")
	}
	if got := old.stats(); got["ssl_handshake_errors"] < "3" || got["ssl_min_version"] != "tlsv1.3" {
		t.Errorf("ssl_handshake_errors=%s ssl_min_version=%s", got["ssl_handshake_errors"], got["ssl_min_version"])
	}

	// New certificates, by SIGHUP: an old connection lives on, new ones see the new.
	putCerts(t, certs, renewed)
	if _, err := greet(t, once, config(renewed, false)); err == nil {
		t.Error("the new certificates are there before anybody asked for them")
	}
	p.signal(syscall.SIGHUP)
	p.await("RELOADING=1")
	p.await("READY=1")
	old.ask("get a\r\n", "VALUE a 0 1", "x", "END")
	if _, err := greet(t, once, config(renewed, false)); err != nil {
		t.Errorf("after SIGHUP: %v", err)
	}
	if _, err := greet(t, mutual, config(renewed, true)); err != nil {
		t.Errorf("after SIGHUP, mtls: %v", err)
	}

	// By the command; what cannot be read changes nothing.
	if err := os.WriteFile(certs.KeyFile, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(old, "refresh_certs\r\n")
	if line, err := old.r.ReadString('\n'); err != nil || strings.HasPrefix(line, "OK") || !strings.Contains(line, "certificates") {
		t.Errorf("refresh_certs of rubbish: %q, %v", line, err)
	}
	if _, err := greet(t, once, config(renewed, false)); err != nil {
		t.Errorf("after refresh_certs of rubbish: %v", err)
	}
	putCerts(t, certs, stranger)
	old.ask("refresh_certs\r\n", "OK")
	if _, err := greet(t, once, config(stranger, false)); err != nil {
		t.Errorf("after refresh_certs: %v", err)
	}

	old.ask("shutdown graceful\r\n")
	old.ended("shutdown over TLS")
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTLSOptionsThatEnd(t *testing.T) {
	certs := labtest.NewCerts(t)
	f := func(want string, args ...string) {
		t.Helper()
		got := command(t, nil, asRoot(append([]string{"-p", "-1", "-l", "127.0.0.1"}, args...))...)
		if got.code == 0 || !strings.Contains(got.errors, want) {
			t.Errorf("cached %v: code %d, %q; want %q", args, got.code, got.errors, want)
		}
	}
	f("ssl_chain_cert", "-Z")
	f("no such file", "-Z", "-o", "ssl_chain_cert="+filepath.Join(t.TempDir(), "none"))
	f("tls", "-Z", "-o", "ssl_chain_cert="+certs.CertFile+",ssl_key="+certs.CAFile)
	f("ca", "-Z", "-o", "ssl_verify_mode=2,ssl_chain_cert="+certs.CertFile+",ssl_key="+certs.KeyFile)
}

// A reload that cannot be taken whole is not taken at all.
func TestReloadOfUsersAndCertificates(t *testing.T) {
	certs := labtest.NewCerts(t, "127.0.0.1")
	users := usersFile(t, "anna:old")
	in := start(t, fmt.Sprintf("auth: {users: %s}\ntls: {cert: %s, key: %s}\n", users, certs.CertFile, certs.KeyFile))
	writeUsers(t, users, "anna:new")
	if err := os.WriteFile(certs.KeyFile, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Reload(t.Context()); err == nil {
		t.Fatal("a reload with a broken key succeeds")
	}
	in.dial(t).ask(login("anna", "new"), "CLIENT_ERROR authentication failure")
	in.dial(t).ask(login("anna", "old"), "STORED")
}
