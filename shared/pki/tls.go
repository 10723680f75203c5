package pki

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
)

const (
	leafLife   = 7 * 24 * time.Hour
	leafRenew  = leafLife / 2
	clockSkew  = 24 * time.Hour
	caNotAfter = 2100 // year
)

// authority is a certificate authority that every holder of the secret computes alike.
type authority struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
}

// newAuthority makes the CA whose key is the seed. Ed25519 signs deterministically and every field is fixed, so that the
// certificate is the same byte for byte on every node.
func newAuthority(fleet string, seed []byte) (authority, error) {
	key := ed25519.NewKeyFromSeed(seed)
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{Organization: []string{"everup"}, CommonName: "fleet " + fleet},
		NotBefore:             time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(caNotAfter, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(nil, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return authority{cert: cert, key: key}, err
}

// sign returns a certificate for name valid around now, for both ends of a connection.
func (a authority) sign(name string, pub crypto.PublicKey, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(nil, &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(2)),
		Subject:      pkix.Name{Organization: []string{"everup"}, CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(leafLife + clockSkew),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, pub, a.key)
}

// Server returns a TLS 1.3 configuration for a node that accepts connections: its certificate carries name and is signed
// in memory by the fleet's authority; the peer must show one signed by any of the fleet's authorities. Certificates last
// 7 days and are made anew at half of it; the clocks of two nodes may differ by 24 h.
func (k *Keys) Server(name string) *tls.Config {
	leaf := &leafSource{ca: k.cas[0], name: name}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return leaf.get(time.Now()) },
		// A resumed session would skip a look at the certificate; fleet connections are few and long.
		SessionTicketsDisabled: true,
		VerifyConnection:       k.verifier(x509.ExtKeyUsageClientAuth),
	}
}

// Client is the same for the end that connects. Peers are known by the fleet's authority, not by host name: members
// are reached by address, and an address is not an identity.
func (k *Keys) Client(name string) *tls.Config {
	leaf := &leafSource{ca: k.cas[0], name: name}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: "fleet.everup.internal",
		// The check of the chain is in VerifyConnection; only the comparison with a host name is left out.
		InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return leaf.get(time.Now())
		},
		VerifyConnection: k.verifier(x509.ExtKeyUsageServerAuth),
	}
}

// verifier checks that the peer's certificate was signed by one of the fleet's authorities for use.
func (k *Keys) verifier(use x509.ExtKeyUsage) func(tls.ConnectionState) error {
	roots := x509.NewCertPool()
	for _, ca := range k.cas {
		roots.AddCert(ca.cert)
	}
	fleet := k.fleet
	return func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return fault.New(fault.Denied, "pki: the peer shows no certificate of fleet %s", fleet)
		}
		_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{
			Roots: roots, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{use},
		})
		return fault.Wrap(fault.Denied, err, "pki: the peer's certificate is not of fleet %s", fleet)
	}
}

// leafSource holds a node's certificate and renews it.
type leafSource struct {
	ca   authority
	name string

	mu   sync.Mutex
	cert *tls.Certificate
	made time.Time
}

func (s *leafSource) get(now time.Time) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A clock set back far would leave a certificate from the future: made anew as well.
	if age := now.Sub(s.made); s.cert != nil && age >= -clockSkew && age < leafRenew {
		return s.cert, nil
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := s.ca.sign(s.name, pub, now)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "pki: sign the certificate of %s", s.name)
	}
	s.cert, s.made = &tls.Certificate{Certificate: [][]byte{der, s.ca.cert.Raw}, PrivateKey: key}, now
	return s.cert, nil
}
