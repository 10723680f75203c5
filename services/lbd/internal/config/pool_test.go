package config

import (
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/affinity"
	"github.com/everup/everup/shared/conf"
	"github.com/google/go-cmp/cmp"
)

// What is wrong with a pool is said at its place.
func TestPoolErrors(t *testing.T) {
	f := func(pool string, want ...string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("f", []byte("pools:\n  web:\n    members: [{addr: 'h:80'}, {addr: 'i:80', backup: true}]\n"+pool), &c, conf.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != strings.Join(want, "\n") {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", pool, got, strings.Join(want, "\n"))
		}
	}
	f("    balance: hash\n    hash: {key: header X-User, load_factor: 0}\n    sticky: lb\n    queue: 10\n    max_requests: 5\n")
	f("    failures: 503\n    breaker: {}\n    retries: {statuses: '502,504'}\n")
	f("    balance: p2c\n", `f:4:14: pools.web.balance: "p2c" is not one of wrr, least, random, ewma, hash`)
	f("    hash: uri\n", `f:4:11: pools.web.hash: has no effect with balance: wrr (write balance: hash)`)
	f("    balance: hash\n    hash: header\n", `f:5:11: pools.web.hash.key: "header" is no key (write uri, path, header NAME, cookie NAME, query NAME or source)`)
	f("    balance: hash\n    hash: {load_factor: 0.9}\n",
		`f:5:25: pools.web.hash.load_factor: leaves no room for an uneven spread (write 1.25, or 0 for no bound)`)
	f("    balance: hash\n    hash: {source_ipv4: 33}\n", `f:5:25: pools.web.hash.source_ipv4: is 33, must be from 1 to 32`)
	f("    sticky: {cookie: 'a b', path: 'x y', same_site: none, max_age: 1ms}\n",
		`f:4:22: pools.web.sticky.cookie: "a b" is no cookie's name`,
		`f:4:35: pools.web.sticky.path: "x y" is no path`,
		`f:4:53: pools.web.sticky.same_site: browsers refuse a cookie of none that is not secure (add secure: true)`,
		`f:4:68: pools.web.sticky.max_age: is less than a second`)
	f("    queue: {length: 5, timeout: 2m}\n",
		`f:4:12: pools.web.queue: nobody waits in it, as nothing bounds the requests under way (give max_requests or max_requests_per_member)`,
		`f:4:33: pools.web.queue.timeout: is longer than the pool's timeout`)
	f("    outliers: {ejection: 10m, max_ejected: 101}\n",
		`f:4:44: pools.web.outliers.max_ejected: is 101, must be from 0 to 100`)
	f("    outliers: {ejection: 10m}\n", `f:4:15: pools.web.outliers.max_ejection: is shorter than ejection`)
	f("    failures: 5xx\n", `f:4:15: pools.web.failures: "5xx" is not valid: "5xx" is neither a status (100 to 599) nor a range of them`)
	f("    failures: 500-504\n", `f:4:15: pools.web.failures: has no effect (add outliers or breaker)`)
	f("    breaker: {open: 0}\n    retries: {statuses: '99'}\n",
		`f:4:21: pools.web.breaker.open: is 0, must be from 100ms to 1h`,
		`f:5:25: pools.web.retries.statuses: "99" is not valid: "99" is neither a status (100 to 599) nor a range of them`)
	f("    outlier: {}\n", `f:4:5: pools.web.outlier: unknown key (did you mean "outliers"?)`)
}

func TestPoolDefaults(t *testing.T) {
	c := parse(t, "routes: [{path: /a, priority: 0, pool: web}, {pool: web}]\npools: {web: {members: [{addr: 'h:80'}], max_requests: 1, sticky: {}, queue: {}, outliers: {}, breaker: {}}}\n")
	p := c.Pools["web"]
	want := affinity.Attributes{Path: "/", HTTPOnly: true, SameSite: "Lax"}
	if diff := cmp.Diff(want, p.Sticky.Attributes()); diff != "" {
		t.Error(diff)
	}
	if got := (Queue{p.Queue.Length, p.Queue.Timeout}); got != (Queue{100, conf.Duration(5 * time.Second)}) {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(Outliers{5, conf.Duration(10 * time.Second), 1.9, 5, 100, conf.Duration(30 * time.Second), conf.Duration(5 * time.Minute), 10}, *p.Outliers); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Breaker{50, conf.Duration(10 * time.Second), 20, conf.Duration(5 * time.Second), 3}, *p.Breaker); diff != "" {
		t.Error(diff)
	}
	if c.Routes[0].Priority != 0 || c.Routes[1].Priority != 5 {
		t.Errorf("priorities %d and %d", c.Routes[0].Priority, c.Routes[1].Priority)
	}
}
