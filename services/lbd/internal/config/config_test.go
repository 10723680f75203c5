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
		`lbd.yaml:1:10: listen[0]: "unix:/x" is no TCP address`,
		`lbd.yaml:1:36: listen[2]: "127.0.0.1:1" is listed twice`,
		`lbd.yaml:2:22: access_log.syslog: ":514" is not host:port`)
	f("pools: {web: {members: [{addr: 'h:80'}], timeout: 1s, retries: {per_try_timeout: 2s}}}\n",
		`lbd.yaml:1:82: pools.web.retries.per_try_timeout: is longer than the pool's timeout`)
}
