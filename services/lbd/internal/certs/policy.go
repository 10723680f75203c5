package certs

import (
	"crypto/tls"
	"fmt"
	"slices"
)

// The presets of policies.
const (
	Modern       = "modern"       // TLS 1.3 alone
	Intermediate = "intermediate" // also TLS 1.2 with ephemeral keys and authenticated encryption
)

// Policy says which TLS is spoken. The zero Policy is Intermediate's.
type Policy struct {
	Preset string   // "" or one of the presets
	Min    string   // "1.2" or "1.3"; "": the preset's
	Max    string   // likewise
	Curves []string // groups for the key exchange, see CurveNames; none: Go's choice
}

// versions are the words of Policy.
func versions() map[string]uint16 {
	return map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
}

// suites12 are the cipher suites of TLS 1.2: forward secrecy and authenticated encryption. Those of 1.3 all have both.
func suites12() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// curves are the groups for the key exchange, by the words of the configuration.
func curves() map[string]tls.CurveID {
	return map[string]tls.CurveID{
		"x25519mlkem768": tls.X25519MLKEM768, "x25519": tls.X25519,
		"p256": tls.CurveP256, "p384": tls.CurveP384, "p521": tls.CurveP521,
	}
}

// limits returns the lowest and highest version.
func (p Policy) limits() (low, high uint16, err error) {
	low, high = tls.VersionTLS12, tls.VersionTLS13
	if p.Preset == Modern {
		low = tls.VersionTLS13
	}
	if v, ok := versions()[p.Min]; ok {
		low = v
	}
	if v, ok := versions()[p.Max]; ok {
		high = v
	}
	if low > high {
		return 0, 0, fmt.Errorf("no version is left: the lowest is %s, the highest %s", tls.VersionName(low), tls.VersionName(high))
	}
	return low, high, nil
}

// Check says what is wrong with the policy.
func (p Policy) Check() error {
	low, _, err := p.limits()
	if err != nil {
		return err
	}
	if p.Preset == Modern && low < tls.VersionTLS13 {
		return fmt.Errorf("%s is TLS 1.3 alone", Modern)
	}
	if len(p.Curves) > 0 && low == tls.VersionTLS12 && !slices.ContainsFunc(p.Curves, func(c string) bool { return c != "x25519mlkem768" }) {
		return fmt.Errorf("TLS 1.2 has no x25519mlkem768: give another curve too, or let it begin with 1.3")
	}
	return nil
}

// apply puts the policy into a configuration.
func (p Policy) apply(c *tls.Config) {
	c.MinVersion, c.MaxVersion, _ = p.limits() // Check was asked
	c.CipherSuites = suites12()
	for _, name := range p.Curves {
		if id, ok := curves()[name]; ok {
			c.CurvePreferences = append(c.CurvePreferences, id)
		}
	}
}
