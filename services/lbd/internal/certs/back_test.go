package certs

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

// to is the configuration for a member, as the engine makes it.
func (b *Back) to(host string) *tls.Config {
	c := b.Config()
	if c.ServerName == "" {
		c = c.Clone()
		c.ServerName = host
	}
	return c
}

// member is a server as members of a pool are.
func member(a *authority, names ...string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.issue(kindECDSA, names).pair()}, NextProtos: []string{ProtoHTTP2, ProtoHTTP11}}
}

func (k *keep) putBack(o BackOptions) *Back {
	k.t.Helper()
	commit, problems := k.Prepare(nil, map[string]BackOptions{"api": o})
	if commit == nil {
		k.t.Fatalf("problems: %v", problems)
	}
	commit()
	return k.Back("api")
}

func TestBack(t *testing.T) {
	a, foreign, d, k := newAuthority(t, "ca"), newAuthority(t, "foreign"), newDir(t), newKeep(t)
	ca := d.write("ca.pem", a.pem())
	f := func(what string, o BackOptions, host string, server *tls.Config, want string) {
		t.Helper()
		m := meet(server, k.putBack(o).to(host))
		got := m.client.NegotiatedProtocol
		if m.err != nil {
			got = m.err.Error()
		}
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	f("by name", BackOptions{CA: ca}, "a.test", member(a, "a.test"), "http/1.1")
	f("by address", BackOptions{CA: ca}, "10.0.0.1", member(a, "10.0.0.1"), "http/1.1")
	f("HTTP/2", BackOptions{CA: ca, HTTP2: true}, "a.test", member(a, "a.test"), "h2")
	f("another name", BackOptions{CA: ca}, "b.test", member(a, "a.test"), "not b.test")
	f("a given name", BackOptions{CA: ca, ServerName: "a.test"}, "10.0.0.1", member(a, "a.test"), "http/1.1")
	f("a given name that it does not have", BackOptions{CA: ca, ServerName: "c.test"}, "a.test", member(a, "a.test"), "not c.test")
	f("another authority", BackOptions{CA: ca}, "a.test", member(foreign, "a.test"), "unknown authority")
	f("the system's authorities", BackOptions{}, "a.test", member(a, "a.test"), "unknown authority")
	f("insecure", BackOptions{Insecure: true}, "a.test", member(foreign, "b.test"), "http/1.1")
	old := member(a, "a.test")
	old.MaxVersion = tls.VersionTLS11
	f("TLS 1.1", BackOptions{CA: ca}, "a.test", old, "protocol version")

	asks := member(a, "a.test")
	asks.ClientAuth, asks.ClientCAs = tls.RequireAndVerifyClientCert, a.pool()
	f("asks for a certificate, none", BackOptions{CA: ca}, "a.test", asks, "certificate required")
	f("asks for a certificate", BackOptions{CA: ca, Cert: d.write("me.pem", a.issue(kindECDSA, nil).both())}, "a.test", asks, "http/1.1")
	f("asks for another's certificate", BackOptions{CA: ca, Cert: d.write("me.pem", foreign.issue(kindECDSA, nil).both())}, "a.test", asks, "unknown certificate")
}

// Files of members are taken anew like those of clients; what is verified by an authority that is gone is not resumed.
func TestBackTakesNewFiles(t *testing.T) {
	a, b, d, k := newAuthority(t, "ca"), newAuthority(t, "next"), newDir(t), newKeep(t)
	back := k.putBack(BackOptions{CA: d.write("ca.pem", a.pem()), Cert: d.write("me.pem", a.issue(kindECDSA, nil).both())})
	server := member(a, "a.test")
	if first, again := meet(server, back.to("a.test")), meet(server, back.to("a.test")); first.err != nil || !again.client.DidResume {
		t.Fatalf("%v, resumed %v", first.err, again.client.DidResume)
	}
	before := back.Config()
	k.Look(time.Now())
	if back.Config() != before {
		t.Error("a look at the same files makes new configurations")
	}
	d.write("ca.pem", b.pem())
	k.Look(time.Now())
	if m := meet(server, back.to("a.test")); m.err == nil {
		t.Error("a member of the old authority is believed")
	}
	if m := meet(member(b, "a.test"), back.to("a.test")); m.err != nil {
		t.Error(m.err)
	}
	d.write("ca.pem", "x")
	k.Look(time.Now())
	k.Look(time.Now().Add(settle))
	if m := meet(member(b, "a.test"), back.to("a.test")); m.err != nil || k.told() != "certificate-unusable" {
		t.Errorf("%v", m.err)
	}
	if commit, problems := k.Prepare(nil, map[string]BackOptions{"api": back.state.o}); commit != nil || problems["pools.api.tls"][0].At[0] != "ca" {
		t.Errorf("problems %v", problems)
	}
	commit, _ := k.Prepare(nil, nil)
	commit()
	if k.Back("api") != nil || len(k.health.Snapshot()) > 0 {
		t.Errorf("left: %v", k.health.Snapshot())
	}
}
