package config

import (
	"strings"
	"testing"

	"github.com/everup/everup/shared/conf"
)

func TestErrors(t *testing.T) {
	f := func(yaml string, want ...string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("lbd.yaml", []byte(yaml), &c, conf.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != strings.Join(want, "\n") {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", yaml, got, strings.Join(want, "\n"))
		}
	}
	f("routes: [{host: '*.a.test', path: /x/, pool: web}]\npools: {web: {members: [{addr: 'h:80', weight: 0}]}}\n")
	f("routes: [{pool: wbe}]\npools: {web: {members: [{addr: 'h:80'}]}}\n",
		`lbd.yaml:1:17: routes[0].pool: unknown pool "wbe" (did you mean "web"?)`)
	f("routes: [{pool: web}, {path: /, pool: web}]\npools: {web: {from: {service: storaged}}}\n",
		`lbd.yaml:1:23: routes[1]: is never reached: routes[0] has the same host and path`)
	f("pools:\n  web: {}\n", `lbd.yaml:2:8: pools.web: has no members (give members or from)`)
	f("pools:\n  web:\n    members:\n      - {addr: ':80'}\n      - {addr: 'h:80'}\n      - {addr: 'h:80'}\n",
		`lbd.yaml:4:16: pools.web.members[0].addr: ":80" is not host:port`,
		`lbd.yaml:6:16: pools.web.members[2].addr: "h:80" is listed twice`)
	f("routes: [{host: 'a b', path: 'x?', pool: web}]\npools: {web: {from: {service: s}}}\n",
		`lbd.yaml:1:17: routes[0].host: "a b" is no host name (write www.example.com or *.example.com, without port)`,
		`lbd.yaml:1:30: routes[0].path: "x?" does not begin with /`)
	f("listen: ['unix:/x', '127.0.0.1:1', '127.0.0.1:1']\naccess_log: {syslog: ':514'}\n",
		`lbd.yaml:1:10: listen[0].addr: "unix:/x" is no TCP address`,
		`lbd.yaml:1:36: listen[2].addr: "127.0.0.1:1" is listed twice`,
		`lbd.yaml:2:22: access_log.syslog: ":514" is not host:port`)
	f("listen: [{addr: ':1', proxy_protocol: accept}, {adr: ':2'}, {addr: ':3', proxy_protocol: yes}]\n",
		`lbd.yaml:1:48: listen[1].addr: is required`,
		`lbd.yaml:1:49: listen[1].adr: unknown key (did you mean "addr"?)`,
		`lbd.yaml:1:90: listen[2].proxy_protocol.mode: expected text, found the boolean yes (one of off, accept, require)`)
	f("listen: [{addr: ':1', proxy_protocol: accept}]\n",
		`lbd.yaml:1:39: listen[0].proxy_protocol: believes nobody: who may say where a client comes from? (give from or trusted; [0.0.0.0/0, '::/0'] believes everybody)`)
	f("listen: [{addr: ':1', http2: {stream: 5, window: 32KiB, connection_window: 2GiB, allow: {reset: 5}}}]\n",
		`lbd.yaml:1:31: listen[0].http2.stream: unknown key (did you mean "streams"?)`,
		`lbd.yaml:1:50: listen[0].http2.window: is 32KiB, must be from 64KiB to 16MiB`,
		`lbd.yaml:1:76: listen[0].http2.connection_window: is 2GiB, must be at most 1GiB`,
		`lbd.yaml:1:90: listen[0].http2.allow.reset: unknown key (did you mean "resets"?)`)
	f("listen: [{addr: ':1', http2: {window: 1MiB, connection_window: 512KiB}}, {addr: ':2', http2: on}]\n",
		`lbd.yaml:1:64: listen[0].http2.connection_window: is 512KiB, less than window, which is 1MiB (give 0 for what streams and window come to)`,
		`lbd.yaml:1:94: listen[1].http2.enabled: expected true or false, found the boolean on (write true)`)
	f("pools: {web: {members: [{addr: 'h:80'}], tls: {key: k, ca: a, insecure: true}, proxy_protocol: v3}}\n",
		`lbd.yaml:1:53: pools.web.tls.key: is without a cert`,
		`lbd.yaml:1:60: pools.web.tls.ca: a cannot be read: no such file or directory`,
		`lbd.yaml:1:73: pools.web.tls.insecure: ca and insecure exclude each other`,
		`lbd.yaml:1:96: pools.web.proxy_protocol: "v3" is not one of off, v1, v2 (did you mean "v1"?)`)
	f("handshakes: {rate: 10, burst: 5}\n", `lbd.yaml:1:31: handshakes.burst: is less than rate`)
	f("pools: {web: {members: [{addr: 'h:80'}], timeout: 1s, retries: {per_try_timeout: 2s}}}\n",
		`lbd.yaml:1:82: pools.web.retries.per_try_timeout: is longer than the pool's timeout`)
}

func TestTags(t *testing.T) {
	if err := conf.CheckStruct(Config{}); err != nil {
		t.Error(err)
	}
}

// What is wrong with rules is said at its place, by the keys of the file.
func TestRouteErrors(t *testing.T) {
	f := func(routes string, want ...string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("f", []byte("pools: {web: {from: {service: s}}, next: {from: {service: s}}}\nroutes:\n"+routes), &c, conf.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != strings.Join(want, "\n") {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", routes, got, strings.Join(want, "\n"))
		}
	}
	f("- {host: a.test, path: [/a, /b], pool: web}\n- {path: /, strip_prefix: true, pool: web}\n")
	f("- {host: a.test}\n",
		"f:3:3: routes[0]: does nothing (give pool, files, redirect, answer, deny, drop or split; or tag, headers, hsts, compress, limit or tarpit for the rules behind it)")
	f("- {path: [/a, ~ (], pool: web}\n",
		"f:3:15: routes[0].path[1]: \"(\" is no regular expression: missing closing ): `(` (as Go and RE2 have them: no look-around, no references back)")
	f("- path: x\n  pool: web\n", `f:3:9: routes[0].path: "x" does not begin with /`)
	f("- {header: {X-A: [a, '~ [']}, pool: web}\n",
		"f:3:22: routes[0].header.X-A[1]: \"[\" is no regular expression: missing closing ]: `[` (as Go and RE2 have them: no look-around, no references back)")
	f("- {not: {host: a_b!}, pool: web}\n",
		`f:3:16: routes[0].not.host: "a_b!" is no host name (write www.example.com or *.example.com, without port)`)
	f("- {not: [{path: /a}, {}], pool: web}\n", "f:3:22: routes[0].not[1]: has no condition (give host, path, method, …)")
	f("- {tag: robot}\n- {tagged: robt, pool: web}\n", `f:4:12: routes[1].tagged: unknown tag "robt" (did you mean "robot"?)`)
	f("- {split: {pools: [{pool: web, weight: 0}, {pool: nxt}]}}\n", `f:3:51: routes[0].split.pools[1].pool: unknown pool "nxt" (did you mean "next"?)`)
	f("- {split: {pools: [{pool: web, weight: 0}, {pool: web, weight: 0}], cookie: 'a b'}}\n",
		"f:3:19: routes[0].split.pools: all weights are 0",
		`f:3:51: routes[0].split.pools[1].pool: "web" is listed twice`,
		`f:3:77: routes[0].split.cookie: "a b" is no cookie's name`)
	f("- {redirect: {to: 'https://a$path?$1', status: 300}}\n",
		`f:3:48: routes[0].redirect.status: "300" is not one of 301, 302, 303, 307, 308 (did you mean "301"?)`)
	f("- {redirect: {to: 'https://a$1'}, path: ~ ^(.*)$}\n",
		`f:3:19: routes[0].redirect.to: the variable at the end could make another host of "https://a" (write / before it, or a dot if it is meant so)`)
	f("- {request_headers: {set: {Host: x}, remove: Connection}, pool: web}\n",
		"f:3:34: routes[0].request_headers.set.Host: Host is not changed as a header (use rewrite.host)",
		"f:3:46: routes[0].request_headers.remove: Connection is lbd's own")
	f("- {rewrite: {path: '/$(nam)x'}, path: '~ (?P<name>.*)', pool: web}\n",
		"f:3:20: routes[0].rewrite.path: unknown variable $nam (known: $0, $1, $client, $host, $method, $name, $path, $query, $scheme, $target, $tls_client, $tls_client_fingerprint, $tls_client_names, $tls_client_serial, $tls_client_subject, $tls_name, $(header.NAME), $(cookie.NAME), $(arg.NAME))")
	f("- {deny: true, pool: web}\n", "f:3:10: routes[0].deny: pool and deny exclude each other")
	f("- {files: {root: www}}\n", `f:3:18: routes[0].files.root: "www" is no clean absolute path (write it like /var/www/images)`)
	f("- {dos: soft, pool: web}\n", `f:3:9: routes[0].dos.any: "soft" is not one of none, suspect, hard`)
	f("- {name: a, path: /a, pool: web}\n- {name: a, pool: web}\n", `f:4:10: routes[1].name: "a" is the name of routes[0] already`)
	f("- {path: /a, pool: web}\n- {path: /b, pool: web}\n- {path: [/a/b, = /b], pool: web}\n- {path: /a/b/, pool: web}\n",
		"f:6:3: routes[3]: is never reached: routes[0] takes all its requests")
	f("- {from: 10.0.0.1/8, deny: true}\n", `f:3:10: routes[0].from: "10.0.0.1/8" has bits set after the prefix (write 10.0.0.0/8)`)
}

func TestSimple(t *testing.T) {
	f := func(yaml string, want bool) {
		t.Helper()
		var c Config
		if _, err := conf.Parse("f", []byte("pools: {web: {from: {service: s}}}\nroutes: [{"+yaml+"}]\n"), &c, conf.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := c.Routes[0].Simple(); got != want {
			t.Errorf("%s: %v", yaml, got)
		}
	}
	f("pool: web", true)
	f("name: a, host: [a, '*.b'], path: [/a, /b], strip_prefix: true, pool: web", true)
	f("path: = /a, pool: web", false)
	f("host: ~ a, pool: web", false)
	f("from: 10.0.0.0/8, pool: web", false)
	f("not: {path: /x}, pool: web", false)
	f("hsts: {}, pool: web", false)
	f("compress: false, pool: web", false)
	f("compress: true, pool: web", true)
	f("deny: true", false)
	f("tag: x, pool: web", false)
}

func TestRules(t *testing.T) {
	var c Config
	yaml := `trusted: [10.0.0.0/8]
pools: {web: {from: {service: s}}, a: {from: {service: s}}}
routes:
- hsts: {max_age: 1d, subdomains: true, preload: true}
- path: ~ ^/(?P<x>.*)$
  rewrite: {path: "/$${x}"}
  pool: web
`
	if _, err := conf.Parse("f", []byte(yaml), &c, conf.Options{}); err != nil {
		t.Fatal(err)
	}
	rules := c.rules()
	if got := rules[0].HSTS; got != "max-age=86400; includeSubDomains; preload" {
		t.Errorf("hsts %q", got)
	}
	if got := rules[1].Rewrite.Path; got != "/${x}" {
		t.Errorf("path %q", got)
	}
	if _, err := c.Table(); err != nil {
		t.Error(err)
	}
	c.Routes[1].Pool = "b"
	if _, err := c.Table(); err == nil {
		t.Error("a table with an unknown pool")
	}
}
