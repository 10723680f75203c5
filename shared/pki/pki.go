// Package pki derives all keys of a fleet from its secret, so that whoever holds the secret is a member and nothing
// else has to be handed out: gossip keys, the certificate authority, passwords for the bus.
//
// Derivation is HKDF-SHA256 (RFC 5869) with the fleet's name as salt and "everup/<purpose>/v1" as info.
// A fleet may hold several secrets: the first signs and encrypts, all are accepted. Rotation: append the new one
// everywhere, move it to the front everywhere, drop the old one.
package pki

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/everup/everup/shared/fault"
)

const (
	// MinSecret and MaxSecret bound a secret's length in bytes.
	MinSecret = 16
	MaxSecret = 1024
	// MaxSecrets bounds how many secrets are accepted at once.
	MaxSecrets = 4
)

// Keys are a fleet's keys. They are immutable and safe for concurrent use.
type Keys struct {
	fleet   string
	secrets [][]byte // the primary first
	cas     []authority
}

// New derives from the secrets, the first being primary. A fleet without a name, a secret shorter than 16 bytes or
// longer than 1024, or one given twice is fault.Config; the message never holds the secret.
func New(fleet string, secrets ...string) (*Keys, error) {
	if fleet == "" {
		return nil, fault.New(fault.Config, "pki: the fleet has no name")
	}
	if len(secrets) == 0 || len(secrets) > MaxSecrets {
		return nil, fault.New(fault.Config, "pki: a fleet has 1 to %d secrets, not %d", MaxSecrets, len(secrets))
	}
	k := &Keys{fleet: fleet}
	for i, s := range secrets {
		if len(s) < MinSecret || len(s) > MaxSecret {
			return nil, fault.New(fault.Config, "pki: secret %d has %d bytes; it takes %d to %d", i+1, len(s), MinSecret, MaxSecret)
		}
		for j := range i {
			if secrets[j] == s {
				return nil, fault.New(fault.Config, "pki: secrets %d and %d are the same", j+1, i+1)
			}
		}
		k.secrets = append(k.secrets, []byte(s))
		ca, err := newAuthority(fleet, k.derive(i, "ca-ed25519", 32))
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "pki: make the authority of secret %d", i+1)
		}
		k.cas = append(k.cas, ca)
	}
	return k, nil
}

// GenerateSecret returns 32 random bytes in base64url, without padding: 43 characters.
func GenerateSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand.Read)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Fleet returns the fleet's name.
func (k *Keys) Fleet() string { return k.fleet }

// Derive returns n bytes (1 to 255*32) for purpose from each secret, primary first.
func (k *Keys) Derive(purpose string, n int) [][]byte {
	out := make([][]byte, len(k.secrets))
	for i := range k.secrets {
		out[i] = k.derive(i, purpose, n)
	}
	return out
}

func (k *Keys) derive(i int, purpose string, n int) []byte {
	b, err := hkdf.Key(sha256.New, k.secrets[i], []byte(k.fleet), "everup/"+purpose+"/v1", n)
	if err != nil {
		panic(fmt.Sprintf("BUG: pki: derive %d bytes for %s: %v", n, purpose, err))
	}
	return b
}

// Password returns the password of a role on the bus ("daemon", "route", "operator"), from the primary secret.
func (k *Keys) Password(role string) string { return k.Passwords(role)[0] }

// Passwords returns the passwords of a role from all secrets, primary first: while a secret is rotated a server
// accepts each of them.
func (k *Keys) Passwords(role string) []string {
	var out []string
	for _, b := range k.Derive("password-"+role, 32) {
		out = append(out, base64.RawURLEncoding.EncodeToString(b))
	}
	return out
}
