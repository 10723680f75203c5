package config

import (
	"strings"
	"testing"

	"github.com/everup/everup/shared/conf"
	"github.com/google/go-cmp/cmp"
)

func TestTags(t *testing.T) {
	if err := conf.CheckStruct(new(Config)); err != nil {
		t.Error(err)
	}
}

func TestEndpoint(t *testing.T) {
	f := func(text string, want Endpoint, again string) {
		t.Helper()
		var got Endpoint
		if err := got.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", text, d)
		}
		if got.String() != again {
			t.Errorf("%s: written as %s, want %s", text, got, again)
		}
	}
	f("127.0.0.1:11211", Endpoint{Addr: "127.0.0.1:11211"}, "127.0.0.1:11211")
	f("11211", Endpoint{Addr: ":11211"}, ":11211")
	f("unix:/run/x.sock", Endpoint{Addr: "unix:/run/x.sock"}, "unix:/run/x.sock")
	f("tls:[::1]:11212", Endpoint{Addr: "[::1]:11212", TLS: true}, "tls:[::1]:11212")
	f("mtls:tag[a]:proto[ascii]:10.0.0.1:1", Endpoint{Addr: "10.0.0.1:1", TLS: true, Mutual: true, Protocol: "text", Tag: "a"}, "mtls:proto[ascii]:tag[a]:10.0.0.1:1")
	f("notls:proto[binary]:10.0.0.1:1", Endpoint{Addr: "10.0.0.1:1", Protocol: "binary"}, "proto[binary]:10.0.0.1:1")

	for _, bad := range []string{"", "tls:", "proto[http]:1.2.3.4:1", "tag[]:1.2.3.4:1", "tag[ninebytes]:1.2.3.4:1", "sctp:1.2.3.4:1"} {
		if err := new(Endpoint).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestValidate(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := conf.Parse("cached.yaml", []byte(text), new(Config), conf.Options{})
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	f("memory: 64MiB\n", "")
	f("socket_mode: \"0700\"\n", "")
	f("socket_mode: \"0999\"\n", "octal")
	f("max_item: 40MiB\n", "cached.yaml:1:11: max_item: is more than half of memory")
	f("listen: []\nresp: {}\n", "")
	f("listen: [\"tls:127.0.0.1:1\"]\n", "listen[0]: wants TLS")
	f("listen: [\"tls:unix:/x\"]\ntls: {cert: a, key: b}\n", "unix socket")
	f("listen: [\"mtls:127.0.0.1:1\"]\ntls: {cert: a, key: b}\n", "tls.ca")
	f("tls: {cert: a, key: b, verify: require}\n", "tls.verify: needs tls.ca")
	f("auth: {users: /x}\nudp: {}\n", "udp: knows no login")
	f("publish: [reads]\n", "publish")
}

func TestOpen(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		var c Config
		if _, err := conf.Parse("cached.yaml", []byte(text), &c, conf.Options{}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, c.Open()); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
	f("memory: 64MiB\n")
	f("listen: [127.0.0.1:1, \"10.0.0.1:1\", unix:/x]\n", "10.0.0.1:1")
	f("listen: [11211]\nauth: {users: /x}\n")
	f("listen: [11211]\nauth: {users: /x, sasl: false}\n", ":11211")
	f("listen: [\"proto[ascii]:11211\"]\nauth: {users: /x, sasl: false}\n")
	f("listen: [\"mtls:10.0.0.1:1\"]\ntls: {cert: a, key: b, ca: c}\n")
	f("listen: [\"tls:10.0.0.1:1\"]\ntls: {cert: a, key: b}\n", "tls:10.0.0.1:1")
	f("resp: {listen: [\"10.0.0.1:6379\"]}\n", "resp 10.0.0.1:6379")
	f("udp: {listen: [\"10.0.0.1:11211\", 127.0.0.1:11211]}\n", "udp 10.0.0.1:11211")
	f("protocol: text\nlisten: [11211]\nauth: {users: /x, sasl: false}\n")
	f("protocol: text\nlisten: [\"proto[binary]:11211\"]\nauth: {users: /x, sasl: false}\n", "proto[binary]::11211")
}
