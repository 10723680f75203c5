package rule

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestProblems(t *testing.T) {
	f := func(want string, rules ...Rule) {
		t.Helper()
		_, problems := Compile(rules, pools(), detectors())
		if got := problemTexts(problems); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	path := func(p ...string) Match { return Match{Path: p} }
	long := strings.Repeat("x", MaxPattern+1)
	f("", Rule{Pool: "web"})
	f("0: does nothing (give pool, files, redirect, answer, deny, drop or split; or tag, headers, hsts, compress, limit or tarpit for the rules behind it)", Rule{})
	f("0.deny: pool and deny exclude each other", Rule{Pool: "web", Deny: true})
	f(`0.pool: unknown pool "wbe", known web next cache img`, Rule{Pool: "wbe"})
	f(`1.name: "a" is the name of routes[0] already`, Rule{Name: "a", Match: path("/a"), Pool: "web"}, Rule{Name: "a", Pool: "web"})

	// Patterns.
	f(`0.host.0: "a b" is no host name (write www.example.com or *.example.com, without port)`, Rule{Match: Match{Host: []string{"a b"}}, Pool: "web"})
	f(`0.host.1: "*.*.a" is no host name (write www.example.com or *.example.com, without port)`, Rule{Match: Match{Host: []string{"a", "*.*.a"}}, Pool: "web"})
	f(`0.path.0: "x" does not begin with /`, Rule{Match: path("x"), Pool: "web"})
	f(`0.path.0: "/a*" is not a plain path: no ?, #, % or *`, Rule{Match: path("/a*"), Pool: "web"})
	f(`0.path.0: "/a/../b" is a path that no request has (paths are compared decoded, with one slash for several)`, Rule{Match: path("/a/../b"), Pool: "web"})
	f(`0.path.0: "= /a//b" is a path that no request has (paths are compared decoded, with one slash for several)`, Rule{Match: path("= /a//b"), Pool: "web"})
	f(`0.path.0: "~^/a" has no space behind its "~" (write "~ " before a regular expression, "= " before a text)`, Rule{Match: path("~^/a"), Pool: "web"})
	f(`0.path.0: "~ " has nothing behind its "~"`, Rule{Match: path("~ "), Pool: "web"})
	f("0.path.0: \"(\" is no regular expression: missing closing ): `(` (as Go and RE2 have them: no look-around, no references back)", Rule{Match: path("~ ("), Pool: "web"})
	f("0.path.0: the regular expression has 1025 bytes, more than 1024", Rule{Match: path("~ " + long), Pool: "web"})
	f("0.path.0: the regular expression has about 3001 steps, more than 256 (repeat less)", Rule{Match: path("~ (?:ab){500}(?:cd){500}"), Pool: "web"})
	f(`0.path.0: the group's name "host" is a variable already (give it another name)`, Rule{Match: path("~ (?P<host>a)"), Pool: "web"})
	f(`0.path.0: the group's name "A" cannot be a variable (a-z, digits and _, beginning with a letter)`, Rule{Match: path("~ (?P<A>a)"), Pool: "web"})
	f(`0.method.0: "get" is no method that is in use (methods are written in capitals)`, Rule{Match: Match{Method: []string{"get"}}, Pool: "web"})
	f(`0.scheme.0: unknown scheme "ftp", known http https`, Rule{Match: Match{Scheme: []string{"ftp"}}, Pool: "web"})
	f(`0.dos.any.0: unknown state "soft", known none suspect hard`, Rule{Match: Match{DoS: anyOf("soft")}, Pool: "web"})
	f(`0.dos.logon: unknown detector "logon", known any default login`, Rule{Match: Match{DoS: map[string][]string{"logon": {"hard"}}}, Pool: "web"})
	f(`0.dos.login: has no value (give none, suspect or hard)`, Rule{Match: Match{DoS: map[string][]string{"login": nil}}, Pool: "web"})
	f(`0.header.a b: "a b" is no name`, Rule{Match: Match{Header: map[string][]string{"a b": {"1"}}}, Pool: "web"})
	f(`0.header.a: is there in another letter case`, Rule{Match: Match{Header: map[string][]string{"A": {"1"}, "a": {"1"}}}, Pool: "web"})
	f(`0.query.a: has no value ("*" stands for any value)`, Rule{Match: Match{Query: map[string][]string{"a": nil}}, Pool: "web"})
	f(`0.user_agent.0: is empty`, Rule{Match: Match{UserAgent: []string{""}}, Pool: "web"})
	f(`0.not.0: has no condition (give host, path, method, …)`, Rule{Not: []Match{{}}, Pool: "web"})

	// Tags.
	f(`0.tagged.0: unknown tag "robt", known robot`, Rule{Match: Match{Tagged: []string{"robt"}}, Pool: "web"}, Rule{Tags: []string{"robot"}})
	f(`0.tagged.0: routes[1] sets the tag "robot", too late (move it before this one)`, Rule{Match: Match{Tagged: []string{"robot"}}, Pool: "web"}, Rule{Tags: []string{"robot"}})
	var tags []string
	for i := range MaxTags + 1 {
		tags = append(tags, fmt.Sprint("t", i))
	}
	f("0.tag.64: more than 64 tags", Rule{Tags: tags})

	// Templates.
	to := func(to string) Rule {
		return Rule{Match: path("~ ^/(.)$", "~ ^/(a)(b)$"), Redirect: &Redirect{To: to, Status: 302}}
	}
	f("", to("https://$1.a.test/$1"))
	f("0.redirect.to: there is no capture $3 (captures are the groups (…) of a path that begins with ~)", to("/$3"))
	f("0.redirect.to: not every path has the capture $2 (write a rule for the others)", to("/$2"))
	f("0.redirect.to: ends in a $ (write $$ for the character itself)", to("/$"))
	f("0.redirect.to: has a $ that begins no variable (write $$ for the character itself)", to("/$-"))
	f("0.redirect.to: $( is not closed (write $$ for the character itself)", to("/$(a"))
	f("0.redirect.to: unknown variable $user (known: $0, $1, $2, $client, $host, $method, $path, $query, $scheme, $target, $tls_client, $tls_client_fingerprint, $tls_client_names, $tls_client_serial, $tls_client_subject, $tls_name, $(header.NAME), $(cookie.NAME), $(arg.NAME))", to("/$user"))
	f("0.redirect.to: does not begin with /, http://, https://, $scheme://, $path or $target", to("ftp://a/"))
	f("0.redirect.to: does not begin with /, http://, https://, $scheme://, $path or $target", to("$1"))
	f("0.redirect.to: begins with // (write https://host/ or one slash)", to("//a/"))
	f(`0.redirect.to: the variable at the end could make another host of "https://a.test" (write / before it, or a dot if it is meant so)`, to("https://a.test$1"))
	f(`0.redirect.to: the variable at the end could make another host of "https://a.test" (write / before it, or a dot if it is meant so)`, to("https://a.test$1/b"))
	f(`0.redirect.to: the variable at the end could make another host of "https://a.test:" (write / before it, or a dot if it is meant so)`, to("https://a.test:$1$1/"))
	f("0.redirect.to: has a character that no host has", to("https://user@a.test/"))
	f("0.redirect.to: has a character that no URL has (percent-encode it)", to("/a b"))
	f("0.redirect.to: has a control character", to("/a\r\nX: y"))
	f("0.redirect.to: nothing can follow $target ($target holds the path and the query)", to("$target&x"))
	f("0.redirect.status: 304 is no redirection (301, 302, 303, 307 or 308)", Rule{Redirect: &Redirect{To: "/", Status: 304}})
	re := func(w Rewrite) Rule { return Rule{Rewrite: w, Pool: "web"} }
	f("0.rewrite.path: does not begin with / or $path", re(Rewrite{Path: "a"}))
	f("0.rewrite.path: a path has no ? or # (write query: beside path:)", re(Rewrite{Path: "/a?b"}))
	f("0.rewrite.path: a query does not belong in a path (write query: beside path:)", re(Rewrite{Path: "/a$target"}))
	f("0.rewrite.query: has a character that no query has (percent-encode it)", re(Rewrite{Query: "a b"}))
	f("0.rewrite.host: has a character that no host has (write host or host:port)", re(Rewrite{Host: "a/b"}))
	f(`0.rewrite.host: the variable at the end could make another host of "a" (write / before it, or a dot if it is meant so)`, re(Rewrite{Host: "a$host"}))
	f("0.rewrite.drop_query: rewrite.query makes the query", re(Rewrite{Query: "a", DropQuery: true}))
	f("0.rewrite: has no meaning here (give a pool or files)", Rule{Rewrite: Rewrite{Path: "/"}, Deny: true})
	f("0.strip_prefix: path[0] is no beginning that can be taken off (use rewrite)", Rule{Match: path("= /a"), Strip: true, Pool: "web"})
	f("0.strip_prefix: rewrite.path makes the whole path", Rule{Match: path("/a"), Strip: true, Rewrite: Rewrite{Path: "/"}, Pool: "web"})

	// What rules do.
	head := func(e Edits) Rule { return Rule{RequestHeaders: e, Pool: "web"} }
	f("0.request_headers.set.Content-Length: Content-Length is lbd's own", head(Edits{Set: map[string]string{"Content-Length": "1"}}))
	f("0.request_headers.remove.0: connection is lbd's own", head(Edits{Remove: []string{"connection"}}))
	f("0.request_headers.add.host: Host is not changed as a header (use rewrite.host)", head(Edits{Add: map[string]string{"host": "a"}}))
	f(`0.request_headers.add.a:b: "a:b" is no header's name`, head(Edits{Add: map[string]string{"a:b": "a"}}))
	f("0.request_headers.add.a: has a control character", head(Edits{Add: map[string]string{"a": "b\r\nc: d"}}))
	f(`0.files.root: "www" is no clean absolute path (write it like /var/www/images)`, Rule{Files: &Files{Root: "www"}})
	f(`0.files.index.0: "../a" is no file name`, Rule{Files: &Files{Root: "/www", Index: []string{"../a"}}})
	f("0.answer.status: 100 is no final status", Rule{Answer: &Answer{Status: 100}})
	f("0.answer.body: a 204 has no body", Rule{Answer: &Answer{Status: 204, Body: "x"}})
	f("0.answer.type: has a control character", Rule{Answer: &Answer{Status: 200, Type: "a\nb"}})
	f("0.split.pools: all weights are 0", Rule{Split: &Split{Parts: []Part{{"web", 0}}}})
	f(`0.split.pools.1.pool: "web" is listed twice`, Rule{Split: &Split{Parts: []Part{{"web", 1}, {"web", 2}}}})
	f(`0.split.pools.0.pool: unknown pool "x", known web next cache img`, Rule{Split: &Split{Parts: []Part{{"x", 1}}}})
	f(`0.split.cookie: "a b" is no cookie's name`, Rule{Split: &Split{Parts: []Part{{"web", 1}}, Cookie: "a b"}})
	f(": 1025 rules, at most 1024", make([]Rule, MaxRules+1)...)
}

func TestNeverReached(t *testing.T) {
	f := func(a, b Rule, want string) {
		t.Helper()
		if a.Pool == "" && len(a.Tags) == 0 {
			a.Pool = "web"
		}
		b.Pool = "web"
		_, problems := Compile([]Rule{a, b}, pools(), detectors())
		if got := problemTexts(problems); got != want {
			t.Errorf("%+v\n%+v\ngot  %s\nwant %s", a, b, got, want)
		}
	}
	const (
		none = ""
		all  = "1: is never reached: routes[0] takes all its requests"
		same = "1: is never reached: routes[0] has the same host and path"
		alsc = "1: is never reached: routes[0] has the same conditions"
	)
	on := func(m Match) Rule { return Rule{Match: m} }
	prefix := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	f(Rule{}, Rule{}, same)
	f(on(Match{Host: []string{"A.test"}, Path: []string{"/"}}), on(Match{Host: []string{"a.test"}}), same)
	f(Rule{}, on(Match{Path: []string{"/a"}}), all)
	f(on(Match{Path: []string{"/a"}}), Rule{}, none)
	f(on(Match{Path: []string{"/a"}}), on(Match{Path: []string{"/a/", "= /a/b"}}), all)
	f(on(Match{Path: []string{"/a/"}}), on(Match{Path: []string{"/a"}}), none)
	f(on(Match{Path: []string{"/a"}}), on(Match{Path: []string{"/ab"}}), none)
	f(on(Match{Path: []string{"/a"}}), on(Match{Path: []string{"/a/x", "/b"}}), none)
	f(on(Match{Path: []string{"~ ^/a"}}), on(Match{Path: []string{"= /ab"}}), all)
	f(on(Match{Path: []string{"~ ^/a"}}), on(Match{Path: []string{"/ab"}}), none)
	f(on(Match{Host: []string{"*.a.test"}}), on(Match{Host: []string{"b.a.test", "*.b.a.test"}}), all)
	f(on(Match{Host: []string{"*.a.test"}}), on(Match{Host: []string{"a.test"}}), none)
	f(on(Match{Method: []string{"GET"}}), Rule{}, none)
	f(on(Match{Method: []string{"GET", "HEAD"}}), on(Match{Method: []string{"GET"}}), all)
	f(on(Match{Method: []string{"GET"}}), on(Match{Method: []string{"GET"}}), alsc)
	f(on(Match{From: prefix("10.0.0.0/8")}), on(Match{From: prefix("10.1.0.0/16")}), all)
	f(on(Match{From: prefix("10.0.0.0/8")}), on(Match{From: prefix("0.0.0.0/0")}), none)
	f(on(Match{Header: map[string][]string{"A": {"*"}}}), on(Match{Header: map[string][]string{"a": {"1"}, "b": {"2"}}}), all)
	f(on(Match{Header: map[string][]string{"A": {"1"}}}), on(Match{Header: map[string][]string{"a": {"*"}}}), none)
	f(on(Match{UserAgent: []string{"bot"}}), on(Match{UserAgent: []string{"GoogleBot", "~ bot"}}), none)
	f(on(Match{UserAgent: []string{"bot"}}), on(Match{UserAgent: []string{"GoogleBot"}}), all)
	f(on(Match{DoS: anyOf("suspect", "hard")}), on(Match{DoS: anyOf("hard")}), all)
	login := map[string][]string{"login": {"hard"}}
	f(on(Match{DoS: login}), on(Match{DoS: map[string][]string{"login": {"hard"}, "any": {"hard"}}}), all)
	f(on(Match{DoS: anyOf("hard")}), on(Match{DoS: login}), none)
	f(on(Match{DoS: map[string][]string{"default": {"hard"}}}), on(Match{DoS: login}), none)
	f(Rule{Tags: []string{"x"}}, Rule{}, none)
	// A tag that comes between the two makes a difference.
	tagged := Match{Tagged: []string{"x"}}
	rules := []Rule{{Match: Match{Path: []string{"/a"}}, Tags: []string{"x"}}, {Match: tagged, Pool: "web"}, {Tags: []string{"x"}}, {Match: tagged, Pool: "next"}}
	if _, problems := Compile(rules, pools(), detectors()); len(problems) > 0 {
		t.Error(problemTexts(problems))
	}
	rules[2].Tags[0] = "y"
	if _, problems := Compile(rules, pools(), detectors()); problemTexts(problems) != "3: is never reached: routes[1] has the same conditions" {
		t.Error(problemTexts(problems))
	}
	not := func(m Match) Rule { return Rule{Not: []Match{m}} }
	f(not(Match{Path: []string{"/a"}}), Rule{}, none)
	f(not(Match{Path: []string{"/a/b"}}), not(Match{Path: []string{"/a"}}), all)
	f(not(Match{Path: []string{"/a"}}), not(Match{Path: []string{"/a/b"}}), none)
	f(Rule{}, not(Match{Path: []string{"/a"}}), all)
}
