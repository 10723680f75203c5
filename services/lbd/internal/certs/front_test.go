package certs

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func TestChoiceByName(t *testing.T) {
	a, d := newAuthority(t, "ca"), newDir(t)
	put := func(names ...string) string { return d.write(names[0]+".pem", a.issue(kindECDSA, names).both()) }
	o := defaults(sources(put("first.test", "also.first.test"), put("*.wild.test"), put("x.wild.test"))...)
	o.Certificates = append(o.Certificates, Source{Cert: put("other.test"), Names: []string{"given.test"}})
	k := newKeep(t)
	front := k.put(o)
	f := func(name, want string) {
		t.Helper()
		c := trusting(a, name)
		c.InsecureSkipVerify = true // what is shown is compared, not whether it would do
		m := meet(front.Config(false), c)
		if m.err != nil {
			if want != "" || !strings.Contains(m.err.Error(), "unrecognized name") {
				t.Errorf("%s: %v", name, m.err)
			}
			return
		}
		if got := m.client.PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if m.server.ServerName != name {
			t.Errorf("%s: the server was asked for %q", name, m.server.ServerName)
		}
	}
	f("first.test", "first.test")
	f("ALSO.first.test", "first.test")
	f("a.wild.test", "*.wild.test")
	f("x.wild.test", "x.wild.test")
	f("given.test", "other.test")
	f("other.test", "first.test") // given names stand in place of its own
	f("x.y.wild.test", "first.test")
	f("nobody.test", "first.test")
	f("", "first.test")
	if n := k.Unknown(); n != 4 {
		t.Errorf("%d unknown names were counted", n)
	}
	o.Default = "y.wild.test"
	k.put(o)
	f("nobody.test", "*.wild.test")
	o.Strict = true
	k.put(o)
	f("nobody.test", "")
	f("", "")
	f("first.test", "first.test")
}

func TestStrictRefusesResumptionToo(t *testing.T) {
	a, d := newAuthority(t, "ca"), newDir(t)
	o := defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both()))...)
	o.Strict = true
	front := newKeep(t).put(o)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := trusting(a, "a.test")
		c.MaxVersion, c.ClientSessionCache = version, &oneSession{}
		meet(front.Config(false), c)
		if m := meet(front.Config(false), c); m.err != nil || !m.client.DidResume {
			t.Fatalf("%s: %v, resumed %v", tls.VersionName(version), m.err, m.client.DidResume)
		}
		c.ServerName = "b.test"
		if m := meet(front.Config(false), c); m.err == nil || !strings.Contains(m.err.Error(), "unrecognized name") {
			t.Errorf("%s: %v", tls.VersionName(version), m.err)
		}
	}
}

// oneSession gives its session to whatever name is asked for.
type oneSession struct{ s *tls.ClientSessionState }

func (c *oneSession) Get(string) (*tls.ClientSessionState, bool) { return c.s, c.s != nil }

func (c *oneSession) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		c.s = s
	}
}

func TestChoiceByKey(t *testing.T) {
	a, d := newAuthority(t, "ca"), newDir(t)
	name := []string{"a.test"}
	short := until(time.Now().Add(day))
	o := defaults(sources(d.write("rsa.pem", a.issue(kindRSA, name).both()), d.write("ed.pem", a.issue(kindEd, name).both()),
		d.write("old.pem", a.issue(kindECDSA, name, short).both()), d.write("ec.pem", a.issue(kindECDSA, name).both()))...)
	front := newKeep(t).put(o)
	f := func(what string, want x509.PublicKeyAlgorithm, change func(*tls.Config)) {
		t.Helper()
		c := trusting(a, "a.test")
		change(c)
		m := meet(front.Config(false), c)
		if m.err != nil {
			t.Errorf("%s: %v", what, m.err)
			return
		}
		leaf := m.client.PeerCertificates[0]
		if leaf.PublicKeyAlgorithm != want {
			t.Errorf("%s: %v", what, leaf.PublicKeyAlgorithm)
		}
		if time.Until(leaf.NotAfter) < 2*day {
			t.Errorf("%s: the one that ends first", what)
		}
	}
	f("anything", x509.ECDSA, func(*tls.Config) {})
	f("TLS 1.2", x509.ECDSA, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	f("TLS 1.2 with RSA alone", x509.RSA, func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	})
	f("no name", x509.ECDSA, func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "", true })
	f("a name that is not its own", x509.ECDSA, func(c *tls.Config) { c.ServerName, c.InsecureSkipVerify = "nobody.test", true })
	f("a name that is not its own, with RSA alone", x509.RSA, func(c *tls.Config) {
		c.ServerName, c.InsecureSkipVerify = "nobody.test", true
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	})
}

func TestALPN(t *testing.T) {
	a, d := newAuthority(t, "ca"), newDir(t)
	front := newKeep(t).put(defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both()))...))
	f := func(http2 bool, want string, offers ...string) {
		t.Helper()
		c := trusting(a, "a.test")
		c.NextProtos = offers
		m := meet(front.Config(http2), c)
		if m.err != nil && want != "refused" || m.err == nil && m.server.NegotiatedProtocol != want {
			t.Errorf("%v %v: %q %v", http2, offers, m.server.NegotiatedProtocol, m.err)
		}
	}
	f(true, "h2", "h2", "http/1.1")
	f(true, "h2", "http/1.1", "h2") // the server's order counts
	f(true, "http/1.1", "http/1.1")
	f(false, "http/1.1", "h2", "http/1.1")
	f(false, "http/1.0", "http/1.0")
	f(true, "")
	f(true, "refused", "x")
	f(false, "refused", "h2")
}

// Deciding costs nothing that is worth a word.
func TestChoiceAllocatesNothing(t *testing.T) {
	a, d := newAuthority(t, "ca"), newDir(t)
	front := newKeep(t).put(defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"*.a.test"}).both()))...))
	s := front.now.Load()
	hello := &tls.ClientHelloInfo{ServerName: "www.a.test"}
	if n := testing.AllocsPerRun(100, func() {
		if front.configFor(hello, true) != s.http2 {
			t.Error("another configuration")
		}
		if c, err := s.choose(hello); c == nil || err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
