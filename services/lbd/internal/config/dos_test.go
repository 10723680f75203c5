package config

import (
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/conf"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDoSErrors(t *testing.T) {
	f := func(yaml string, want ...string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("f", []byte("pools: {web: {from: {service: s}}}\n"+yaml), &c, conf.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != strings.Join(want, "\n") {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", yaml, got, strings.Join(want, "\n"))
		}
	}
	f("dos: {threshold: 5, hard_threshold: 6, ignore: [image/*, '~ ^video/'], header: X-Api-Key, ipv4: 24, exempt: 10.0.0.0/8}\n")
	f("dos: {}\n", "f:2:6: dos.threshold: is required")
	f("dos: {threshold: 5, hard_threshold: 5, ignore: [image, '~ ('], header: 'a b', ipv6: 8}\n",
		`f:2:85: dos.ipv6: is 8, must be from 16 to 128`)
	f("dos: {threshold: 5, hard_threshold: 5, ignore: [image, '~ ('], header: 'a b'}\n",
		`f:2:37: dos.hard_threshold: is 5, must be above threshold, which is 5`,
		`f:2:49: dos.ignore[0]: "image" is no content type: write it like image/png, image/* or ~ ^image/(png|gif)$`,
		`f:2:56: dos.ignore[1]: " (" is no regular expression of a content type`,
		`f:2:72: dos.header: "a b" is no header's name`)
	f("routes: [{dos: [suspect, hard], deny: true}, {not: {dos: none}, deny: true}, {pool: web}]\n",
		"f:2:16: routes[0].dos: there is no section dos, so that nobody is suspect (write dos: {threshold: …} beside routes)",
		"f:2:58: routes[1].not.dos: there is no section dos, so that nobody is suspect (write dos: {threshold: …} beside routes)")
	// Several, by name.
	f("dos: [{threshold: 5}, {name: login, threshold: 2, when: {path: /login, method: POST}, not: [{from: 10.0.0.0/8}]}]\n" +
		"routes: [{dos: {login: [suspect, hard], any: hard}, deny: true}, {not: {dos: {default: none}}, deny: true}, {pool: web}]\n")
	f("dos: [{name: a, threshold: 5}, {name: a, threshold: 5}, {name: any, threshold: 5}]\n",
		`f:2:39: dos[1].name: "a" is the name of dos[0] already`,
		`f:2:64: dos[2].name: "any" stands for all detectors`)
	f("dos: [{threshold: 5, when: {}, not: {dos: hard}}, {name: b, threshold: 5, when: {tagged: x, path: a}}]\n",
		`f:2:28: dos[0].when: has no condition (give host, path, method, …)`,
		`f:2:43: dos[0].not.dos: has no meaning here`,
		`f:2:90: dos[1].when.tagged: has no meaning here`,
		`f:2:99: dos[1].when.path: "a" does not begin with /`)
	f("dos: {threshold: 5, name: login}\nroutes: [{dos: {logn: hard}, deny: true}, {pool: web}]\n",
		`f:3:23: routes[0].dos.logn: unknown detector "logn" (did you mean "login"?)`)
	f("routes: [{limit: {requests: 5, tag: x}}, {limit: [{requests: 5, action: tag, name: a}, {requests: 1, per: 1d, burst: 100000, name: b}]}]\n",
		"f:2:37: routes[0].limit.tag: has no meaning here (give action: tag)",
		"f:2:73: routes[1].limit[0].action: sets no tag (give tag)",
		"f:2:88: routes[1].limit[1]: a burst of 100000 takes too long to gather")
	f("routes: [{limit: [{requests: 5, name: a}, {requests: 1, name: a}]}, {tarpit: 1s, limit: {requests: 1, name: b}}]\n",
		`f:2:63: routes[0].limit[1].name: "a" is the name of another limit already`)
	f("routes: [{tarpit: 2m}]\n", "f:2:19: routes[0].tarpit.delay: is 2m, must be from 1ms to 1m")
	f("routes: [{limit: {requests: 5, key: '$x', action: slow}}]\n",
		`f:2:51: routes[0].limit.action: "slow" is not one of refuse, tarpit, drop, tag`)
	f("routes: [{limit: {requests: 5, key: '$x'}}]\n",
		"f:2:37: routes[0].limit.key: unknown variable $x (known: $client, $host, $method, $path, $query, $scheme, $target, $tls_client, $tls_client_fingerprint, $tls_client_names, $tls_client_serial, $tls_client_subject, $tls_name, $(header.NAME), $(cookie.NAME), $(arg.NAME))")
}

func TestDoSMeans(t *testing.T) {
	c := parse(t, `dos: {threshold: 100, hard_threshold: 500, period: 1m, ban: 10m, ipv4: 24, exempt: [10.0.0.0/8, 192.0.2.1]}
pools: {web: {from: {service: s}}}
routes:
- limit: {requests: 10}
- name: api
  path: /api
  limit:
  - {requests: 100, per: 1m, burst: 20, key: "$(header.X-Api-Key)", action: tarpit, delay: 1s}
  - {name: much, requests: 1, action: tag, tag: [a, b], dry_run: true, tell: true, ipv6: 48}
  tarpit: 250ms
- {tagged: a, pool: web}
`)
	o := c.DoS[0].Options()
	if len(o.Exempt) != 2 {
		t.Errorf("exempt %v", o.Exempt)
	}
	o.Exempt = nil
	if named := c.Detectors(); len(named) != 1 || named[0].Name != dos.Default {
		t.Errorf("detectors %+v", named)
	}
	want := dos.Options{
		Settings: dos.Settings{Period: time.Minute, Threshold: 100, Hard: 500, Ban: 10 * time.Minute}, Nets: dos.Nets{V4: 24, V6: 64}, Keys: 65536,
		Share: true,
	}
	if d := cmp.Diff(want, o, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	table, err := c.Table()
	if err != nil {
		t.Fatal(err)
	}
	var limits []rule.Limit
	for _, l := range table.Limits() {
		limits = append(limits, *l)
	}
	wantLimits := []rule.Limit{
		{Requests: 10, Per: time.Second, Burst: 10, V4: 32, V6: 64, Status: 429, Delay: 5 * time.Second},
		{Requests: 100, Per: time.Minute, Burst: 20, Key: "$(header.X-Api-Key)", V4: 32, V6: 64, Action: rule.Hold, Status: 429, Delay: time.Second},
		{Name: "much", Requests: 1, Per: time.Second, Burst: 1, V4: 32, V6: 48, Action: rule.Mark, Status: 429, Delay: 5 * time.Second,
			Tags: []string{"a", "b"}, DryRun: true, Tell: true},
	}
	if d := cmp.Diff(wantLimits, limits, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	var labels []string
	for _, l := range c.Limits() {
		labels = append(labels, l.Label)
	}
	if d := cmp.Diff([]string{"routes[0].limit[0]", "api.limit[0]", "much"}, labels); d != "" {
		t.Error(d)
	}
	if got := c.rules()[1].Tarpit; got != 250*time.Millisecond {
		t.Errorf("a tarpit of %v", got)
	}
}
