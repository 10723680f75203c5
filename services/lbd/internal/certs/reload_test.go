package certs

import (
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/health"
)

// serial returns which certificate a front shows for a name.
func serial(t *testing.T, f *Front, a *authority, name string) string {
	t.Helper()
	m := meet(f.Config(false), trusting(a, name))
	if m.err != nil {
		t.Fatal(m.err)
	}
	return m.client.PeerCertificates[0].SerialNumber.Text(16)
}

func TestSwap(t *testing.T) {
	a, d, k := newAuthority(t, "ca"), newDir(t), newKeep(t)
	one, two := a.issue(kindECDSA, []string{"a.test"}), a.issue(kindECDSA, []string{"a.test"})
	path := d.write("a.pem", one.both())
	front := k.put(defaults(sources(path)...))
	k.Look(time.Now())
	if got := serial(t, front, a, "a.test"); got != one.cert.SerialNumber.Text(16) || k.told() != "" {
		t.Errorf("serial %s", got)
	}
	before := front.now.Load()
	k.Look(time.Now())
	if front.now.Load() != before {
		t.Error("a look at the same files makes a new snapshot")
	}
	d.write("a.pem", two.both())
	k.Look(time.Now())
	if got := serial(t, front, a, "a.test"); got != two.cert.SerialNumber.Text(16) {
		t.Errorf("serial %s", got)
	}
	if got := k.told(); got != "certificate-replaced a.test" {
		t.Errorf("told %q", got)
	}
	// In place, within the grain of the file system's clock, and of the same size.
	for _, c := range []*issued{one, two, one} {
		if err := os.WriteFile(path, []byte(c.both()), 0o600); err != nil {
			t.Fatal(err)
		}
		k.Look(time.Now())
		if got := serial(t, front, a, "a.test"); got != c.cert.SerialNumber.Text(16) {
			t.Errorf("serial %s", got)
		}
	}
}

// A file that is young may change again within the same tick of the file system's clock.
func TestSettled(t *testing.T) {
	now := time.Now()
	f := func(mtime, ctime time.Duration, want bool) {
		t.Helper()
		s := stamp{ino: 1, mtime: now.Add(mtime).UnixNano(), ctime: now.Add(ctime).UnixNano()}
		if got := s.settled(now); got != want {
			t.Errorf("%v, %v: %v", mtime, ctime, got)
		}
	}
	f(-time.Hour, -time.Hour, true)
	f(-time.Second, -time.Second, false)
	f(-time.Hour, -time.Second, false) // an old file has come here
	f(time.Second, time.Second, false)
	f(time.Hour, 0, true) // who says so says nothing of the tick
	if !(stamp{}).settled(now) {
		t.Error("no file is not settled")
	}
}

// A key that does not fit leaves the pair of before in force and says so, until it fits.
func TestHalfAPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, d, k := newAuthority(t, "ca"), newDir(t), newKeep(t)
		one, two := a.issue(kindECDSA, []string{"a.test"}), a.issue(kindECDSA, []string{"a.test"})
		path := d.write("a.pem", one.chain())
		d.write("a.key", one.key())
		front := k.put(defaults(sources(path)...))
		d.write("a.pem", two.chain())
		k.Look(time.Now())
		if got := k.told(); got != "" || len(k.items()) > 0 {
			t.Errorf("told at once: %q, %v", got, k.items())
		}
		time.Sleep(settle)
		k.Look(time.Now())
		k.Look(time.Now())
		if got := k.told(); got != "certificate-unusable a.test" {
			t.Errorf("told %q", got)
		}
		item := k.items()["lbd.tls.unusable.web"]
		if item.Level != health.Fail || item.Detail != d.at("a.key")+" does not fit the certificate" {
			t.Errorf("item %+v", item)
		}
		if got := serial(t, front, a, "a.test"); got != one.cert.SerialNumber.Text(16) {
			t.Errorf("serial %s", got)
		}
		if commit, problems := k.Prepare(map[string]Options{"web": front.state.o}, nil); commit != nil || len(problems["tls.web"]) != 1 {
			t.Errorf("a configuration with it is taken: %v", problems)
		}
		d.write("a.key", two.key())
		k.Look(time.Now())
		if got := k.told(); got != "certificate-replaced a.test" || len(k.items()) > 0 {
			t.Errorf("told %q, %v", got, k.items())
		}
		if got := serial(t, front, a, "a.test"); got != two.cert.SerialNumber.Text(16) {
			t.Errorf("serial %s", got)
		}
		d.remove("a.key")
		time.Sleep(settle)
		k.Look(time.Now())
		time.Sleep(settle)
		k.Look(time.Now())
		if got := k.told(); got != "certificate-unusable a.test" {
			t.Errorf("told %q", got)
		}
		if got := k.items()["lbd.tls.unusable.web"].Detail; got != path+" holds no key, and there is none beside it, as a.key" {
			t.Errorf("detail %q", got)
		}
	})
}

