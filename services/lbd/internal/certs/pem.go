package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const (
	maxChain = 16 // certificates of a chain
	minRSA   = 2048
	maxRSA   = 8192 // bits: a signature with more takes too long
)

var (
	errCutOff      = errors.New("is cut off or damaged")
	errTwoKeys     = errors.New("holds more than one key")
	errEncrypted   = errors.New("holds a key with a passphrase, which nobody could type")
	errNotServer   = errors.New("is not for servers, by its extended key usage")
	errNotClient   = errors.New("is not for clients, by its extended key usage")
	errUnknownKey  = errors.New("holds a key of a kind that is not known")
	errMismatch    = errors.New("does not fit the certificate")
	errNoKey       = errors.New("holds no key")
	errNoCert      = errors.New("holds no certificate")
	errLeafNotHead = errors.New("does not begin with the certificate that the key fits")
)

// bundle is what a PEM file may hold of a certificate.
type bundle struct {
	chain []*x509.Certificate
	key   crypto.Signer
}

// parse reads PEM: certificates and at most one key. Other blocks (parameters, requests) are passed over.
func parse(b []byte) (bundle, error) {
	var out bundle
	err := eachBlock(b, func(block *pem.Block) error {
		switch {
		case block.Type == "CERTIFICATE":
			return out.addCertificate(block.Bytes)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return out.addKey(block)
		}
		return nil
	})
	return out, err
}

// eachBlock calls f for each block. What begins as a block and is none is an error: encoding/pem passes over it, and half a file would look
// whole.
func eachBlock(b []byte, f func(*pem.Block) error) error {
	begun := bytes.Count(b, []byte("-----BEGIN "))
	for n := 0; ; n++ {
		block, rest := pem.Decode(b)
		if block == nil {
			if n != begun {
				return errCutOff
			}
			return nil
		}
		if err := f(block); err != nil {
			return err
		}
		b = rest
	}
}

func (u *bundle) addCertificate(der []byte) error {
	if len(u.chain) == maxChain {
		return fmt.Errorf("holds more than %d certificates", maxChain)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("holds a certificate that cannot be read: %w", err)
	}
	u.chain = append(u.chain, c)
	return nil
}

func (u *bundle) addKey(block *pem.Block) error {
	if u.key != nil {
		return errTwoKeys
	}
	key, err := parseKey(block)
	u.key = key
	return err
}

// parseKey reads a key. Its errors hold nothing of it.
func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, errEncrypted
	case block.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, errUnknownKey
	}
	if err != nil {
		return nil, errors.New("holds a key that cannot be read")
	}
	return checkKey(key)
}

// checkKey refuses keys that handshakes could not use.
func checkKey(key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return nil, fmt.Errorf("holds an RSA key of %d bits; %d to %d are taken", n, minRSA, maxRSA)
		}
		return k, nil
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P224() {
			return nil, errUnknownKey
		}
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, errUnknownKey
}

// fits says what is wrong with a chain and a key that are to serve together.
func (u *bundle) fits() error {
	if sameKey(u.chain[0].PublicKey, u.key) {
		return nil
	}
	for _, c := range u.chain[1:] {
		if sameKey(c.PublicKey, u.key) {
			return errLeafNotHead
		}
	}
	return errMismatch
}

func sameKey(public any, key crypto.Signer) bool {
	p, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && p.Equal(public)
}

// usableFor reports whether a certificate's extended key usage lets it be shown.
func usableFor(c *x509.Certificate, as x509.ExtKeyUsage) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, u := range c.ExtKeyUsage {
		if u == as || u == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}
