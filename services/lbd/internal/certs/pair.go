package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"
)

// pair is a chain with the key that fits it. It does not change.
type pair struct {
	cert   tls.Certificate // without an OCSP answer
	leaf   *x509.Certificate
	issuer *x509.Certificate // the next one of the chain, until the OCSP answer is read
	names  []string          // what it is shown for
	staple *staple           // nil: none that can be used
	notes  []string          // what is not as it should be, though it works
	sum    [32]byte          // of all that was read
}

// newPair makes a pair for u of what was read; without key the chain's file holds it.
func newPair(chain, key []byte, u *unit) (*pair, error) {
	b, err := parse(chain)
	if err != nil {
		return nil, err
	}
	if len(b.chain) == 0 {
		return nil, errNoCert
	}
	if key != nil {
		k, err := parse(key)
		if err != nil {
			return nil, keyError{err}
		}
		if b.key = k.key; b.key == nil {
			return nil, keyError{errNoKey}
		}
	}
	if b.key == nil {
		return nil, errNoKey
	}
	return b.pair(u, key != nil)
}

// keyError is an error of the key's own file.
type keyError struct{ error }

// pair checks that all fits and makes a pair.
func (b *bundle) pair(u *unit, apart bool) (*pair, error) {
	if err := b.fits(); err != nil {
		if apart && err == errMismatch {
			err = keyError{err}
		}
		return nil, err
	}
	leaf := b.chain[0]
	p := &pair{leaf: leaf, names: namesOf(leaf), cert: tls.Certificate{Leaf: leaf, PrivateKey: b.key}}
	for i, c := range b.chain {
		p.cert.Certificate = append(p.cert.Certificate, c.Raw)
		if i > 0 && b.chain[i-1].CheckSignatureFrom(c) != nil {
			p.notes = append(p.notes, fmt.Sprintf("has a chain whose certificate %d has not signed the one before it", i+1))
		}
	}
	switch {
	case u.member && !usableFor(leaf, x509.ExtKeyUsageClientAuth):
		return nil, errNotClient
	case u.member:
		return p, nil
	case !usableFor(leaf, x509.ExtKeyUsageServerAuth):
		return nil, errNotServer
	}
	if len(b.chain) > 1 {
		p.issuer = b.chain[1]
	}
	if len(u.Names) > 0 {
		p.names = u.Names
	}
	p.compareNames()
	return p, nil
}

// compareNames notes names that clients will not take the certificate for.
func (p *pair) compareNames() {
	if len(p.names) == 0 {
		p.notes = append(p.notes, "names no host: it is shown as the default alone")
	}
	for _, n := range p.names {
		probe := n
		if n[0] == '*' {
			probe = "a" + n[1:]
		}
		if err := p.leaf.VerifyHostname(probe); err != nil {
			p.notes = append(p.notes, "is not for "+n+", as clients will say")
		}
	}
}

// class orders keys by what a handshake costs.
func (p *pair) class() int {
	switch p.leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return 0
	case ed25519.PublicKey:
		return 1
	}
	return 2
}

// keyName tells the kind of the key to people.
func (p *pair) keyName() string {
	switch k := p.leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ecdsa %s", k.Params().Name)
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa %d", k.N.BitLen())
	}
	return "ed25519"
}

// label is what the certificate is called: its first name.
func (p *pair) label(file string) string {
	if len(p.names) > 0 {
		return p.names[0]
	}
	return file
}

func (p *pair) fingerprint() string {
	sum := sha256.Sum256(p.leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// certificate returns what is shown from now on.
func (p *pair) certificate(now time.Time) *tls.Certificate {
	c := p.cert
	if p.staple.good(now) {
		c.OCSPStaple = p.staple.raw
	}
	return &c
}
