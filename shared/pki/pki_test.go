package pki

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/fault"
)

const (
	secretA = "correct-horse-battery-staple-a"
	secretB = "correct-horse-battery-staple-b"
)

func mustKeys(t *testing.T, fleet string, secrets ...string) *Keys {
	t.Helper()
	k, err := New(fleet, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Two builds must derive alike, or an upgrade splits the fleet: the expected bytes are written down.
func TestDeriveIsStable(t *testing.T) {
	k := mustKeys(t, "demo", secretA)
	got := hex.EncodeToString(k.Derive("gossip", 32)[0])
	// openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt key:… -kdfopt salt:demo -kdfopt info:everup/gossip/v1 HKDF
	want := "f45c161b9dc43beb898883884c51654581a7be540388a49df207b15fc79db4c7"
	if got != want {
		t.Errorf("Derive(gossip) = %s, want %s", got, want)
	}
	if bytes.Equal(k.Derive("gossip", 32)[0], k.Derive("other", 32)[0]) {
		t.Error("two purposes share a key")
	}
	if bytes.Equal(k.Derive("gossip", 32)[0], mustKeys(t, "demo2", secretA).Derive("gossip", 32)[0]) {
		t.Error("two fleets share a key")
	}
	a, b := k.cas[0].cert.Raw, mustKeys(t, "demo", secretA).cas[0].cert.Raw
	if !bytes.Equal(a, b) {
		t.Error("two nodes compute different authorities")
	}
}

func TestNewRefuses(t *testing.T) {
	f := func(fleet string, secrets ...string) {
		t.Helper()
		_, err := New(fleet, secrets...)
		if !errors.Is(err, fault.Config) {
			t.Errorf("New(%q, %d secrets): %v, want a configuration error", fleet, len(secrets), err)
		}
		for _, s := range secrets {
			if err != nil && s != "" && strings.Contains(err.Error(), s) {
				t.Errorf("the error holds the secret: %v", err)
			}
		}
	}
	f("", secretA)
	f("demo")
	f("demo", "too-short")
	f("demo", "")
	f("demo", strings.Repeat("x", MaxSecret+1))
	f("demo", secretA, secretA)
	f("demo", secretA, secretB, secretA+"1", secretA+"2", secretA+"3")
}

// handshake connects client to server over a pipe and returns both ends' errors.
func handshake(server, client *tls.Config) (serverErr, clientErr error) {
	a, b := net.Pipe()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		a.Close()
		done <- err
	}()
	c := tls.Client(b, client)
	clientErr = c.Handshake()
	if clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1)) // in TLS 1.3 a refused client learns it at its first read
	}
	b.Close()
	return <-done, clientErr
}

func TestTLS(t *testing.T) {
	a, b := mustKeys(t, "demo", secretA), mustKeys(t, "demo", secretB)
	ab, ba := mustKeys(t, "demo", secretA, secretB), mustKeys(t, "demo", secretB, secretA)
	other := mustKeys(t, "other", secretA)
	f := func(name string, server, client *Keys, ok bool) {
		t.Helper()
		s, c := handshake(server.Server("n1"), client.Client("n2"))
		if ok != (s == nil && c == nil) {
			t.Errorf("%s: server %v, client %v, want ok=%v", name, s, c, ok)
		}
	}
	f("same secret", a, a, true)
	f("other secret", a, b, false)
	f("other fleet", a, other, false)
	// The three steps of a rotation from A to B, each against its neighbours.
	f("A with A,B", a, ab, true)
	f("A,B with A", ab, a, true)
	f("A,B with B,A", ab, ba, true)
	f("B,A with A,B", ba, ab, true)
	f("B,A with B", ba, b, true)
	f("B with B,A", b, ba, true)

	s, c := handshake(a.Server("n1"), &tls.Config{InsecureSkipVerify: true})
	if s == nil || c == nil {
		t.Errorf("a client without certificate: server %v, client %v", s, c)
	}
}

func TestCertificateRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := mustKeys(t, "demo", secretA)
		leaf := &leafSource{ca: k.cas[0], name: "n1"}
		get := func() *tls.Certificate {
			c, err := leaf.get(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first := get()
		time.Sleep(leafRenew - time.Second)
		if get() != first {
			t.Error("renewed too early")
		}
		time.Sleep(2 * time.Second)
		if get() == first {
			t.Error("not renewed at half its life")
		}
		// A year of running: every handshake of a long-lived configuration still succeeds.
		server, client := k.Server("n1"), k.Client("n2")
		for range 60 {
			time.Sleep(6 * 24 * time.Hour)
			if s, c := handshake(server, client); s != nil || c != nil {
				t.Fatalf("%v: server %v, client %v", time.Now(), s, c)
			}
		}
	})
}

func TestPasswordsDiffer(t *testing.T) {
	k := mustKeys(t, "demo", secretA, secretB)
	seen := map[string]bool{}
	for _, role := range []string{"daemon", "route", "operator"} {
		for _, p := range k.Passwords(role) {
			if len(p) != 43 || seen[p] {
				t.Errorf("password of %s has %d characters or is used twice", role, len(p))
			}
			seen[p] = true
		}
	}
	if k.Password("daemon") != k.Passwords("daemon")[0] {
		t.Error("Password is not of the primary secret")
	}
	if len(GenerateSecret()) != 43 || GenerateSecret() == GenerateSecret() {
		t.Error("GenerateSecret is not random")
	}
}
