package rule

import (
	"fmt"
	"net/netip"
	"testing"
)

// sites are n rules for n hosts.
func sites(n int) []Rule {
	var out []Rule
	for i := range n {
		out = append(out, Rule{Match: Match{Host: []string{fmt.Sprintf("www%d.example.com", i)}}, Pool: "web"})
	}
	return out
}

// paths are n rules for n paths of one host.
func paths(n int) []Rule {
	var out []Rule
	for i := range n {
		out = append(out, Rule{Match: Match{Path: []string{fmt.Sprintf("/api/v1/service%d/", i)}}, Pool: "web"})
	}
	return out
}

// expressions are n rules whose expressions begin with text.
func expressions(n int) []Rule {
	var out []Rule
	for i := range n {
		out = append(out, Rule{Match: Match{Path: []string{fmt.Sprintf(`~ ^/api/v1/service%d/(\d+)$`, i)}}, Pool: "web"})
	}
	return out
}

// book are the conditions of the book's listings together.
func book() []Rule {
	return []Rule{
		{Match: Match{From: []netip.Prefix{netip.MustParsePrefix("192.168.0.200/32")}}, Deny: true},
		{Match: Match{UserAgent: []string{"Yahoo! Slurp", "Googlebot"}}, Tags: []string{"robot"}},
		{Match: Match{Tagged: []string{"robot"}}, Pool: "cache"},
		{Match: Match{Path: []string{"/images/"}}, Strip: true, Files: &Files{Root: "/srv/images"}},
		{Match: Match{Path: []string{"/css/"}}, Files: &Files{Root: "/srv/css"}},
		{Match: Match{Path: []string{"/js/"}}, Files: &Files{Root: "/srv/js"}},
		{Pool: "web", RequestHeaders: Edits{Set: map[string]string{"X-Front": "$host"}}},
	}
}

// browser is a request as browsers send it.
func browser(url string) *sample {
	return newSample("GET "+url, "Host: x", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language: de,en-US;q=0.7,en;q=0.3",
		"Accept-Encoding: gzip, deflate, br", "Connection: keep-alive", "Cookie: session=0123456789abcdef; theme=dark", "Cache-Control: max-age=0")
}

// flat is a Request whose methods make nothing of texts.
type flat struct {
	*sample
	method, host, path []byte
}

func newFlat(s *sample) *flat { return &flat{s, []byte(s.method), []byte(s.host), []byte(s.path)} }

func (f *flat) Method() []byte    { return f.method }
func (f *flat) Authority() []byte { return f.host }
func (f *flat) Path() []byte      { return f.path }

func BenchmarkDecide(b *testing.B) {
	f := func(name string, rules []Rule, url, want string) {
		b.Run(name, func(b *testing.B) {
			table := mustCompile(b, rules...)
			req := newFlat(browser(url))
			facts := req.facts()
			var v Verdict
			table.Decide(req, facts, &v)
			if got := v.Summary(); got != want {
				b.Fatalf("%s, want %s", got, want)
			}
			b.ReportAllocs()
			for b.Loop() {
				table.Decide(req, facts, &v)
			}
		})
	}
	for _, n := range []int{1, 10, 100, 1000} {
		f(fmt.Sprintf("hosts/%d", n), sites(n), fmt.Sprintf("http://www%d.example.com/a/b", n-1), "pool web")
	}
	for _, n := range []int{10, 1000} {
		f(fmt.Sprintf("paths/%d", n), paths(n), fmt.Sprintf("http://www.example.com/api/v1/service%d/x", n-1), "pool web")
	}
	f("expressions/1000", expressions(1000), "http://www.example.com/api/v1/service999/12", "pool web")
	f("book/proxy", book(), "http://www.example.com/news", "pool web")
	f("book/static", book(), "http://www.example.com/images/logo.jpg", "file /logo.jpg of /srv/images")
	f("capture", []Rule{{Match: Match{Path: []string{"~ ^/hoge/([^/]+)/([^/]+)$"}}, Rewrite: Rewrite{Path: "/hoge", Query: "$1=$2"}, Pool: "web"}},
		"http://www.example.com/hoge/foo/bar", "pool web as /hoge?foo=bar")
}

// What one must pay for 1000 plain hosts where they are compared one after the other.
func BenchmarkDecideWithoutIndex(b *testing.B) {
	table := mustCompile(b, sites(1000)...)
	req := newFlat(browser("http://www999.example.com/a/b"))
	var v Verdict
	v.reset()
	v.s.begin(req, req.facts())
	for b.Loop() {
		for i := range table.rules {
			if failed, _ := table.rules[i].fails(&v.s); failed == met {
				break
			}
		}
	}
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes package regexp allocate")
	}
	f := func(name string, rules []Rule, url string, most float64) {
		t.Helper()
		table := mustCompile(t, rules...)
		req := newFlat(browser(url))
		facts := req.facts()
		var v Verdict
		if got := testing.AllocsPerRun(100, func() { table.Decide(req, facts, &v) }); got > most {
			t.Errorf("%s: %v allocations, at most %v", name, got, most)
		}
	}
	f("hosts", sites(100), "http://WWW99.example.com:80/a/b", 0)
	f("paths", paths(100), "http://x/api//v1/service9%39/x", 0)
	f("book", book(), "http://x/news", 0)
	f("static", book(), "http://x/images/a.png", 0)
	f("capture", []Rule{{Match: Match{Path: []string{"~ ^/(.*)$"}}, Redirect: &Redirect{To: "https://$host/$1", Status: 301}}}, "http://x/a", 1)
	f("conditions", []Rule{{Match: Match{
		Header: map[string][]string{"Accept": {"~ text/html"}}, Cookie: map[string][]string{"theme": {"dark"}}, Query: map[string][]string{"a": {"b c"}},
	}, Split: &Split{Parts: []Part{{"web", 1}, {"next", 2}}, Key: "$(cookie.session)", Cookie: "canary"}}}, "http://x/?x=%41&a=b+c", 0)
}

// The index looks at few rules, however many there are.
func TestIndexLooksAtFew(t *testing.T) {
	f := func(rules []Rule, host, path string, want int) {
		t.Helper()
		table := mustCompile(t, rules...)
		var c cursor
		table.index.candidates([]byte(host), []byte(path), &c)
		n := 0
		for c.next() >= 0 {
			n++
		}
		if n != want {
			t.Errorf("%s%s: %d rules, want %d", host, path, n, want)
		}
	}
	f(sites(1000), "www7.example.com", "/", 1)
	f(sites(1000), "other", "/", 0)
	f(paths(1000), "x", "/api/v1/service7/x", 1)
	f(expressions(1000), "x", "/api/v1/service7/x", 1)
	f(append(sites(500), paths(500)...), "www7.example.com", "/api/v1/service7/x", 2)
	f(book(), "x", "/css/a", 5)
	// As many lists as there can be: each beginning of a long path, for the host and for any.
	deep := "/a/b/c/d/e/f/g/h/i/j"
	var nested []Rule
	for n := 2; n <= len(deep); n += 2 {
		nested = append([]Rule{{Match: Match{Host: []string{"x"}, Path: []string{deep[:n]}}, Pool: "web"}, {Match: Match{Path: []string{deep[:n]}}, Pool: "web"}}, nested...)
	}
	nested = append(nested, Rule{Match: Match{Host: []string{"x"}}, Pool: "web"}, Rule{Pool: "web"})
	f(nested, "x", deep, 22)
	f(nested, "y", deep+"/k", 11)
	f(nested, "x", "/a/b", 6)
}
