package certs

import (
	"crypto/tls"
	"encoding/hex"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/pki"
)

func mustKeys(t testing.TB, secrets ...string) *pki.Keys {
	t.Helper()
	k, err := pki.New("test", secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestPeriod(t *testing.T) {
	f := func(at int64, want int64) {
		t.Helper()
		if got := (Tickets{Rotate: 12 * time.Hour}).period(time.Unix(at, 0)); got != want {
			t.Errorf("%d: %d, want %d", at, got, want)
		}
	}
	f(0, 0)
	f(43199, 0)
	f(43200, 1)
	f(-1, -1)
	f(-43200, -1)
	f(-43201, -2)
}

// Two builds must derive alike, or an upgrade ends all sessions: the expected bytes are written down.
func TestTicketKeysAreStable(t *testing.T) {
	keys := Tickets{Rotate: 12 * time.Hour}.keys(mustKeys(t, secret), "web", 40000)
	// openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt key:… -kdfopt salt:test
	//   -kdfopt info:everup/lbd-tickets/4b5e57f6eb2f42b9039b3d1e13929295/43200/40000/v1 HKDF, where the hexadecimal is the beginning of the SHA-256 of "web"
	const want = "80c1409f0c9eb5b1d948ed6d6168d60fd3dcabe73c159dbeab1d336bdcab7721"
	if got := hex.EncodeToString(keys[0][:]); got != want {
		t.Errorf("the key is %s", got)
	}
	if len(keys) != 3 {
		t.Errorf("%d keys", len(keys))
	}
}

// What one encrypts the others accept: in the next period and the one before, and while the secret is rotated.
func TestTicketKeysOverlap(t *testing.T) {
	r := Tickets{Rotate: time.Hour}
	f := func(what string, a, b [][32]byte, want bool) {
		t.Helper()
		accepts := false
		for _, k := range b {
			accepts = accepts || k == a[0]
		}
		if accepts != want {
			t.Errorf("%s: %v", what, accepts)
		}
	}
	one, both, other := mustKeys(t, secret), mustKeys(t, secret2, secret), mustKeys(t, secret2)
	now := r.keys(one, "web", 7)
	f("the same", now, r.keys(one, "web", 7), true)
	f("a clock behind", now, r.keys(one, "web", 6), true)
	f("a clock ahead, or an old ticket", now, r.keys(one, "web", 8), true)
	f("too old", now, r.keys(one, "web", 9), false)
	f("another front", now, r.keys(one, "shop", 7), false)
	f("another rotation", now, Tickets{Rotate: 2 * time.Hour}.keys(one, "web", 7), false)
	f("another secret", now, r.keys(other, "web", 7), false)
	f("a new secret, the old one still accepted", now, r.keys(both, "web", 8), true)
	f("the old secret, the new one in use elsewhere", r.keys(both, "web", 7), now, false)
}

// A session that was made at one lbd is resumed at another of the fleet, and only there.
func TestSessionsAcrossTheFleet(t *testing.T) {
	a, d := newAuthority(t, "ca"), newDir(t)
	o := defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both()))...)
	one, two, stranger := newKeep(t).put(o), newKeep(t).put(o), newKeep(t, secret2).put(o)
	off := o
	off.Tickets.Off = true
	without := newKeep(t).put(off)
	f := func(what string, from, to *Front, http2, want bool) {
		t.Helper()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c := trusting(a, "a.test")
			c.MaxVersion, c.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
			if m := meet(from.Config(false), c); m.err != nil || m.client.DidResume {
				t.Fatalf("%s: %v, resumed %v", what, m.err, m.client.DidResume)
			}
			if m := meet(to.Config(http2), c); m.err != nil || m.client.DidResume != want {
				t.Errorf("%s, %s: %v, resumed %v", what, tls.VersionName(version), m.err, m.client.DidResume)
			}
		}
	}
	f("itself", one, one, false, true)
	f("another of the fleet", one, two, false, true)
	f("another listener", one, two, true, true)
	f("another fleet", one, stranger, false, false)
	f("no tickets made", without, one, false, false)
	f("no tickets taken", one, without, false, false)
}

// Keys rotate by the time: a ticket is good for a period at least and two at most.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, d := newAuthority(t, "ca"), newDir(t)
		k := newKeep(t)
		front := k.put(defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both()))...))
		resumes := func(after time.Duration) bool {
			t.Helper()
			c := trusting(a, "a.test")
			c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			meet(front.Config(false), c)
			time.Sleep(after)
			k.Look(time.Now())
			m := meet(front.Config(false), c)
			if m.err != nil {
				t.Fatal(m.err)
			}
			return m.client.DidResume
		}
		if at := time.Now(); at.Unix()%43200 != 0 {
			t.Fatalf("the bubble begins at %v", at)
		}
		if !resumes(12*time.Hour) || !resumes(12*time.Hour-time.Second) {
			t.Error("a ticket ends before its time")
		}
		if resumes(24 * time.Hour) {
			t.Error("a ticket outlives its key")
		}
	})
}

// What is demanded of clients keeps sessions apart: who came without a certificate does not get in by a ticket.
func TestTicketsAndClientCertificates(t *testing.T) {
	a, other, d := newAuthority(t, "ca"), newAuthority(t, "other"), newDir(t)
	o := defaults(sources(d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both()))...)
	with := func(ca *authority, required bool) *Front {
		o := o
		if ca != nil {
			o.Clients = &Clients{CA: d.write(ca.cert.Subject.CommonName+".pem", ca.pem()), Required: required}
		}
		return newKeep(t).put(o)
	}
	f := func(what string, from, to *Front, want bool) {
		t.Helper()
		c := trusting(a, "a.test")
		c.ClientSessionCache, c.Certificates = tls.NewLRUClientSessionCache(1), []tls.Certificate{a.issue(kindECDSA, nil).pair()}
		meet(from.Config(false), c)
		if m := meet(to.Config(false), c); m.client.DidResume != want {
			t.Errorf("%s: resumed %v, %v", what, m.client.DidResume, m.err)
		}
	}
	f("required at both", with(a, true), with(a, true), true)
	f("optional, then required", with(a, false), with(a, true), false)
	f("not asked, then required", with(nil, false), with(a, true), false)
	f("another authority", with(a, true), with(other, true), false)
	if with(a, true).now.Load().scope == with(other, true).now.Load().scope { // crypto/tls verifies again; the keys differ all the same
		t.Error("two authorities have the same ticket keys")
	}
}