// What cannot be used at first is refused, by its place in the configuration.
func TestCheck(t *testing.T) {
	a, d := newAuthority(t, "ca"), newDir(t)
	c, foreign := a.issue(kindECDSA, []string{"a.test"}), a.issue(kindECDSA, []string{"a.test"})
	good := d.write("good.pem", c.both())
	f := func(o Options, want ...string) {
		t.Helper()
		var got []string
		for _, p := range Check(o, time.Now()) {
			var at []string
			for _, e := range p.At {
				switch e := e.(type) {
				case string:
					at = append(at, e)
				case int:
					at = append(at, string(rune('0'+e)))
				}
			}
			got = append(got, strings.Join(at, ".")+": "+strings.ReplaceAll(p.String(), d.path, "D"))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	with := func(change func(*Options), s ...Source) Options {
		o := defaults(s...)
		change(&o)
		return o
	}
	f(defaults(Source{Cert: good}))
	f(defaults(Source{Cert: good}, Source{Cert: good})) // once is enough
	f(defaults(Source{Cert: good}, Source{Cert: d.at("no.pem")}), "certificates.1.cert: D/no.pem cannot be read: no such file or directory")
	f(defaults(Source{Cert: good, Key: d.at("no.key")}), "certificates.0.key: D/no.key cannot be read: no such file or directory")
	if err := os.Mkdir(d.at("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	f(defaults(Source{Cert: d.at("empty")}), "certificates: there is none that can be used")
	f(defaults(Source{Cert: good}, Source{Cert: d.write("x.pem", c.chain()), Key: d.write("y.key", foreign.key())}),
		"certificates.1.key: D/y.key does not fit the certificate")
	f(defaults(Source{Cert: good, OCSP: d.at("no.ocsp")}), "certificates.0.ocsp: D/no.ocsp cannot be read: no such file or directory")
	f(defaults(Source{Cert: good}, Source{Cert: "/dev/null"}), "certificates.1.cert: /dev/null is no file")
	f(defaults(Source{Cert: good}, Source{Cert: d.write("big.pem", strings.Repeat("x", MaxFile+1))}), "certificates.1.cert: D/big.pem is too large")
	f(defaults(Source{Cert: d.write("sub/b.pem", foreign.both()), Names: []string{"b.test"}}), "certificates.0.cert: D/sub/b.pem is not for b.test, as clients will say")
	f(defaults(Source{Cert: d.at("sub"), Key: "x"}), "certificates.0.cert: D/sub is a directory, which takes no key, ocsp and names")
	f(with(func(o *Options) { o.Default = "b.test" }, Source{Cert: good}), "default: no certificate is for b.test")
	f(with(func(o *Options) { o.Clients = &Clients{CA: d.at("no.pem")} }, Source{Cert: good}), "clients.ca: D/no.pem cannot be read: no such file or directory")
	f(with(func(o *Options) { o.Clients = &Clients{CA: d.write("ca.pem", "x")} }, Source{Cert: good}), "clients.ca: D/ca.pem holds no certificate")
	f(with(func(o *Options) { o.Clients = &Clients{CA: d.write("ca.pem", a.pem()), CRL: good} }, Source{Cert: good}),
		"clients.crl: "+"D/good.pem holds no list of revoked certificates")
	if err := os.Chmod(good, 0o644); err != nil {
		t.Fatal(err)
	}
	f(defaults(Source{Cert: good}), "certificates.0.key: D/good.pem holds a key that others may read or write")
	if err := os.Chmod(good, 0o640); err != nil {
		t.Fatal(err)
	}
	f(defaults(Source{Cert: good}))
}

func TestDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, d, k := newAuthority(t, "ca"), newDir(t), newKeep(t)
		put := func(file, name string) *issued {
			c := a.issue(kindECDSA, []string{name})
			d.write("all/"+file, c.both())
			return c
		}
		put("a.pem", "a.test")
		put(".hidden.pem", "hidden.test")
		put("notes.txt", "notes.test")
		b := a.issue(kindECDSA, []string{"b.test"})
		d.write("all/b.crt", b.chain())
		d.write("all/b.key", b.key())
		bot := a.issue(kindECDSA, []string{"bot.test"})
		d.write("all/bot.test/fullchain.pem", bot.chain())
		d.write("all/bot.test/privkey.pem", bot.key())
		d.write("all/broken.pem", "x")
		front := k.put(defaults(sources(d.at("all"))...))
		names := func() string {
			var out []string
			for _, e := range front.state.entries {
				if e.pair != nil {
					out = append(out, e.pair.names...)
				}
			}
			return strings.Join(out, " ")
		}
		if got := names(); got != "a.test b.test bot.test" {
			t.Errorf("names %s", got)
		}
		time.Sleep(settle)
		k.Look(time.Now())
		if got := k.told(); got != "certificate-unusable" {
			t.Errorf("told %q", got)
		}
		if got := k.items()["lbd.tls.unusable.web"].Detail; got != d.at("all/broken.pem")+" holds no certificate" {
			t.Errorf("detail %q", got)
		}
		d.remove("all/broken.pem")
		put("c.pem", "c.test")
		k.Look(time.Now())
		if got := names(); got != "a.test b.test bot.test c.test" || k.told() != "certificate-replaced c.test" || len(k.items()) > 0 {
			t.Errorf("names %s, %v", got, k.items())
		}
		// One that is gone for a moment is not missed; one that stays away is.
		d.remove("all/a.pem")
		k.Look(time.Now())
		if got := names(); !strings.Contains(got, "a.test") {
			t.Errorf("names %s", got)
		}
		time.Sleep(settle)
		k.Look(time.Now())
		if got := names(); got != "b.test bot.test c.test" {
			t.Errorf("names %s", got)
		}
		// A directory that cannot be read takes nothing away.
		if err := os.Rename(d.at("all"), d.at("away")); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			k.Look(time.Now())
			time.Sleep(settle)
		}
		if got := names(); got != "b.test bot.test c.test" || k.items()["lbd.tls.unusable.web"].Level != health.Fail {
			t.Errorf("names %s, %v", got, k.items())
		}
		if err := os.Rename(d.at("away"), d.at("all")); err != nil {
			t.Fatal(err)
		}
		k.Look(time.Now())
		if got := names(); got != "b.test bot.test c.test" || len(k.items()) > 0 {
			t.Errorf("names %s, %v", got, k.items())
		}
		d.remove("all/c.pem")
		k.put(front.state.o) // a reload is asked for
		if got := names(); got != "b.test bot.test" {
			t.Errorf("names %s", got)
		}
	})
}

