package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/certs"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/labtest"
	"github.com/google/go-cmp/cmp"
)

// The section as it is meant, and what is wrong with it at its place; files are looked at.
func TestTLSErrors(t *testing.T) {
	files := labtest.NewCerts(t, "a.test")
	dir := filepath.Dir(files.CertFile)
	both := filepath.Join(dir, "both.pem")
	var all []byte
	for _, path := range []string{files.CertFile, files.KeyFile} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if err := os.WriteFile(both, all, 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(s string) string { return strings.ReplaceAll(s, "DIR", dir) }
	f := func(yaml string, want ...string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("f", []byte(in(yaml)), &c, conf.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if want := in(strings.Join(want, "\n")); got != want {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", yaml, got, want)
		}
	}
	f("listen: [':80', {addr: ':443', tls: web}]\ntls: {web: {certificates: DIR/both.pem}}\n")
	f("tls: {web: {certificates: [{cert: DIR/cert.pem, key: DIR/key.pem, names: '*.b.test'}], default: x.b.test, tickets: false, policy: modern}}\n")
	f("tls: {web: {certificates: DIR/both.pem, clients: {ca: DIR/ca.pem}, curves: p256, expiry: 10d, min_version: 1.3}}\n")
	f("listen: [{addr: ':443', tls: wbe}]\ntls: {web: {certificates: DIR/both.pem}}\n",
		`f:1:30: listen[0].tls: unknown section of tls "wbe" (did you mean "web"?)`)
	f("tls:\n  web: {}\n", "f:2:8: tls.web.certificates: is required")
	f("tls:\n  web:\n    certificates:\n    - DIR/both.pem\n    - DIR/no.pem\n", "f:5:7: tls.web.certificates[1].cert: DIR/no.pem cannot be read: no such file or directory")
	f("tls:\n  web:\n    certificates:\n    - {cert: DIR/both.pem, key: DIR/ca.pem}\n", "f:4:"+at(in("    - {cert: DIR/both.pem, key: "))+": tls.web.certificates[0].key: DIR/ca.pem holds no key")
	f("tls:\n  web:\n    certificates: [DIR/both.pem, DIR/both.pem]\n    default: b.test\n",
		`f:3:`+at(in("    certificates: [DIR/both.pem, "))+`: tls.web.certificates[1].cert: "DIR/both.pem" is listed twice`,
		`f:4:14: tls.web.default: no certificate is for b.test`)
	f("tls: {web: {certificates: {names: [a.test, 'b test'], cert: DIR/both.pem}, default: '*'}}\n",
		`f:1:44: tls.web.certificates.names[1]: "b test" is no host name (write www.example.com or *.example.com)`,
		`f:1:`+at(in("tls: {web: {certificates: {names: [a.test, 'b test'], cert: DIR/both.pem}, default: "))+`: tls.web.default: "*" is no host name (write www.example.com)`)
	f("tls: {web: {policy: modern, max_version: 1.2, min_version: 1.1, certificates: DIR/both.pem}}\n",
		`f:1:60: tls.web.min_version: expected text, found the number 1.1 (did you mean "1.2"?)`)
	f("tls: {web: {policy: modern, max_version: 1.2, certificates: DIR/both.pem}}\n",
		`f:1:21: tls.web.policy: no version is left: the lowest is TLS 1.3, the highest TLS 1.2`)
	f("tls: {web: {expiry: [1d, 0], clients: {ca: DIR/no.pem, crl: DIR/ca.pem}, certificates: DIR/both.pem}}\n",
		`f:1:26: tls.web.expiry[1]: is not before the end`,
		`f:1:44: tls.web.clients.ca: DIR/no.pem cannot be read: no such file or directory`)
	f("pools: {web: {members: [{addr: 'h:80'}], tls: {ca: DIR/key.pem}}}\n", `f:1:52: pools.web.tls.ca: DIR/key.pem holds no certificate`)
	f("pools: {web: {members: [{addr: 'h:80'}], tls: {ca: DIR/ca.pem, cert: DIR/both.pem, server_name: a.test}}}\n")

	var c Config
	if _, err := conf.Parse("f", []byte("tls: {web: {certificates: /nowhere}}\n"), &c, conf.Options{Offline: true}); err != nil {
		t.Errorf("offline: %v", err)
	}
}

// at is the column behind a text.
func at(before string) string { return strconv.Itoa(len(before) + 1) }

func TestOptions(t *testing.T) {
	const day = 24 * time.Hour
	parse := func(yaml string) *Config {
		var c Config
		if _, err := conf.Parse("f", []byte(yaml), &c, conf.Options{Offline: true}); err != nil {
			t.Fatal(err)
		}
		return &c
	}
	c := parse(`tls:
  web: {certificates: /a.pem}
  shop:
    certificates: [{cert: /b.pem, key: /b.key, ocsp: /b.ocsp, names: [Shop.Test., '*.shop.test']}]
    default: SHOP.test
    strict_sni: true
    policy: modern
    max_version: 1.3
    curves: [p256]
    clients: {mode: optional, ca: /ca.pem, crl: /crl.pem}
    tickets: {rotate: 1h}
    expiry: [1d, 20d]
pools:
  api: {members: [{addr: 'h:1'}], http2: true, tls: {ca: /ca.pem, cert: /c.pem, key: /c.key, server_name: api.test}}
  plain: {members: [{addr: 'h:1'}]}
`)
	want := map[string]certs.Options{
		"web": {
			Certificates: []certs.Source{{Cert: "/a.pem"}}, Policy: certs.Policy{Preset: "intermediate"},
			Tickets: certs.Tickets{Rotate: 12 * time.Hour}, Expiry: []time.Duration{30 * day, 7 * day, day},
		},
		"shop": {
			Certificates: []certs.Source{{Cert: "/b.pem", Key: "/b.key", OCSP: "/b.ocsp", Names: []string{"shop.test", "*.shop.test"}}},
			Default:      "shop.test", Strict: true, Policy: certs.Policy{Preset: "modern", Max: "1.3", Curves: []string{"p256"}},
			Clients: &certs.Clients{CA: "/ca.pem", CRL: "/crl.pem"}, Tickets: certs.Tickets{Rotate: time.Hour}, Expiry: []time.Duration{20 * day, day},
		},
	}
	if d := cmp.Diff(want, c.Fronts()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	backs := map[string]certs.BackOptions{"api": {CA: "/ca.pem", Cert: "/c.pem", Key: "/c.key", ServerName: "api.test", HTTP2: true}}
	if d := cmp.Diff(backs, c.Backs()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if c = parse("tls: {web: {certificates: /a.pem, tickets: false, clients: {ca: /ca.pem}}}\n"); !c.Fronts()["web"].Tickets.Off || !c.Fronts()["web"].Clients.Required {
		t.Errorf("%+v", c.Fronts()["web"])
	}
}
