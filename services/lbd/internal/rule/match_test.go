package rule

import (
	"net/netip"
	"regexp"
	"testing"
)

func TestHostsAndPaths(t *testing.T) {
	table := mustCompile(t,
		Rule{Match: Match{Host: []string{"*.img.test"}}, Pool: "img"},
		Rule{Match: Match{Path: []string{"/files"}}, Pool: "next"},
		Rule{Match: Match{Host: []string{"Site.test"}, Path: []string{"/app/"}}, Pool: "web"},
		Rule{Match: Match{Host: []string{"::1"}}, Pool: "cache"},
		Rule{Match: Match{Path: []string{"= /robots.txt", `~ ^/news/\d+$`}}, Pool: "cache"},
		Rule{Match: Match{Host: []string{`~ ^shop-[a-z]+\.test$`}}, Answer: &Answer{Status: 200}},
	)
	f := func(url, want string) {
		t.Helper()
		s := newSample("GET http://" + url)
		if got := decide(table, s, s.facts()); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	f("a.img.test/files/x", "pool img")
	f("A.B.IMG.test:8080/", "pool img")
	f("img.test/", "no rule: 404")
	f(".img.test/", "no rule: 404")
	f("evilimg.test/", "no rule: 404")
	f("x/files", "pool next")
	f("x/files/", "pool next")
	f("x/filesystem", "no rule: 404")
	f("site.test./app/x", "pool web")
	f("site.test/app", "no rule: 404")
	f("[::1]:80/", "pool cache")
	f("[0:0::1]/", "pool cache")
	f("x/robots.txt", "pool cache")
	f("x/robots.txt/", "no rule: 404")
	f("x/news/12", "pool cache")
	f("x/news/12a", "no rule: 404")
	f("SHOP-a.test/", "answer 200")
	f("shop-1.test/", "no rule: 404")
	f("x/%66iles/x", "pool next")
	f("x//files/x", "pool next")
	f("x/files%2Fx", "pool next")
	f("x/%2566iles/x", "no rule: 404")
	f("x", "no rule: 404")
	f("x/files/../etc", "refuse 400 dot-segments")
	f("x/files/%2e%2E/etc", "refuse 400 dot-segments")
	f("x/files%2f..%2fetc", "refuse 400 dot-segments")
	f("x/files/..;a=b/etc", "refuse 400 dot-segments")
	f(`x/files\..\etc`, "refuse 400 dot-segments")
	f("x/files/./a", "refuse 400 dot-segments")
	f("x/files/.well-known/a..b/...", "pool next")
	f("x/files/%4", "refuse 400 bad-escape")
	f("x/files/%zz", "refuse 400 bad-escape")
	f("x/files/%00", "refuse 400 control-byte")
	f("x/news/12%0a", "refuse 400 control-byte")
	f("x/files/\x7f", "refuse 400 control-byte")
}

func TestConditions(t *testing.T) {
	f := func(m Match, line string, want bool, fields ...string) {
		t.Helper()
		s := newSample(line, fields...)
		facts := s.facts()
		facts.ServerName, facts.DoS, facts.Certificate = "Www.Test", Levels(0).With(0, Suspect), &Certificate{Name: "me.test", Subject: "CN=me.test"}
		if m.TLSClient != nil && line == "GET http://none/" {
			facts.Certificate = nil
		}
		table := mustCompile(t, Rule{Match: m, Pool: "web"})
		if got := decide(table, s, facts) == "pool web"; got != want {
			t.Errorf("%+v %s: %v", m, line, got)
		}
		table = mustCompile(t, Rule{Not: []Match{m}, Pool: "web"})
		if got := decide(table, s, facts) != "pool web"; got != want {
			t.Errorf("not %+v %s: %v", m, line, got)
		}
	}
	const get = "GET http://x/?a=1&b=%32&b=x+y&%63=d%3&e"
	f(Match{Method: []string{"GET", "HEAD"}}, get, true)
	f(Match{Method: []string{"GET"}}, "get http://x/", false)
	f(Match{Scheme: []string{"http"}}, get, true)
	f(Match{Scheme: []string{"https"}}, get, false)
	f(Match{Scheme: []string{"https"}}, "GET https://x/", true)
	f(Match{Query: map[string][]string{"a": {"1"}}}, get, true)
	f(Match{Query: map[string][]string{"a": {"1"}, "b": {"2"}}}, get, true)
	f(Match{Query: map[string][]string{"b": {"x y"}}}, get, true)
	f(Match{Query: map[string][]string{"b": {"3", "~ ^x"}}}, get, true)
	f(Match{Query: map[string][]string{"c": {"d%3"}}}, get, true)
	f(Match{Query: map[string][]string{"e": {"*"}}}, get, true)
	f(Match{Query: map[string][]string{"f": {"*"}}}, get, false)
	f(Match{Query: map[string][]string{"a": {"2"}}}, get, false)
	f(Match{Query: map[string][]string{"a": {"1"}, "b": {"1"}}}, get, false)
	f(Match{Header: map[string][]string{"X-A": {"1"}}}, get, true, "x-a: 0", "X-a: 1")
	f(Match{Header: map[string][]string{"X-A": {"1"}}}, get, false, "x-ab: 1", "X-a: 12")
	f(Match{Header: map[string][]string{"X-A": {"= ~ 1"}}}, get, true, "x-a: ~ 1")
	f(Match{Header: map[string][]string{"X-A": {"= *"}}}, get, false, "x-a: 1")
	f(Match{Cookie: map[string][]string{"s": {"1"}}}, get, true, "Cookie: a=b;s=1 ; c")
	f(Match{Cookie: map[string][]string{"s": {"1"}}}, get, true, "Cookie: a=b", "cookie: s=1")
	f(Match{Cookie: map[string][]string{"s": {"1"}}}, get, false, "Cookie: S=1; as=1; s=11; s")
	f(Match{UserAgent: []string{"Yahoo! Slurp", "googlebot"}}, get, true, "User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1)")
	f(Match{UserAgent: []string{"~ Googlebot"}}, get, true, "User-Agent: Googlebot/2.1")
	f(Match{UserAgent: []string{"~ googlebot"}}, get, false, "User-Agent: Googlebot/2.1")
	f(Match{UserAgent: []string{"= Googlebot"}}, get, false, "User-Agent: Googlebot/2.1")
	f(Match{UserAgent: []string{"bot"}}, get, false)
	f(Match{From: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/31")}}, get, true)
	f(Match{From: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/31"), netip.MustParsePrefix("2001:db8::/32")}}, get, false)
	f(Match{From: []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")}}, get, true)
	f(Match{From: []netip.Prefix{netip.MustParsePrefix("192.0.0.0/30"), netip.MustParsePrefix("192.0.0.0/16"), netip.MustParsePrefix("192.0.1.0/24")}}, get, true)
	f(Match{From: []netip.Prefix{netip.MustParsePrefix("::/0")}}, get, false)
	f(Match{ServerName: []string{"*.test"}}, get, true)
	f(Match{ServerName: []string{"~ ^www\\.test$"}}, get, true)
	f(Match{ServerName: []string{"test"}}, get, false)
	f(Match{TLSClient: []string{"you.test", "me.test"}}, get, true)
	f(Match{TLSClient: []string{"*"}}, get, true)
	f(Match{TLSClient: []string{"~ ^me[.]"}}, get, true)
	f(Match{TLSClient: []string{"me"}}, get, false)
	f(Match{TLSClient: []string{"ME.test"}}, get, false)
	f(Match{TLSClient: []string{"*"}}, "GET http://none/", false)
	f(Match{TLSClient: []string{"~ ^"}}, "GET http://none/", false)
	f(Match{DoS: anyOf("suspect", "hard")}, get, true)
	f(Match{DoS: anyOf("none")}, get, false)
	f(Match{DoS: map[string][]string{"default": {"suspect"}}}, get, true)
	f(Match{DoS: map[string][]string{"login": {"suspect"}}}, get, false)
	f(Match{DoS: map[string][]string{"login": {"none"}, "any": {"suspect"}}}, get, true)
	f(Match{DoS: map[string][]string{"login": {"none"}, "any": {"hard"}}}, get, false)
}

// Several values mean any, several conditions mean all; a "not" is one only as a whole, and each of several.
func TestNot(t *testing.T) {
	table := mustCompile(t, Rule{
		Match: Match{Path: []string{"/a/"}},
		Not:   []Match{{Method: []string{"GET"}, Query: map[string][]string{"x": {"*"}}}, {Host: []string{"no.test"}}},
		Pool:  "web",
	})
	f := func(line, want string) {
		t.Helper()
		s := newSample(line)
		if got := decide(table, s, s.facts()); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	f("GET http://x/a/", "pool web")
	f("POST http://x/a/?x=1", "pool web")
	f("GET http://x/a/?x=1", "no rule: 404")
	f("POST http://no.test/a/", "no rule: 404")
}

// An expression means what it means to package regexp, also where it is skipped or taken for a text: U+FFFD is any invalid byte.
func TestExpressions(t *testing.T) {
	f := func(re, path string) {
		t.Helper()
		s := newSample("GET http://x" + path)
		want := regexp.MustCompile(re).MatchString(unescape(path))
		if got := decide(mustCompile(t, Rule{Match: Match{Path: []string{"~ " + re}}, Pool: "web"}), s, s.facts()) == "pool web"; got != want {
			t.Errorf("%s %s: %v", re, path, got)
		}
	}
	for _, re := range []string{`^/\x{FFFD}a`, `\x{FFFD}`, `^/é`, `(?i)^/A`, `^/a|b`, `^/ab*`, `^/a(b)`, `/a`, `b$`, `(?m)^a`, `^(/a|/b)`} {
		for _, path := range []string{"/%ffa", "/%c3%a9", "/A", "/a", "/ab", "/xb", "/x/a"} {
			f(re, path)
		}
	}
}

// What conditions decode is not kept, however many they are.
func TestScratchIsReused(t *testing.T) {
	m := Match{Query: map[string][]string{"a b": {"~ ^c (?P<last>.)"}}, ServerName: []string{"a.test"}}
	var rules []Rule
	for range 100 {
		rules = append(rules, Rule{Match: m, Tags: []string{"t"}, ResponseHeaders: Edits{Set: map[string]string{"A": "$last $(arg.a b) $target"}}})
	}
	table := mustCompile(t, rules...)
	s := newSample("GET http://x/?a+b=c+d")
	facts := s.facts()
	facts.ServerName = "A.test"
	var v Verdict
	table.Decide(s, facts, &v)
	if got := outcome(&v); got != "no rule: 404; <set A: d c d /?a+b=c+d" {
		t.Error(got)
	}
	if n := len(v.s.scratch); n > 0 {
		t.Errorf("%d bytes are kept", n)
	}
}

func TestTags(t *testing.T) {
	table := mustCompile(t,
		Rule{Match: Match{UserAgent: []string{"googlebot"}}, Tags: []string{"robot"}},
		Rule{Match: Match{Query: map[string][]string{"q": {"*"}}}, Tags: []string{"search"}},
		Rule{Match: Match{Tagged: []string{"robot"}, Path: []string{"/private/"}}, Deny: true},
		Rule{Match: Match{Tagged: []string{"robot", "search"}}, Pool: "cache"},
		Rule{Pool: "web"},
	)
	f := func(line, want string, fields ...string) {
		t.Helper()
		s := newSample(line, fields...)
		if got := decide(table, s, s.facts()); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	f("GET http://x/", "pool web")
	f("GET http://x/", "pool cache", "User-Agent: Googlebot")
	f("GET http://x/private/", "deny 403", "User-Agent: Googlebot")
	f("GET http://x/private/?q=", "pool cache")
}

func TestClient(t *testing.T) {
	trusted := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	f := func(peer, want string, fields ...string) {
		t.Helper()
		if got := trusted.Client(netip.MustParseAddr(peer), newSample("GET http://x/", fields...)).String(); got != want {
			t.Errorf("%s %q: %s, want %s", peer, fields, got, want)
		}
	}
	f("192.0.2.1", "192.0.2.1", "X-Forwarded-For: 1.1.1.1")
	f("10.0.0.1", "1.1.1.1", "X-Forwarded-For: 6.6.6.6, 1.1.1.1")
	f("10.0.0.1", "1.1.1.1", "X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.7")
	f("10.0.0.1", "1.1.1.1", "X-Forwarded-For: 6.6.6.6, 1.1.1.1", "X-Forwarded-For: fd00::1,10.0.0.7")
	f("::ffff:10.0.0.1", "2001:db8::1", "X-Forwarded-For: [2001:db8::1]:443")
	f("10.0.0.1", "1.1.1.1", "X-Forwarded-For: 1.1.1.1:443")
	f("10.0.0.1", "10.0.0.2", "X-Forwarded-For: 1.1.1.1, unknown, 10.0.0.2")
	f("10.0.0.1", "10.0.0.1", "X-Forwarded-For: ")
	f("10.0.0.1", "10.0.0.1", "X-Forwarded-For: 01.1.1.1")
	f("10.0.0.1", "10.0.0.1", "X-Forwarded-For: 256.1.1.1")
	f("10.0.0.1", "10.0.0.3", "X-Forwarded-For: 10.0.0.3, 10.0.0.2")
	f("10.0.0.1", "10.0.0.1")
	s := newSample("GET http://x/", "x-forwarded-proto: HTTPS")
	for peer, want := range map[string]bool{"10.0.0.1": true, "192.0.2.1": false} {
		if trusted.Secure(netip.MustParseAddr(peer), false, s) != want {
			t.Errorf("secure from %s: not %v", peer, want)
		}
	}
	if !trusted.Secure(netip.MustParseAddr("10.0.0.1"), true, newSample("GET http://x/")) {
		t.Error("TLS is not secure")
	}
}
