// Package pki derives all keys of a fleet from its secret, so that whoever holds the secret is a member and nothing
// else has to be handed out: gossip keys, the certificate authority, passwords for the bus.
//
// Derivation is HKDF-SHA256 (RFC 5869) with the fleet's name as salt and "everup/<purpose>/v1" as info.
// A fleet may hold several secrets: the first signs and encrypts, all are accepted. Rotation: append the new one
// everywhere, move it to the front everywhere, drop the old one.
package pki

import (
	"crypto/tls"
)

// Keys are a fleet's keys.
type Keys struct{}

// New derives from the secrets, the first being primary. A secret shorter than 16 bytes is fault.Config.
func New(fleet string, secrets ...string) (*Keys, error) { panic("skeleton") }

// GenerateSecret returns 32 random bytes in base64url.
func GenerateSecret() string { panic("skeleton") }

func (k *Keys) Fleet() string { panic("skeleton") }

// Derive returns n bytes for purpose from each secret, primary first.
func (k *Keys) Derive(purpose string, n int) [][]byte { panic("skeleton") }

// Server and Client return TLS configurations (1.3 only) with a certificate for name (a node), signed in memory by the
// fleet's CA (Ed25519, deterministic from the secret), that demand and verify the peer's by the fleet's CAs.
// Certificates last 7 days and are made anew before they run out; clocks may differ by 24 h.
func (k *Keys) Server(name string) *tls.Config { panic("skeleton") }
func (k *Keys) Client(name string) *tls.Config { panic("skeleton") }

// Password returns the password of a role on the bus ("daemon", "route", "operator").
func (k *Keys) Password(role string) string { panic("skeleton") }
