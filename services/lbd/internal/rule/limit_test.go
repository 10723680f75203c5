package rule

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// quota is a Limiter that grants so many requests of each key.
type quota struct {
	left  map[string]int64
	asked []string
}

func (q *quota) Take(n int, key []byte) Grant {
	k := fmt.Sprintf("%d %s", n, key)
	q.asked = append(q.asked, k)
	if _, ok := q.left[k]; !ok {
		q.left[k] = q.left[fmt.Sprint(n)]
	}
	q.left[k]--
	if q.left[k] < 0 {
		return Grant{Wait: 1500 * time.Millisecond, Full: 4 * time.Second}
	}
	return Grant{OK: true, Left: q.left[k], Full: 3 * time.Second}
}

func newQuota(each ...int64) *quota {
	q := &quota{left: map[string]int64{}}
	for n, left := range each {
		q.left[fmt.Sprint(n)] = left
	}
	return q
}

// ten is a limit by the client's address.
func ten(l Limit) Limit {
	l.Requests, l.Per, l.Burst, l.V4, l.V6 = 10, time.Minute, 20, 32, 64
	if l.Action == Refuse {
		l.Status = 429
	}
	return l
}

// limited decides a request and says what came of it, what it was asked to wait, and what it is told.
func limited(t *testing.T, table *Table, q Limiter, client, line string, fields ...string) string {
	t.Helper()
	s := newSample(line, fields...)
	f := s.facts()
	f.Client, f.Limiter = netip.MustParseAddr(client), q
	var v Verdict
	table.Decide(s, f, &v)
	out := v.Summary()
	if v.Delay > 0 {
		out += fmt.Sprintf(", after %v", v.Delay)
	}
	if v.Limit >= 0 {
		out += fmt.Sprintf(", by limit %d", v.Limit)
	}
	for _, e := range v.Response {
		out += fmt.Sprintf(" [%s: %s]", e.Name, e.Value)
	}
	return out
}

func TestLimits(t *testing.T) {
	const get = "GET http://a.test/x"
	table := mustCompile(t,
		Rule{Match: Match{Path: []string{"/api"}}, Limits: []Limit{ten(Limit{Key: "$(header.X-Key)"}), ten(Limit{})}},
		Rule{ResponseHeaders: Edits{Set: map[string]string{"X-All": "1"}}, Limits: []Limit{ten(Limit{Action: Mark, Tags: []string{"much"}})}},
		Rule{Match: Match{Tagged: []string{"much"}}, Limits: []Limit{ten(Limit{Action: Hold, Delay: 2 * time.Second}), ten(Limit{Action: Cut})}},
		Rule{Match: Match{Tagged: []string{"much"}}, Tarpit: time.Second, Answer: &Answer{Status: 503}},
		Rule{Pool: "web"},
	)
	if n := len(table.Limits()); n != 5 {
		t.Fatalf("%d limits", n)
	}
	f := func(q *quota, client, line, want, asked string, fields ...string) {
		t.Helper()
		q.asked = nil
		if got := limited(t, table, q, client, line, fields...); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", line, got, want)
		}
		if got := strings.Join(q.asked, ", "); got != asked {
			t.Errorf("%s: asked %s, want %s", line, got, asked)
		}
	}
	q := newQuota(1, 2, 2, 1, 1)
	const all = " [X-All: 1]"
	const told = " [RateLimit-Limit: 20] [RateLimit-Remaining: 0] [RateLimit-Reset: 2] [Retry-After: 2] [RateLimit-Policy: 10;w=60]"
	f(q, "192.0.2.1", get, "pool web"+all, "2 192.0.2.1")
	f(q, "2001:db8::1:2:3:4", get, "pool web"+all, "2 2001:db8::")
	f(q, "192.0.2.1", get, "pool web"+all, "2 192.0.2.1")
	f(q, "192.0.2.1", get, "answer 503, after 1s"+all, "2 192.0.2.1, 3 192.0.2.1, 4 192.0.2.1")
	f(q, "192.0.2.1", get, "drop, after 2s, by limit 4"+all, "2 192.0.2.1, 3 192.0.2.1, 4 192.0.2.1")
	f(q, "192.0.2.2", get, "pool web"+all, "2 192.0.2.2")

	// What a limit refuses, those behind it do not count; a key that is not there is not limited.
	q = newQuota(1, 2, 9, 9, 9)
	const api = "GET http://a.test/api"
	f(q, "192.0.2.1", api, "pool web"+all, "0 k, 1 192.0.2.1, 2 192.0.2.1", "X-Key: k")
	f(q, "192.0.2.1", api, "limit 429, by limit 0"+told, "0 k", "X-Key: k")
	f(q, "192.0.2.1", api, "pool web"+all, "1 192.0.2.1, 2 192.0.2.1")
	f(q, "192.0.2.1", api, "limit 429, by limit 1"+told, "1 192.0.2.1")
	f(q, "192.0.2.1", api, "limit 429, by limit 1"+told, "0 l, 1 192.0.2.1", "X-Key: l")

	// Nobody counts: all pass.
	if got := limited(t, table, nil, "192.0.2.1", get); got != "pool web"+all {
		t.Errorf("without a limiter: %s", got)
	}
}

