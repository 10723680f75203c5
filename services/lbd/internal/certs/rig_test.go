package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/pki"
)

const (
	day     = 24 * time.Hour
	secret  = "correct-horse-battery-staple-a"
	secret2 = "correct-horse-battery-staple-b"
)

// authority signs the certificates of a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := template(name)
	c.NotAfter = time.Now().Add(3650 * day)
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign|x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, parsed, key}
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // does not fail
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Test"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * day),
	}
}

// issued is a certificate with its key.
type issued struct {
	cert   *x509.Certificate
	ca     *x509.Certificate
	signer crypto.Signer
}

// Kinds of keys.
const (
	kindECDSA = "ecdsa"
	kindRSA   = "rsa"
	kindEd    = "ed25519"
)

func newKey(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case kindRSA:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case kindEd:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue signs a certificate for names; changes are made to it before.
func (a *authority) issue(kind string, names []string, changes ...func(*x509.Certificate)) *issued {
	a.t.Helper()
	key := newKey(a.t, kind)
	c := template(strings.TrimSpace("subject of " + strings.Join(names, " ")))
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
			continue
		}
		c.DNSNames = append(c.DNSNames, n)
	}
	for _, change := range changes {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return &issued{parsed, a.cert, key}
}

func until(end time.Time) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotAfter = end }
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// chain is the certificate with its issuer's, PEM.
func (c *issued) chain() string {
	return block("CERTIFICATE", c.cert.Raw) + block("CERTIFICATE", c.ca.Raw)
}

// key is the private key, PEM.
func (c *issued) key() string {
	der, err := x509.MarshalPKCS8PrivateKey(c.signer)
	if err != nil {
		panic(err)
	}
	return block("PRIVATE KEY", der)
}

func (c *issued) both() string { return c.chain() + c.key() }

// pair is the certificate as a client shows it.
func (c *issued) pair() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.cert.Raw, c.ca.Raw}, PrivateKey: c.signer, Leaf: c.cert}
}

func (a *authority) pem() string { return block("CERTIFICATE", a.cert.Raw) }

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// answer is an OCSP answer for a certificate, DER.
func (a *authority) answer(c *issued, status int, from, to time.Time) string {
	a.t.Helper()
	der, err := ocsp.CreateResponse(a.cert, a.cert, ocsp.Response{
		Status: status, SerialNumber: c.cert.SerialNumber, ThisUpdate: from, NextUpdate: to, RevokedAt: from,
	}, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(der)
}

// crl takes certificates back, PEM.
func (a *authority) crl(next time.Time, taken ...*issued) string {
	a.t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: next.Add(-day), NextUpdate: next}
	for _, c := range taken {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: c.cert.SerialNumber, RevocationTime: next.Add(-day),
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return block("X509 CRL", der)
}

// dir is a directory of files.
type dir struct {
	t    testing.TB
	path string
}

func newDir(t testing.TB) *dir { return &dir{t, t.TempDir()} }

func (d *dir) at(name string) string { return filepath.Join(d.path, name) }

// write replaces a file, as those who care do: by a new one.
func (d *dir) write(name, content string) string {
	d.t.Helper()
	path := d.at(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new~", []byte(content), 0o600); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(path+".new~", path); err != nil {
		d.t.Fatal(err)
	}
	return path
}

func (d *dir) remove(name string) {
	d.t.Helper()
	if err := os.Remove(d.at(name)); err != nil {
		d.t.Fatal(err)
	}
}

// keep is a Keeper with what it tells.
type keep struct {
	*Keeper
	t      testing.TB
	health *health.Registry

	mu     sync.Mutex
	events []Event
}

func newKeep(t testing.TB, secrets ...string) *keep {
	t.Helper()
	if len(secrets) == 0 {
		secrets = []string{secret}
	}
	keys, err := pki.New("test", secrets...)
	if err != nil {
		t.Fatal(err)
	}
	k := &keep{t: t, health: health.NewRegistry()}
	k.Keeper = NewKeeper(Env{Keys: keys, Health: k.health, Event: func(e Event) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.events = append(k.events, e)
	}})
	return k
}

// put configures one front, which must be without fault.
func (k *keep) put(o Options) *Front {
	k.t.Helper()
	commit, problems := k.Prepare(map[string]Options{"web": o}, nil)
	if commit == nil {
		k.t.Fatalf("problems: %v", problems)
	}
	commit()
	return k.Front("web")
}

// told returns the events since the last time: kind and name of each.
func (k *keep) told() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, e := range k.events {
		out = append(out, strings.TrimSpace(e.Kind+" "+e.Name))
	}
	k.events = nil
	return strings.Join(out, ", ")
}

// items returns the health items that are not well, as they show once settled.
func (k *keep) items() map[string]health.Status {
	out := map[string]health.Status{}
	for _, s := range k.health.Snapshot() {
		if s.Level != health.OK {
			out[s.ID] = s
		}
	}
	return out
}

// sources are named files.
func sources(paths ...string) (out []Source) {
	for _, p := range paths {
		out = append(out, Source{Cert: p})
	}
	return out
}

// defaults are the options of a configuration that says nothing.
func defaults(s ...Source) Options {
	return Options{Certificates: s, Tickets: Tickets{Rotate: 12 * time.Hour}, Expiry: []time.Duration{30 * day, 7 * day, day}}
}

// met is what came of a handshake.
type met struct {
	server, client tls.ConnectionState
	serverErr, err error
}

// pipe is net.Pipe with room for what nobody reads yet: both ends of a handshake may write at once.
func pipe() (net.Conn, net.Conn) {
	a, b := net.Pipe()
	return newRoomy(a), newRoomy(b)
}

type roomy struct {
	net.Conn
	out  chan []byte
	once sync.Once
}

func newRoomy(c net.Conn) *roomy {
	r := &roomy{Conn: c, out: make(chan []byte, 256)}
	go func() {
		defer c.Close()
		for b := range r.out {
			c.Write(b) // to nobody, where the other end has gone
		}
	}()
	return r
}

func (r *roomy) Write(b []byte) (int, error) {
	r.out <- bytes.Clone(b)
	return len(b), nil
}

func (r *roomy) Close() error {
	r.once.Do(func() { close(r.out) })
	return nil
}

// meet makes a connection over a pipe and carries a byte each way, which brings the tickets of TLS 1.3 and its late refusals.
func meet(server, client *tls.Config) met {
	a, b := pipe()
	s, c := tls.Server(a, server), tls.Client(b, client)
	var out met
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.Close()
		if out.serverErr = s.Handshake(); out.serverErr != nil {
			return
		}
		_, out.serverErr = s.Write([]byte("x"))
		out.server = s.ConnectionState()
	}()
	if out.err = c.Handshake(); out.err == nil {
		_, out.err = c.Read(make([]byte, 1))
		out.client = c.ConnectionState()
	}
	b.Close()
	<-done
	return out
}

// trusting is a client's configuration.
func trusting(a *authority, name string) *tls.Config {
	return &tls.Config{RootCAs: a.pool(), ServerName: name, NextProtos: []string{ProtoHTTP2, ProtoHTTP11}}
}
