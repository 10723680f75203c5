package certs

import (
	"crypto/tls"
	"strings"
	"testing"
)

func TestPolicyCheck(t *testing.T) {
	f := func(p Policy, want string) {
		t.Helper()
		err := p.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
	f(Policy{}, "")
	f(Policy{Preset: Modern}, "")
	f(Policy{Preset: Intermediate, Max: "1.2"}, "")
	f(Policy{Preset: Modern, Min: "1.3"}, "")
	f(Policy{Preset: Modern, Max: "1.2"}, "no version is left")
	f(Policy{Preset: Modern, Min: "1.2"}, "modern is TLS 1.3 alone")
	f(Policy{Min: "1.3", Max: "1.2"}, "no version is left: the lowest is TLS 1.3, the highest TLS 1.2")
	f(Policy{Curves: []string{"x25519mlkem768"}}, "TLS 1.2 has no x25519mlkem768")
	f(Policy{Preset: Modern, Curves: []string{"x25519mlkem768"}}, "")
}

// What is spoken under a policy, by real handshakes.
func TestPolicies(t *testing.T) {
	a, d := newAuthority(t, "ca"), newDir(t)
	ec, rsa := d.write("ec.pem", a.issue(kindECDSA, []string{"a.test"}).both()), d.write("rsa.pem", a.issue(kindRSA, []string{"a.test"}).both())
	f := func(p Policy, cert string, change func(*tls.Config), version uint16) {
		t.Helper()
		o := defaults(sources(cert)...)
		o.Policy = p
		c := trusting(a, "a.test")
		change(c)
		m := meet(newKeep(t).put(o).Config(false), c)
		if version == 0 {
			if m.err == nil {
				t.Errorf("%+v: it spoke %s", p, tls.VersionName(m.client.Version))
			}
			return
		}
		if m.err != nil || m.client.Version != version {
			t.Errorf("%+v: %v, %s", p, m.err, tls.VersionName(m.client.Version))
		}
	}
	only := func(v uint16) func(*tls.Config) { return func(c *tls.Config) { c.MinVersion, c.MaxVersion = v, v } }
	suite := func(id uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{id} }
	}
	any := func(*tls.Config) {}
	f(Policy{}, ec, any, tls.VersionTLS13)
	f(Policy{}, ec, only(tls.VersionTLS12), tls.VersionTLS12)
	f(Policy{}, ec, only(tls.VersionTLS11), 0)
	f(Policy{Preset: Modern}, ec, only(tls.VersionTLS12), 0)
	f(Policy{Preset: Modern}, ec, any, tls.VersionTLS13)
	f(Policy{Max: "1.2"}, ec, any, tls.VersionTLS12)
	f(Policy{Max: "1.2"}, ec, only(tls.VersionTLS13), 0)
	f(Policy{}, rsa, suite(tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), tls.VersionTLS12)
	f(Policy{}, rsa, suite(tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA), 0) // not authenticated as one
	f(Policy{}, rsa, suite(tls.TLS_RSA_WITH_AES_128_GCM_SHA256), 0)    // no forward secrecy
	f(Policy{Curves: []string{"p384"}}, ec, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, 0)
	f(Policy{Curves: []string{"p384", "x25519"}}, ec, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }, tls.VersionTLS13)
}

// Every word of the configuration is known here.
func TestCurveWords(t *testing.T) {
	for _, name := range []string{"x25519mlkem768", "x25519", "p256", "p384", "p521"} {
		if curves()[name] == 0 {
			t.Errorf("%s is unknown", name)
		}
	}
}