// Handshakes go on while certificates are swapped, and none fails.
func TestSwapLosesNoHandshake(t *testing.T) {
	a, d, k := newAuthority(t, "ca"), newDir(t), newKeep(t)
	certs := []*issued{a.issue(kindECDSA, []string{"a.test"}), a.issue(kindECDSA, []string{"a.test"})}
	path := d.write("a.pem", certs[0].both())
	front := k.put(defaults(sources(path)...))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c := trusting(a, "a.test")
			for n := 0; ; n++ {
				if m := meet(front.Config(n%2 == 0), c); m.err != nil || m.serverErr != nil {
					t.Errorf("%v, %v", m.err, m.serverErr)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range 100 {
		if i%10 == 5 { // a half of it, now and then
			d.write("a.pem", certs[i%2].both()[:700])
			k.Look(time.Now())
		}
		d.write("a.pem", certs[i%2].both())
		k.Look(time.Now())
		if i%10 == 0 {
			k.put(front.state.o)
		}
	}
	close(stop)
	wg.Wait()
	if front != k.Front("web") {
		t.Error("a reload makes another front")
	}
}

// Run takes new files within about a second, and ends.
func TestRunInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, d, k := newAuthority(t, "ca"), newDir(t), newKeep(t)
		path := d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both())
		k.put(defaults(sources(path)...))
		done := make(chan struct{})
		go func() {
			defer close(done)
			k.Run(t.Context())
		}()
		d.write("a.pem", a.issue(kindECDSA, []string{"a.test"}).both())
		time.Sleep(lookEvery + time.Millisecond)
		synctest.Wait()
		if got := k.told(); got != "certificate-replaced a.test" {
			t.Errorf("told %q", got)
		}
		t.Cleanup(func() { <-done })
	})
}
