package lbd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Several detectors, each with its own conditions and keys.
func TestSeveralDetectors(t *testing.T) {
	routes := `
routes:
- {path: /login, dos: {login: suspect}, answer: {status: 403}}
- {dos: {keys: suspect}, answer: {status: 402}}
- {dos: suspect, answer: {status: 429}}
- {pool: web}
pools: {web: {members: [{addr: '` + typed(t) + `'}]}}
`
	detectors := `dos:
- {threshold: 10, period: 1h, ban: 1h, ignore: image/*, ipv4: 24, not: {path: /login}}
- {name: login, threshold: 2, period: 1h, ban: 1h, when: {path: /login, method: [GET, POST]}}
- {name: keys, threshold: 3, period: 1h, ban: 1h, header: X-Api-Key, when: {header: {X-Api-Key: "*"}}, ignore: image/*}
`
	b := start(t, detectors+routes)
	f := func(from, path string, times int, want string, fields ...string) {
		t.Helper()
		if got := answers(t, clientAt(t, from), b.url(path), times, fields...); got != want {
			t.Errorf("%d times %s from %s: %s, want %s", times, path, from, got, want)
		}
	}
	f("127.0.0.2", "/login", 2, "200")
	f("127.0.0.2", "/", 5, "200") // does not count for login
	f("127.0.0.2", "/login", 1, "403")
	f("127.0.0.2", "/", 1, "429") // whoever is suspect to one is so for all that does not say of whom
	f("127.0.0.3", "/login", 1, "200")
	f("127.0.0.3", "/", 4, "200") // the tenth of the network: login's 429 has counted
	f("127.0.0.4", "/", 1, "429")
	f("127.0.0.4", "/login", 1, "429")

	f("127.0.1.2", "/a.png", 19, "200", "X-Api-Key: a") // taken back by both
	f("127.0.1.2", "/", 3, "200", "X-Api-Key: a")
	f("127.0.1.2", "/", 1, "402", "X-Api-Key: a")
	f("127.0.2.2", "/", 1, "402", "X-Api-Key: a") // the key is the same
	f("127.0.2.2", "/", 1, "200", "X-Api-Key: b")

	var rows []string
	for _, o := range b.service().DoS().Clients {
		rows = append(rows, o.Client.String()+" "+o.Detector)
	}
	slices.Sort(rows)
	if want := []string{"127.0.0.0/24 default", "127.0.0.2 login", "value:ca978112ca1bbdcafac231b39a23dc4d keys"}; !slices.Equal(rows, want) {
		t.Errorf("held are %q", rows)
	}
	text := metrics(t, b)
	for _, want := range []string{
		`everup_lbd_dos_suspects{detector="default"} 1`, `everup_lbd_dos_suspects{detector="login"} 1`, `everup_lbd_dos_suspects_total{detector="keys"} 1`,
		`everup_lbd_dos_room{detector="keys"} 65536`, `everup_lbd_dos_tracked{detector="keys"} 2`, `everup_lbd_dos_hard{detector="keys"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no metric %s in\n%s", want, linesWith(text, "_dos_"))
		}
	}

	// By hand: where nothing else is said by the default one; let go by all.
	f2 := func(want string, code int, args ...string) {
		t.Helper()
		got, out := dosCommand(t, socketOf(b), append([]string{"dos"}, args...)...)
		if got != code || !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("dos %v: code %d, %s", args, got, out)
		}
	}
	f2("127.0.9.0/24 hard 1h 0 manual default", 0, "ban", "127.0.9.1")
	f2("127.0.9.1 hard 1h 0 manual login", 0, "ban", "127.0.9.1", "--detector", "login")
	f2("no detector \"x\", but default, login, keys", 3, "ban", "127.0.9.1", "--detector", "x")
	f2("127.0.9.0/24 hard", 0, "unban", "127.0.9.1", "--detector", "login")
	f2("held for nothing", 3, "unban", "127.0.9.1", "--detector", "login")
	f2("127.0.0.2 suspect", 0, "unban", "127.0.9.1")

	// A reload that takes one out, and turns the others round, leaves those what they hold.
	b.reload(`dos:
- {name: keys, threshold: 3, period: 1h, ban: 1h, header: X-Api-Key, when: {header: {X-Api-Key: "*"}}}
- {name: login, threshold: 2, period: 1h, ban: 1h, when: {path: /login}}
` + routes)
	f("127.0.0.3", "/", 1, "200")
	f("127.0.2.2", "/", 1, "402", "X-Api-Key: a")
	f("127.0.0.2", "/login", 1, "403")
	f2("which detector is meant: keys, login?", 2, "ban", "127.0.9.1")
}

// Who makes up a key for each request is found by his address.
func TestMadeUpKeys(t *testing.T) {
	b := start(t, dosYAML(t, "threshold: 2, period: 1h, header: X-Api-Key, name: keys}, {threshold: 5, period: 1h", ""))
	c := clientAt(t, "127.0.0.2")
	for i := range 6 {
		want := "200"
		if i == 5 {
			want = "429"
		}
		if got := answers(t, c, b.url("/"), 1, fmt.Sprintf("X-Api-Key: %d", i)); got != want {
			t.Errorf("request %d: %s, want %s", i, got, want)
		}
	}
}
