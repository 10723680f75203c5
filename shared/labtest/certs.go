package labtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certs is a throw-away certificate authority and one certificate of its making, for servers and clients alike, that
// is good from an hour ago for a day. Keys are ECDSA P-256, which every peer understands.
type Certs struct {
	CAFile, CertFile, KeyFile string // PEM, in a directory of the test's

	Pool *x509.CertPool // the authority
	Leaf tls.Certificate
}

// NewCerts makes an authority and a certificate for the names and addresses; with none, for localhost, 127.0.0.1 and
// ::1.
func NewCerts(t testing.TB, names ...string) *Certs {
	t.Helper()
	if len(names) == 0 {
		names = []string{"localhost", "127.0.0.1", "::1"}
	}
	c, err := makeCerts(t.TempDir(), names)
	if err != nil {
		t.Fatalf("labtest: certificates: %v", err)
	}
	return c
}

// Server returns a TLS configuration that shows the certificate.
func (c *Certs) Server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.Leaf}, MinVersion: tls.VersionTLS12}
}

// Client returns a TLS configuration that trusts the authority alone and shows the certificate when asked.
func (c *Certs) Client() *tls.Config {
	return &tls.Config{RootCAs: c.Pool, Certificates: []tls.Certificate{c.Leaf}, MinVersion: tls.VersionTLS12}
}

func makeCerts(dir string, names []string) (*Certs, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca, leaf := template("labtest authority"), template(names[0])
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	nameLeaf(leaf, names)
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return writeCerts(dir, pemBlock("CERTIFICATE", caDER), pemBlock("CERTIFICATE", leafDER), pemBlock("PRIVATE KEY", keyDER))
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // crypto/rand does not fail
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func nameLeaf(leaf *x509.Certificate, names []string) {
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, n)
		}
	}
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func writeCerts(dir string, ca, cert, key []byte) (*Certs, error) {
	c := &Certs{
		CAFile:   filepath.Join(dir, "ca.pem"),
		CertFile: filepath.Join(dir, "cert.pem"),
		KeyFile:  filepath.Join(dir, "key.pem"),
		Pool:     x509.NewCertPool(),
	}
	for path, b := range map[string][]byte{c.CAFile: ca, c.CertFile: cert, c.KeyFile: key} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return nil, err
		}
	}
	c.Pool.AppendCertsFromPEM(ca)
	leaf, err := tls.X509KeyPair(cert, key)
	c.Leaf = leaf
	return c, err
}
