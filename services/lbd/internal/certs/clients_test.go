package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClientCertificates(t *testing.T) {
	a, foreign, d, k := newAuthority(t, "ca"), newAuthority(t, "foreign"), newDir(t), newKeep(t)
	good, taken, alien := a.issue(kindECDSA, []string{"good.test"}), a.issue(kindECDSA, []string{"taken.test"}), foreign.issue(kindECDSA, nil)
	old := a.issue(kindECDSA, nil, until(time.Now().Add(-time.Minute)))
	o := defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both()))...)
	ca, crl := d.write("ca.pem", a.pem()), d.write("crl.pem", a.crl(time.Now().Add(day), taken))
	f := func(what string, c *Clients, shows *issued, want string) {
		t.Helper()
		o.Clients = c
		client := trusting(a, "a.test")
		if shows != nil {
			pair := shows.pair()
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		m := meet(k.put(o).Config(false), client)
		got := "-"
		if m.err != nil || m.serverErr != nil {
			got = "refused"
		} else if c := ClientOf(&m.server); c != nil {
			got = c.Names
		}
		if got != want {
			t.Errorf("%s: %s, want %s (%v)", what, got, want, m.serverErr)
		}
	}
	f("not asked", nil, good, "-")
	optional, required := &Clients{CA: ca, CRL: crl}, &Clients{CA: ca, CRL: crl, Required: true}
	f("optional, none", optional, nil, "-")
	f("optional, good", optional, good, "DNS:good.test")
	f("optional, foreign", optional, alien, "refused")
	f("optional, ended", optional, old, "refused")
	f("optional, taken back", optional, taken, "refused")
	f("required, none", required, nil, "refused")
	f("required, good", required, good, "DNS:good.test")
	f("required, foreign", required, alien, "refused")
	f("required, taken back", required, taken, "refused")
	f("no list", &Clients{CA: ca, Required: true}, taken, "DNS:taken.test")
	d.write("crl.der", string(derOf(t, a.crl(time.Now().Add(day), taken))))
	f("a list in DER", &Clients{CA: ca, CRL: d.at("crl.der"), Required: true}, taken, "refused")
	d.write("two.pem", a.crl(time.Now().Add(day))+a.crl(time.Now().Add(day), taken))
	f("two lists", &Clients{CA: ca, CRL: d.at("two.pem"), Required: true}, taken, "refused")
	d.write("foreign.pem", foreign.crl(time.Now().Add(day), taken))
	o.Clients = &Clients{CA: ca, CRL: d.at("foreign.pem")}
	if p := Check(o, time.Now()); len(p) != 1 || !strings.Contains(p[0].Msg, "none of the authorities in ca has signed") {
		t.Errorf("a foreign list: %v", p)
	}
}

func derOf(t testing.TB, text string) (der []byte) {
	t.Helper()
	if err := eachBlock([]byte(text), func(b *pem.Block) error { der = b.Bytes; return nil }); err != nil {
		t.Fatal(err)
	}
	return der
}

// A client whose certificate is taken back is refused from the next look on, also with a ticket that it has.
func TestRevocationReachesTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, d, k := newAuthority(t, "ca"), newDir(t), newKeep(t)
		c := a.issue(kindECDSA, nil)
		o := defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both()))...)
		o.Clients = &Clients{CA: d.write("ca.pem", a.pem()), CRL: d.write("crl.pem", a.crl(time.Now().Add(day))), Required: true}
		front := k.put(o)
		client := trusting(a, "a.test")
		client.Certificates, client.ClientSessionCache = []tls.Certificate{c.pair()}, tls.NewLRUClientSessionCache(1)
		for i := range 2 {
			if m := meet(front.Config(false), client); m.err != nil || m.client.DidResume != (i == 1) {
				t.Fatalf("%v, resumed %v", m.err, m.client.DidResume)
			}
		}
		d.write("crl.pem", a.crl(time.Now().Add(day), c))
		k.Look(time.Now())
		if m := meet(front.Config(false), client); m.serverErr == nil || !strings.Contains(m.serverErr.Error(), "revoked") {
			t.Errorf("server: %v, client: %v", m.serverErr, m.err)
		}
		if len(k.items()) > 0 {
			t.Errorf("items %v", k.items())
		}
		// A list that is not renewed stays in force, and is told of.
		time.Sleep(day + time.Second)
		k.Look(time.Now())
		time.Sleep(settle)
		if m := meet(front.Config(false), client); m.serverErr == nil {
			t.Error("a revoked client is let in by an old list")
		}
		if got := k.items()["lbd.tls.note.web"].Detail; !strings.Contains(got, "crl.pem should have been renewed by ") {
			t.Errorf("items %v", k.items())
		}
		// One that is broken, too.
		d.write("crl.pem", "x")
		k.Look(time.Now())
		time.Sleep(settle)
		k.Look(time.Now())
		if m := meet(front.Config(false), client); m.serverErr == nil {
			t.Error("a revoked client is let in by a broken list")
		}
		if got := k.told(); got != "certificate-unusable" || !strings.Contains(k.items()["lbd.tls.unusable.web"].Detail, "holds no list") {
			t.Errorf("told %q, items %v", got, k.items())
		}
	})
}

func TestClientOf(t *testing.T) {
	a := newAuthority(t, "ca")
	f := func(change func(*x509.Certificate), want Client) {
		t.Helper()
		c := a.issue(kindECDSA, nil, change)
		state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}}
		if ClientOf(&state) != nil {
			t.Error("a certificate that was not verified counts")
		}
		state.VerifiedChains = [][]*x509.Certificate{{c.cert, a.cert}}
		got := *ClientOf(&state)
		if len(got.Fingerprint) != 64 {
			t.Errorf("fingerprint %q", got.Fingerprint)
		}
		got.Fingerprint = ""
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	}
	spiffe, _ := url.Parse("spiffe://a.test/x")
	f(func(c *x509.Certificate) {
		c.Subject, c.SerialNumber = pkix.Name{CommonName: "me", Organization: []string{"A, B"}, Country: []string{"JP"}}, big.NewInt(0xabc)
		c.DNSNames, c.EmailAddresses, c.URIs = []string{"a.test"}, []string{"a@b.test"}, []*url.URL{spiffe}
	}, Client{Subject: `CN=me,O=A\, B,C=JP`, Name: "me", Names: "DNS:a.test, URI:spiffe://a.test/x, email:a@b.test", Serial: "abc"})
	f(func(c *x509.Certificate) {
		c.Subject, c.SerialNumber, c.URIs = pkix.Name{}, big.NewInt(1), []*url.URL{spiffe}
	},
		Client{Name: "spiffe://a.test/x", Names: "URI:spiffe://a.test/x", Serial: "1"})
}

// Whatever bytes come, a list is read or an error.
func FuzzCRL(f *testing.F) {
	a := newAuthority(f, "ca")
	list := a.crl(time.Now().Add(time.Hour), a.issue(kindECDSA, nil))
	f.Add([]byte(list))
	f.Add(derOf(f, list))
	f.Fuzz(func(t *testing.T, b []byte) {
		auth, err := parseAuthorities([]byte(a.pem()))
		if err != nil {
			t.Fatal(err)
		}
		if auth.addCRL(b) == nil && len(b) == 0 {
			t.Error("nothing is a list")
		}
	})
}