// A dry run counts and changes nothing; limits that tell tell of the one that has least left.
func TestLimitsTell(t *testing.T) {
	table := mustCompile(t,
		Rule{Limits: []Limit{ten(Limit{DryRun: true, Tell: true}), ten(Limit{Tell: true})}},
		Rule{Limits: []Limit{ten(Limit{Tell: true, Key: "$host"}), ten(Limit{})}, Pool: "web"},
	)
	f := func(q *quota, want string) {
		t.Helper()
		if got := limited(t, table, q, "192.0.2.1", "GET http://a.test/"); got != want || len(q.asked) < 2 {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(newQuota(0, 5, 8, 1), "pool web [RateLimit-Limit: 20] [RateLimit-Remaining: 4] [RateLimit-Reset: 3] [RateLimit-Policy: 10;w=60]")
	f(newQuota(0, 8, 3, 1), "pool web [RateLimit-Limit: 20] [RateLimit-Remaining: 2] [RateLimit-Reset: 3] [RateLimit-Policy: 10;w=60]")
	f(newQuota(0, 8, 0, 1), "limit 429, by limit 2 [RateLimit-Limit: 20] [RateLimit-Remaining: 0] [RateLimit-Reset: 2] [Retry-After: 2] [RateLimit-Policy: 10;w=60]")
}

func TestLimitKeys(t *testing.T) {
	f := func(key, client, want string, fields ...string) {
		t.Helper()
		l := ten(Limit{Key: key})
		l.V4, l.V6 = 24, 48
		q := newQuota(9)
		limited(t, mustCompile(t, Rule{Match: Match{Path: []string{"~ ^/([a-z]*)"}}, Limits: []Limit{l}, Pool: "web"}), q, client, "GET http://A.test:8080/shop/1?u=%61", fields...)
		got := strings.Join(q.asked, ", ")
		if got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	f("", "192.0.2.1", "0 192.0.2.0")
	f("", "::ffff:192.0.2.1", "0 192.0.2.0")
	f("", "2001:db8:1:2::1", "0 2001:db8:1::")
	f("$client", "192.0.2.1", "0 192.0.2.1")
	f("$host $1 $method $(arg.u)", "192.0.2.1", "0 a.test shop GET a")
	f("$(cookie.id)$(header.x-a)", "192.0.2.1", "0 12", "Cookie: id=1", "X-A: 2")
	f("$(cookie.id)", "192.0.2.1", "")
	f("$(header.x-a)", "192.0.2.1", "", "X-A: "+strings.Repeat("x", maxTarget+1)) // the request is refused
}

func TestLimitProblems(t *testing.T) {
	f := func(want string, rules ...Rule) {
		t.Helper()
		_, problems := Compile(rules, pools(), detectors())
		if got := problemTexts(problems); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	one := func(l Limit) Rule { return Rule{Limits: []Limit{l}} }
	f("", one(ten(Limit{})))
	f("", Rule{Tarpit: time.Second})
	f("0.limit.0: is for 0 requests in 0s and 0 at once: all must be above 0", one(Limit{}))
	f("0.limit.0.key: there is no capture $1 (captures are the groups (…) of a path that begins with ~)", one(ten(Limit{Key: "$1"})))
	f("0.limit.0.delay: is 2m0s, must be from 0 to 1m0s", one(ten(Limit{Delay: 2 * time.Minute})))
	f("0.tarpit.delay: is 2m0s, must be from 0 to 1m0s", Rule{Tarpit: 2 * time.Minute})
	f("0.limit: has 17 limits, more than 16", Rule{Limits: make([]Limit, 17)})
	var many []Rule
	for i := range 17 {
		r := Rule{Match: Match{Path: []string{fmt.Sprintf("/%d", i)}}, Pool: "web"}
		for range 16 {
			r.Limits = append(r.Limits, ten(Limit{}))
		}
		many = append(many, r)
	}
	f("16.limit: more than 256 limits in all", many...)

	// Tags of limits are tags: they must be set before they are asked for, and a rule that waits for one is no reason to call another unreachable.
	mark, asks := one(ten(Limit{Action: Mark, Tags: []string{"much"}})), Rule{Match: Match{Tagged: []string{"much"}}, Pool: "web"}
	f("", mark, asks, Rule{Pool: "web"})
	f(`0.tagged.0: routes[1] sets the tag "much", too late (move it before this one)`, asks, mark, Rule{Pool: "web"})
	f("", Rule{Tags: []string{"much"}, Match: Match{Path: []string{"/a"}}}, asks, mark, asks)
}

func TestExplainLimits(t *testing.T) {
	table := mustCompile(t, Rule{
		Limits: []Limit{
			ten(Limit{Name: "burst", DryRun: true, Tell: true}), ten(Limit{Action: Hold, Delay: time.Second, Key: "$host"}),
			ten(Limit{Action: Mark, Tags: []string{"a", "b"}}), ten(Limit{Action: Cut, Key: "$(arg.x)"}),
		},
		Tarpit: 3 * time.Second, Pool: "web",
	})
	s := newSample("GET http://a.test/")
	var v Verdict
	steps := table.Explain(s, s.facts(), &v)
	want := `limit burst 10 per 1m0s, 20 at once, of "192.0.2.1", then 429 (dry run); limit 10 per 1m0s, 20 at once, of "a.test", then wait 1s; ` +
		`limit 10 per 1m0s, 20 at once, of "192.0.2.1", then tag a, b; wait 3s; pool web`
	if len(steps) != 1 || steps[0].Then != want {
		t.Errorf("got  %+v\nwant %s", steps, want)
	}
}

// generous is a Limiter that grants all.
type generous struct{}

func (generous) Take(int, []byte) Grant { return Grant{OK: true, Left: 3, Full: time.Second} }

func TestLimitsAllocateNothing(t *testing.T) {
	table := mustCompile(t, Rule{Limits: []Limit{ten(Limit{Tell: true}), ten(Limit{Key: "$host $client"})}, Pool: "web"})
	s := newSample("GET http://a.test/")
	facts := &Facts{Client: netip.MustParseAddr("192.0.2.1"), Limiter: generous{}}
	req := newFlat(s)
	var v Verdict
	table.Decide(req, facts, &v)
	if n := testing.AllocsPerRun(100, func() { table.Decide(req, facts, &v) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
