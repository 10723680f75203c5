package certs

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/shared/health"
)

func TestStages(t *testing.T) {
	a := newAuthority(t, "ca")
	now := time.Now()
	f := func(life, left time.Duration, expiry []time.Duration, want int) {
		t.Helper()
		c := a.issue(kindECDSA, nil)
		c.cert.NotBefore, c.cert.NotAfter = now.Add(left-life), now.Add(left)
		if got := stageOf(&pair{leaf: c.cert}, expiry, now); got != want {
			t.Errorf("%v of %v left: %d, want %d", left, life, got, want)
		}
	}
	usual := []time.Duration{30 * day, 7 * day, day}
	f(365*day, 31*day, usual, 0)
	f(365*day, 30*day, usual, 1)
	f(365*day, 7*day, usual, 2)
	f(365*day, day, usual, 3)
	f(365*day, time.Second, usual, 3)
	f(365*day, 0, usual, 4)
	f(365*day, -day, usual, 4)
	f(6*day, 3*day, usual, 0) // those who live short are renewed late
	f(6*day, 2*day, usual, 2)
	f(6*day, day, usual, 3)
	f(365*day, 8*day, nil, 0)
	f(365*day, 0, nil, 1)
}

// The end of a certificate is told once at each time, and shows until it is renewed.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, d, k := newAuthority(t, "ca"), newDir(t), newKeep(t)
		path := d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}, until(time.Now().Add(120*day))).both())
		k.put(defaults(sources(path)...))
		f := func(after time.Duration, told string, level health.Level, detail string) {
			t.Helper()
			time.Sleep(after)
			k.Look(time.Now())
			k.Look(time.Now())
			if got := k.told(); got != told {
				t.Errorf("told %q, want %q", got, told)
			}
			item := k.items()["lbd.tls.expiry.web"]
			if item.Level != level || !strings.HasPrefix(item.Detail, detail) {
				t.Errorf("item %v %q", item.Level, item.Detail)
			}
		}
		f(0, "", health.OK, "")
		f(90*day, "certificate-expiring a.test", health.Warn, "a.test ends in 30 days ("+path+")")
		f(22*day, "", health.Warn, "a.test ends in 8 days")
		f(day, "certificate-expiring a.test", health.Warn, "a.test ends in 7 days")
		f(6*day, "certificate-expiring a.test", health.Fail, "a.test ends in 24h0m0s")
		f(day, "certificate-expired a.test", health.Fail, "a.test has ended ")
		d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both())
		f(0, "certificate-replaced a.test", health.OK, "")
	})
}

func TestStatus(t *testing.T) {
	a, d, k := newAuthority(t, "ca"), newDir(t), newKeep(t)
	now := time.Now()
	soon := a.issue(kindRSA, []string{"soon.test", "*.soon.test"}, until(now.Add(36*time.Hour)))
	late := d.write("late.pem", a.issue(kindECDSA, []string{"late.test"}).both())
	k.put(defaults(sources(late, d.write("soon.pem", soon.both()), d.write("more.pem", a.issue(kindECDSA, []string{"soon.test"}).both()))...))
	got := k.Status(now)
	if len(got) != 3 {
		t.Fatalf("%+v", got)
	}
	want := Status{
		Section: "tls.web", Names: []string{"soon.test", "*.soon.test"}, File: d.at("soon.pem"), Key: "rsa 2048", Issuer: "CN=ca,O=Test",
		Serial: soon.cert.SerialNumber.Text(16), Fingerprint: (&pair{leaf: soon.cert}).fingerprint(),
		From: soon.cert.NotBefore, Until: soon.cert.NotAfter, Left: "ends in 36h0m0s",
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got[0].Default || !got[1].Default && !got[2].Default || got[1].Key != "ecdsa P-256" {
		t.Errorf("%+v", got)
	}
	ends := map[string]time.Duration{}
	k.Ends(now, func(section, name string, left time.Duration) { ends[section+" "+name] = left.Round(time.Hour) })
	if diff := cmp.Diff(map[string]time.Duration{"tls.web soon.test": 36 * time.Hour, "tls.web late.test": 90 * day}, ends); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
