package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"
)

func TestParseStaple(t *testing.T) {
	a, foreign := newAuthority(t, "ca"), newAuthority(t, "foreign")
	c, other := a.issue(kindECDSA, []string{"a.test"}), a.issue(kindECDSA, []string{"a.test"})
	now := time.Now()
	f := func(what, answer string, issuer *x509.Certificate, want string) {
		t.Helper()
		s, err := parseStaple([]byte(answer), c.cert, issuer)
		got := ""
		if err != nil {
			got = err.Error()
		} else if !s.good(now) {
			got = "not good"
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	f("good", a.answer(c, ocsp.Good, now.Add(-time.Hour), now.Add(time.Hour)), a.cert, "")
	f("a clock ahead", a.answer(c, ocsp.Good, now.Add(time.Minute), now.Add(time.Hour)), a.cert, "")
	f("no end", a.answer(c, ocsp.Good, now.Add(-6*day), time.Time{}), a.cert, "")
	f("no end, and old", a.answer(c, ocsp.Good, now.Add(-8*day), time.Time{}), a.cert, "not good")
	f("not yet", a.answer(c, ocsp.Good, now.Add(time.Hour), now.Add(2*time.Hour)), a.cert, "not good")
	f("over", a.answer(c, ocsp.Good, now.Add(-2*time.Hour), now.Add(-time.Hour)), a.cert, "not good")
	f("revoked", a.answer(c, ocsp.Revoked, now.Add(-time.Hour), now.Add(time.Hour)), a.cert, "is revoked")
	f("unknown", a.answer(c, ocsp.Unknown, now.Add(-time.Hour), now.Add(time.Hour)), a.cert, "does not say that the certificate is good")
	f("another certificate", a.answer(other, ocsp.Good, now.Add(-time.Hour), now.Add(time.Hour)), a.cert, "is no OCSP answer for the certificate")
	f("another authority", foreign.answer(c, ocsp.Good, now.Add(-time.Hour), now.Add(time.Hour)), a.cert, "is no OCSP answer for the certificate")
	f("rubbish", "x", a.cert, "is no OCSP answer for the certificate")
	f("no issuer", a.answer(c, ocsp.Good, now.Add(-time.Hour), now.Add(time.Hour)), nil, "the chain does not hold the issuer's certificate")
}

// An answer is sent while it is good, without a word, and taken from its file when that is renewed.
func TestStapling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, d, k := newAuthority(t, "ca"), newDir(t), newKeep(t)
		c := a.issue(kindECDSA, []string{"a.test"})
		path := d.write("a.pem", c.both())
		front := k.put(defaults(sources(path)...))
		stapled := func() bool {
			t.Helper()
			k.Look(time.Now())
			m := meet(front.Config(false), trusting(a, "a.test"))
			if m.err != nil {
				t.Fatal(m.err)
			}
			return len(m.client.OCSPResponse) > 0
		}
		if stapled() || len(k.items()) > 0 {
			t.Errorf("an answer of nothing: %v", k.items())
		}
		d.write("a.pem.ocsp", a.answer(c, ocsp.Good, time.Now(), time.Now().Add(day)))
		if !stapled() {
			t.Error("not stapled")
		}
		time.Sleep(day)
		if stapled() {
			t.Error("an answer is sent that has ended")
		}
		time.Sleep(settle)
		item := k.items()["lbd.tls.stapling.web"]
		if !strings.Contains(item.Detail, "a.pem.ocsp is good from ") {
			t.Errorf("item %+v", item)
		}
		d.write("a.pem.ocsp", a.answer(c, ocsp.Good, time.Now(), time.Now().Add(day)))
		if !stapled() || len(k.items()) > 0 {
			t.Errorf("not stapled anew: %v", k.items())
		}
		d.write("a.pem.ocsp", a.answer(c, ocsp.Revoked, time.Now(), time.Now().Add(day)))
		if stapled() {
			t.Error("an answer is sent that says revoked")
		}
		d.remove("a.pem.ocsp")
		if stapled() || len(k.items()) > 0 {
			t.Errorf("%v", k.items())
		}
	})
}

func TestMustStaple(t *testing.T) {
	a, d := newAuthority(t, "ca"), newDir(t)
	must := func(c *x509.Certificate) {
		value, _ := asn1.Marshal([]int{5})
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: value}}
	}
	problems := Check(defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}, must).both()))...), time.Now())
	if len(problems) != 1 || problems[0].Kind != Unstapled || !strings.Contains(problems[0].Msg, "clients will refuse it") {
		t.Errorf("problems %v", problems)
	}
}

// Whatever bytes come, an answer is one for the certificate or an error.
func FuzzStaple(f *testing.F) {
	a := newAuthority(f, "ca")
	c := a.issue(kindECDSA, []string{"a.test"})
	f.Add([]byte(a.answer(c, ocsp.Good, time.Now(), time.Now().Add(time.Hour))))
	f.Add([]byte(a.answer(c, ocsp.Revoked, time.Now(), time.Time{})))
	f.Add([]byte("0\x03\x0a\x01\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseStaple(b, c.cert, a.cert); err == nil && (len(s.raw) == 0 || s.until.IsZero()) {
			t.Errorf("half an answer: %+v", s)
		}
	})
}
