package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Clients say what certificates are asked of clients.
type Clients struct {
	Required bool   // a client without one is refused; else one that it shows must be good
	CA       string // file of the authorities that they come from, PEM
	CRL      string // file of certificates that the authorities have taken back, PEM or DER; "": none
}

// authorities are what clients' certificates are checked by. They do not change.
type authorities struct {
	pool    *x509.CertPool
	list    []*x509.Certificate
	revoked map[string]bool // by revokedKey
	stale   time.Time       // when the first list of revoked ones ends; zero: never
	scope   string          // tells them from others
}

var (
	errCertRevoked = errors.New("certs: the client's certificate is revoked")
	errNoCRL       = errors.New("holds no list of revoked certificates")
	errForeignCRL  = errors.New("holds a list that none of the authorities in ca has signed")
)

// parseAuthorities reads certificates of authorities, PEM.
func parseAuthorities(b []byte) (*authorities, error) {
	a := &authorities{pool: x509.NewCertPool()}
	h := sha256.New()
	err := eachBlock(b, func(block *pem.Block) error {
		if block.Type != "CERTIFICATE" {
			return nil
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("holds a certificate that cannot be read: %w", err)
		}
		a.pool.AddCert(c)
		a.list = append(a.list, c)
		sum := sha256.Sum256(c.Raw)
		h.Write(sum[:])
		return nil
	})
	if err == nil && len(a.list) == 0 {
		err = errNoCert
	}
	a.scope = hex.EncodeToString(h.Sum(nil))
	return a, err
}

// addCRL reads lists of revoked certificates, PEM or one in DER.
func (a *authorities) addCRL(b []byte) error {
	a.revoked = map[string]bool{}
	if len(b) > 0 && b[0] == 0x30 { // a SEQUENCE
		return a.addList(b)
	}
	n := 0
	err := eachBlock(b, func(block *pem.Block) error {
		if block.Type != "X509 CRL" {
			return nil
		}
		n++
		return a.addList(block.Bytes)
	})
	if err == nil && n == 0 {
		err = errNoCRL
	}
	return err
}

func (a *authorities) addList(der []byte) error {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("holds a list that cannot be read: %w", err)
	}
	if !slices.ContainsFunc(a.list, func(c *x509.Certificate) bool { return l.CheckSignatureFrom(c) == nil }) {
		return errForeignCRL
	}
	for i := range l.RevokedCertificateEntries {
		a.revoked[revokedKey(l.RawIssuer, l.RevokedCertificateEntries[i].SerialNumber.Bytes())] = true
	}
	if !l.NextUpdate.IsZero() && (a.stale.IsZero() || l.NextUpdate.Before(a.stale)) {
		a.stale = l.NextUpdate
	}
	return nil
}

func revokedKey(issuer, serial []byte) string { return string(issuer) + "\x00" + string(serial) }

// verify refuses a connection whose client's certificate is revoked. It is asked on a resumption, too.
func (a *authorities) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 || len(a.revoked) == 0 {
		return nil
	}
	for _, chain := range s.VerifiedChains {
		if !slices.ContainsFunc(chain, a.isRevoked) {
			return nil
		}
	}
	return errCertRevoked
}

func (a *authorities) isRevoked(c *x509.Certificate) bool {
	return a.revoked[revokedKey(c.RawIssuer, c.SerialNumber.Bytes())]
}

// Client is what a client's certificate that was verified says.
type Client struct {
	Subject     string // its distinguished name, as RFC 2253 writes it
	Name        string // its common name, else the first of Names without its kind
	Names       string // alternative names: "DNS:a.test, URI:spiffe://…, email:a@b.test, IP:10.0.0.1"
	Serial      string // hexadecimal
	Fingerprint string // SHA-256, hexadecimal
}

// ClientOf returns what is known of the client, nil if it has shown no certificate or none that was verified.
func ClientOf(s *tls.ConnectionState) *Client {
	if len(s.VerifiedChains) == 0 || len(s.PeerCertificates) == 0 {
		return nil
	}
	c := s.PeerCertificates[0]
	names := clientNames(c)
	out := &Client{
		Subject: c.Subject.String(), Name: c.Subject.CommonName, Names: strings.Join(names, ", "), Serial: c.SerialNumber.Text(16),
	}
	if out.Name == "" && len(names) > 0 {
		_, out.Name, _ = strings.Cut(names[0], ":")
	}
	sum := sha256.Sum256(c.Raw)
	out.Fingerprint = hex.EncodeToString(sum[:])
	return out
}

// clientNames returns the alternative names with their kinds.
func clientNames(c *x509.Certificate) (out []string) {
	for _, n := range c.DNSNames {
		out = append(out, "DNS:"+n)
	}
	for _, u := range c.URIs {
		out = append(out, "URI:"+u.String())
	}
	for _, m := range c.EmailAddresses {
		out = append(out, "email:"+m)
	}
	for _, a := range c.IPAddresses {
		out = append(out, "IP:"+a.String())
	}
	return out[:min(len(out), maxNames)]
}
