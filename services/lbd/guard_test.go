package lbd

import (
	"net/netip"
	"testing"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/metric"
)

// guardOf returns what a configuration says of clients.
func guardOf(t testing.TB, yaml string) guard {
	t.Helper()
	c := parse(t, t.TempDir(), yaml).Config
	g := newGuards()
	limits, err := g.prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	over := metric.NewRegistry("t").CounterVec("limited_total", "Limited.", 8, "limit", "action")
	return g.configure(c, limits, over)
}

// asking is a browser's request as a visit sees it.
func asking(t testing.TB, head string) (*rule.HTTP1, *rule.Facts) {
	t.Helper()
	r := &rule.HTTP1{Head: &http1.Head{HostAt: -1}, Bytes: []byte(head)}
	lim := http1.DefaultLimits()
	if _, why := r.Head.ParseRequest(r.Bytes, &lim); why != http1.OK {
		t.Fatal(why)
	}
	return r, &rule.Facts{Client: netip.MustParseAddr("192.0.2.1")}
}

const browserHead = "POST /login?next=%2F HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html\r\nAccept-Encoding: gzip, br\r\nX-Api-Key: 4c1ab2f9c0de4d1f8a0e\r\nCookie: session=0123456789abcdef\r\n\r\n"

var guardCases = []struct{ name, yaml string }{
	{"none", "routes: [{deny: true}]\n"},
	{"one", "dos: {threshold: 1000000000, period: 1h}\n"},
	{"one-ignore", "dos: {threshold: 1000000000, period: 1h, ignore: image/*}\n"},
	{"one-when", "dos: {threshold: 1000000000, period: 1h, when: {path: /login, method: POST}}\n"},
	{"one-not-counted", "dos: {threshold: 1000000000, period: 1h, when: {path: /other}}\n"},
	{"two", "dos: [{threshold: 1000000000, period: 1h}, {name: nets, threshold: 1000000000, period: 1h, ipv4: 24}]\n"},
	{"login-and-rest", "dos: [{threshold: 1000000000, period: 1h, not: {path: /login}}, {name: login, threshold: 1000000000, period: 1h, when: {path: /login, method: POST}}]\n"},
	{"address-and-key", "dos: [{threshold: 1000000000, period: 1h}, {name: key, threshold: 1000000000, period: 1h, header: X-Api-Key}]\n"},
}

func BenchmarkVisit(b *testing.B) {
	for _, c := range guardCases {
		b.Run(c.name, func(b *testing.B) {
			g := guardOf(b, c.yaml)
			r, facts := asking(b, browserHead)
			var v visit
			var verdict rule.Verdict
			b.ReportAllocs()
			for b.Loop() {
				v.begin(&g, r, facts, &verdict)
			}
		})
	}
}

func TestVisitAllocatesNothing(t *testing.T) {
	for _, c := range guardCases {
		g := guardOf(t, c.yaml)
		r, facts := asking(t, browserHead)
		var v visit
		var verdict rule.Verdict
		v.begin(&g, r, facts, &verdict) // memory that is kept
		if n := testing.AllocsPerRun(100, func() { v.begin(&g, r, facts, &verdict) }); n > 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}
