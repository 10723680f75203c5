package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func TestNewPair(t *testing.T) {
	a, foreign := newAuthority(t, "ca"), newAuthority(t, "foreign")
	c, r, ed := a.issue(kindECDSA, []string{"a.test"}), a.issue(kindRSA, []string{"a.test"}), a.issue(kindEd, []string{"a.test"})
	f := func(name, chain, key, want string) {
		t.Helper()
		var apart []byte
		if key != "" {
			apart = []byte(key)
		}
		p, err := newPair([]byte(chain), apart, &unit{})
		got := "ok"
		if err != nil {
			got = err.Error()
		} else if len(p.notes) > 0 {
			got = p.notes[0]
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	f("one file", c.both(), "", "ok")
	f("key first", c.key()+c.chain(), "", "ok")
	f("two files", c.chain(), c.key(), "ok")
	f("rsa", r.chain(), r.key(), "ok")
	f("rsa, as old as it gets", r.chain(), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r.signer.(*rsa.PrivateKey))), "ok")
	ec, _ := x509.MarshalECPrivateKey(c.signer.(*ecdsa.PrivateKey))
	f("ec with parameters", c.chain(), block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7})+block("EC PRIVATE KEY", ec), "ok")
	f("ed25519", ed.both(), "", "ok")
	f("text around", "Bag attributes\n"+c.chain()+"\nmore\n", c.key(), "ok")

	f("empty", "", "", "holds no certificate")
	f("key alone", c.key(), "", "holds no certificate")
	f("no key", c.chain(), "", "holds no key")
	f("certificate for a key", c.chain(), c.chain(), "holds no key")
	f("foreign key", c.chain(), r.key(), "does not fit the certificate")
	f("foreign key within", c.chain()+r.key(), "", "does not fit the certificate")
	f("two keys", c.both()+c.key(), "", "holds more than one key")
	f("encrypted", c.chain(), block("ENCRYPTED PRIVATE KEY", []byte("x")), "holds a key with a passphrase, which nobody could type")
	f("encrypted, old", c.chain(), "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"holds a key with a passphrase, which nobody could type")
	f("damaged key", c.chain(), block("PRIVATE KEY", []byte("x")), "holds a key that cannot be read")
	f("unknown key", c.chain(), block("DSA PRIVATE KEY", []byte("x")), "holds a key of a kind that is not known")
	f("cut off", c.chain()[:len(c.chain())-40], c.key(), "is cut off or damaged")
	f("damaged base64", strings.Replace(c.chain(), "MII", "M!I", 1), c.key(), "is cut off or damaged")
	f("issuer first", block("CERTIFICATE", a.cert.Raw)+block("CERTIFICATE", c.cert.Raw), c.key(), "does not begin with the certificate that the key fits")
	f("foreign issuer", block("CERTIFICATE", c.cert.Raw)+foreign.pem(), c.key(), "has a chain whose certificate 2 has not signed the one before it")
	f("long chain", strings.Repeat(a.pem(), 17), "", "holds more than 16 certificates")
	client := a.issue(kindECDSA, []string{"a.test"}, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	f("for clients", client.both(), "", "is not for servers, by its extended key usage")
	f("nameless", a.issue(kindECDSA, nil).both(), "", "names no host: it is shown as the default alone")

	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	f("short rsa", c.chain(), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), "holds an RSA key of 1024 bits; 2048 to 8192 are taken")
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	der, _ := x509.MarshalPKCS8PrivateKey(p224)
	f("p224", c.chain(), block("PRIVATE KEY", der), "holds a key of a kind that is not known")
}

func TestNewPairForMembers(t *testing.T) {
	a := newAuthority(t, "ca")
	server := a.issue(kindECDSA, nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	if _, err := newPair([]byte(server.both()), nil, &unit{member: true}); err != errNotClient {
		t.Errorf("a server's certificate: %v", err)
	}
	p, err := newPair([]byte(a.issue(kindECDSA, nil).both()), nil, &unit{member: true})
	if err != nil || len(p.notes) > 0 {
		t.Errorf("%v, %v", err, p.notes)
	}
}

// Given names stand in place of the certificate's, and what clients will refuse is noted.
func TestGivenNames(t *testing.T) {
	a := newAuthority(t, "ca")
	p, err := newPair([]byte(a.issue(kindECDSA, []string{"*.a.test", "10.0.0.1"}).both()), nil, &unit{Source: Source{Names: []string{"x.a.test", "b.test", "*.a.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.names, " "); got != "x.a.test b.test *.a.test" {
		t.Errorf("names %s", got)
	}
	if len(p.notes) != 1 || p.notes[0] != "is not for b.test, as clients will say" {
		t.Errorf("notes %q", p.notes)
	}
}

// Whatever bytes come, a pair is whole or an error.
func FuzzNewPair(f *testing.F) {
	a := newAuthority(f, "ca")
	c := a.issue(kindECDSA, []string{"a.test"})
	f.Add([]byte(c.both()), []byte(nil))
	f.Add([]byte(c.chain()), []byte(c.key()))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN PRIVATE KEY-----"))
	f.Fuzz(func(t *testing.T, chain, key []byte) {
		if len(key) == 0 {
			key = nil
		}
		p, err := newPair(chain, key, &unit{})
		if err != nil {
			if strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("the error holds content: %v", err)
			}
			return
		}
		if p.leaf == nil || p.cert.PrivateKey == nil || len(p.cert.Certificate) == 0 || p.certificate(time.Now()).Leaf != p.leaf {
			t.Errorf("half a pair: %+v", p)
		}
	})
}
