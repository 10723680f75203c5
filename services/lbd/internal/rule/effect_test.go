package rule

import (
	"strings"
	"testing"
)

// run decides a request that the rule matches.
func run(t *testing.T, r Rule, line string, fields ...string) string {
	t.Helper()
	s := newSample(line, fields...)
	return decide(mustCompile(t, r), s, s.facts())
}

func TestRewrite(t *testing.T) {
	f := func(path string, w Rewrite, url, want string) {
		t.Helper()
		if got := run(t, Rule{Match: Match{Path: []string{path}}, Rewrite: w, Pool: "web"}, "GET http://h.test"+url); got != want {
			t.Errorf("%s %+v %s:\ngot  %s\nwant %s", path, w, url, got, want)
		}
	}
	f("~ ^/hoge/([^/]+)/([^/]+)$", Rewrite{Path: "/hoge", Query: "$1=$2"}, "/hoge/foo/bar", "pool web as /hoge?foo=bar")
	f("~ ^/hoge/([^/]+)/([^/]+)$", Rewrite{Path: "/hoge", Query: "$1=$2"}, "/hoge/a&b/c%3Dd%26", "pool web as /hoge?a%26b=c%3Dd%26")
	f("~ ^/u/(?P<user>.*)$", Rewrite{Path: "/users/$(user)x/$user"}, "/u/a%20b%3f?q=1", "pool web as /users/a%20b%3Fx/a%20b%3F?q=1")
	f("~ ^/u/(.*)$", Rewrite{Path: "/x/${1}0"}, "/u/a%2Fb", "pool web as /x/a/b0")
	f("/", Rewrite{Path: "/v2$path"}, "/a%2fb//c?x=%zz", "pool web as /v2/a%2fb//c?x=%zz")
	f("/", Rewrite{Path: "$path.html"}, "//a", "pool web as /a.html")
	f("/", Rewrite{Query: "$query&lang=de"}, "/a", "pool web as /a?lang=de")
	f("/", Rewrite{Query: "$query&lang=de"}, "/a?x", "pool web as /a?x&lang=de")
	f("/", Rewrite{Query: "from=$target"}, "/a?x=1&y", "pool web as /a?from=/a%3Fx%3D1%26y")
	f("/", Rewrite{Query: "u=$(arg.u)"}, "/a?u=%0d%0aX:+1", "pool web as /a?u=%0D%0AX:%201")
	f("/", Rewrite{Query: "$query"}, "/a?", "pool web as /a")
	f("/", Rewrite{DropQuery: true}, "/a?x=1", "pool web as /a")
	f("/", Rewrite{Path: "/$(arg.p)"}, "/?p=../etc/passwd", "refuse 400 bad-rewrite")
	f("/", Rewrite{Path: "/$(arg.p)"}, "/?p=/evil", "pool web as /evil?p=/evil")
	f("/", Rewrite{Path: "/$(arg.p)"}, "/?p=a%0d%0ab", "refuse 400 bad-rewrite")
	f("/", Rewrite{Host: "$(arg.h).test"}, "/?h=a.b", "pool web at host a.b.test")
	f("/", Rewrite{Host: "$(arg.h).test"}, "/?h=a/b", "refuse 400 bad-rewrite")
	f("/", Rewrite{Host: "$(arg.h).test"}, "/?h=", "refuse 400 bad-rewrite")
	f("/", Rewrite{Host: "in.test:81"}, "/", "pool web at host in.test:81")
	f("/", Rewrite{Path: "/" + strings.Repeat("$path", 10), Query: strings.Repeat("$target", 10)}, "/"+strings.Repeat("x", 1000), "refuse 414 rewrite-too-long")
	f("/", Rewrite{Path: "/" + strings.Repeat("$path", 20)}, "/"+strings.Repeat("x", 1000), "refuse 414 rewrite-too-long")
}

func TestStrip(t *testing.T) {
	f := func(path, url, want string) {
		t.Helper()
		if got := run(t, Rule{Match: Match{Path: []string{path, "/other"}}, Strip: true, Pool: "web"}, "GET http://h"+url); got != want {
			t.Errorf("%s %s: %s, want %s", path, url, got, want)
		}
	}
	f("/a", "/a/b", "pool web as /b")
	f("/a/", "/a/b", "pool web as /b")
	f("/a", "/a", "pool web as /")
	f("/a", "/a?x=1", "pool web as /?x=1")
	f("/a", "/%61/b%2Fc?", "pool web as /b%2Fc?")
	f("/a", "//a//b", "pool web as /b")
	f("/a/b", "//a%2F/b/c", "pool web as /c")
	f("/a", "/a%2Fb", "pool web as /b")
	f("/a", "/other/x", "pool web as /x")
	f("/", "/x", "pool web")
}

func TestRedirect(t *testing.T) {
	f := func(to, line, want string) {
		t.Helper()
		r := Rule{Match: Match{Path: []string{"~ ^/(.*)$"}}, Redirect: &Redirect{To: to, Status: 301}}
		if got := run(t, r, line); got != "redirect 301 "+want && got != want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", to, line, got, want)
		}
	}
	f("https://$host$target", "GET http://Www.Test:8080/a%20b?x=1", "https://www.test/a%20b?x=1")
	f("https://$host$target", "GET http://[::1]:80/", "https://[::1]/")
	f("https://$host:8443$path", "GET http://a.test//x?y", "https://a.test:8443//x")
	f("https://$host$target", "GET http:///", "refuse 400 bad-rewrite")
	f("https://$host$target", "GET http://a@b/", "refuse 400 bad-rewrite")
	f("$scheme://new.test/$1?$query", "GET https://x/a?b=\"<", "https://new.test/a?b=%22%3C")
	f("https://$1.test/", "GET http://x/a", "https://a.test/")
	f("https://$1.test/", "GET http://x/a/b", "refuse 400 bad-rewrite")
	f("https://$1.test/", "GET http://x/a%40b", "refuse 400 bad-rewrite")
	f("/$1", "GET http://x/%2Fevil.test", "/evil.test")
	f("$path", "GET http://x//evil.test", "/evil.test")
	f("$target", `GET http://x/\evil.test?a|b`, "/%5Cevil.test?a%7Cb")
	f("/login?back=$target#top", "GET http://x/a?b=c&d", "/login?back=/a%3Fb%3Dc%26d#top")
	f("/caf%C3%A9/$1", "GET http://x/%c3%a9?x", "/caf%C3%A9/%C3%A9")
	f("/$(header.X-Evil)", "GET http://x/", "/")
}

func TestHeaders(t *testing.T) {
	f := func(r Rule, line, want string, fields ...string) {
		t.Helper()
		r.Pool = "web"
		if got := run(t, r, line, fields...); got != want {
			t.Errorf("%+v:\ngot  %s\nwant %s", r, got, want)
		}
	}
	f(Rule{RequestHeaders: Edits{
		Set:    map[string]string{"X-Robot": "1", "X-Client": "$client $scheme $method $host $tls_name."},
		Add:    map[string]string{"X-Via": "$$lbd"},
		Remove: []string{"X-Debug"},
	}}, "GET http://H.test/", "pool web; >remove X-Debug; >set X-Client: 192.0.2.1 http GET h.test .; >set X-Robot: 1; >add X-Via: $lbd")
	f(Rule{ResponseHeaders: Edits{Set: map[string]string{"X-Q": "$(arg.q)", "X-H": "$(header.a) $(cookie.c)"}}},
		"GET http://h/?q=a%0d%0aSet-Cookie:%20x%00%ff", "pool web; <set X-H: b 1; <set X-Q: a%0D%0ASet-Cookie: x%00\xff",
		"A: b", "a: c", "Cookie: x=y; c=1; c=2")
	f(Rule{Match: Match{Header: map[string][]string{"X-Id": {"~ ^(?P<num>[0-9]+)$", "~ ^id-(?P<num>.)"}}},
		RequestHeaders: Edits{Set: map[string]string{"N": "$num"}}}, "GET http://h/", "pool web; >set N: a", "X-Id: ?", "X-Id: id-abc")
	f(Rule{Match: Match{Host: []string{`~ ^(?P<shop>\w+)\.`}, Cookie: map[string][]string{"c": {"~ (?P<rest>b.*)"}}, Query: map[string][]string{"q": {"~ (?P<q>.+)"}},
		UserAgent: []string{"~ (?P<agent>bot)"}},
		RequestHeaders: Edits{Set: map[string]string{"N": "$shop/$rest/$q/$agent"}}},
		"GET http://a.b/?q=&q=x+y", "pool web; >set N: a/bc/x y/bot", "Cookie: c=abc", "User-Agent: robot")
	f(Rule{HSTS: "max-age=1"}, "GET http://h/", "pool web")
	f(Rule{HSTS: "max-age=1"}, "GET https://h/", "pool web; <set Strict-Transport-Security: max-age=1")
	f(Rule{RequestHeaders: Edits{Set: map[string]string{"A": strings.Repeat("$host", 100)}}}, "GET http://"+strings.Repeat("h", 100)+"/", "refuse 414 rewrite-too-long")
}

// What a client's certificate says goes into headers, escaped like all else; without one it is nothing.
func TestCertificateVariables(t *testing.T) {
	table := mustCompile(t, Rule{
		Match: Match{TLSClient: []string{"~ ^(?P<user>[a-z]+)@", "*"}}, Pool: "web",
		RequestHeaders: Edits{Set: map[string]string{
			"A": "$tls_client|$tls_client_subject|$tls_client_names|$tls_client_serial|$tls_client_fingerprint", "U": "$user",
		}},
	}, Rule{Pool: "next", RequestHeaders: Edits{Set: map[string]string{"A": "<$tls_client$tls_client_subject>"}}})
	s := newSample("GET https://h/")
	facts := s.facts()
	facts.Certificate = &Certificate{Name: "me@test", Subject: "CN=me@test,O=A\\, B\r\nX: y", Names: "DNS:a, email:me@test", Serial: "0a", Fingerprint: "ff"}
	want := "pool web; >set A: me@test|CN=me@test,O=A\\, B%0D%0AX: y|DNS:a, email:me@test|0a|ff; >set U: me"
	if got := decide(table, s, facts); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	facts.Certificate = nil
	if got := decide(table, s, facts); got != "pool next; >set A: <>" {
		t.Error(got)
	}
}

// What several rules say of one header comes to one thing.
func TestEditsOfSeveralRules(t *testing.T) {
	table := mustCompile(t,
		Rule{ResponseHeaders: Edits{Set: map[string]string{"A": "1", "B": "1"}, Add: map[string]string{"C": "1"}}},
		Rule{Match: Match{Path: []string{"/x"}}, ResponseHeaders: Edits{Set: map[string]string{"a": "2"}, Remove: []string{"c"}}},
		Rule{Match: Match{Path: []string{"/x"}}, ResponseHeaders: Edits{Add: map[string]string{"C": "3", "A": "3"}}, Deny: true},
	)
	s := newSample("GET http://h/x")
	var v Verdict
	table.Decide(s, s.facts(), &v)
	if got, want := outcome(&v), "deny 403; <set B: 1; <remove c; <set a: 2; <add A: 3; <add C: 3"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for name, want := range map[string]bool{"a": true, "C": true, "b": true, "d": false} {
		if Drops(v.Response, []byte(name)) != want {
			t.Errorf("Drops %s: not %v", name, want)
		}
	}
	s = newSample("GET http://h/")
	if got, want := decide(table, s, s.facts()), "no rule: 404; <set A: 1; <set B: 1; <add C: 1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFiles(t *testing.T) {
	f := func(r Rule, url, want string) {
		t.Helper()
		r.Files = &Files{Root: "/srv"}
		if got := run(t, r, "GET http://h"+url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	f(Rule{}, "/a%20b//c?x", "file /a b/c of /srv")
	f(Rule{Match: Match{Path: []string{"/images/"}}, Strip: true}, "/images/%61.png?x", "file /a.png of /srv")
	f(Rule{Match: Match{Path: []string{"~ ^/(.)/(.*)$"}}, Rewrite: Rewrite{Path: "/$1/x/$2"}}, "/a/b?c%2f", "file /a/x/b of /srv")
	f(Rule{}, "/a/%2e%2e/b", "refuse 400 dot-segments")
}

func TestSplit(t *testing.T) {
	parts := []Part{{"web", 90}, {"next", 10}, {"cache", 0}}
	table := mustCompile(t, Rule{Split: &Split{Parts: parts, Cookie: "canary"}})
	f := func(random uint64, want string, fields ...string) {
		t.Helper()
		s := newSample("GET https://h/", fields...)
		facts := s.facts()
		facts.Random = random
		if got := decide(table, s, facts); got != want {
			t.Errorf("%d: %s, want %s", random, got, want)
		}
	}
	f(0, "pool web; <cookie canary=web; Path=/; HttpOnly; SameSite=Lax; Secure")
	f(1<<64-1, "pool next; <cookie canary=next; Path=/; HttpOnly; SameSite=Lax; Secure")
	f(0, "pool next", "Cookie: canary=next")
	f(0, "pool cache", "Cookie: canary=cache")
	f(0, "pool web; <cookie canary=web; Path=/; HttpOnly; SameSite=Lax; Secure", "Cookie: canary=img")

	counts := map[string]int{}
	keyed := mustCompile(t, Rule{Split: &Split{Parts: parts, Key: "$(cookie.user)"}})
	for i := range uint64(10000) {
		s := newSample("GET http://h/")
		facts := s.facts()
		facts.Random = i * ((1<<64 - 1) / 10000)
		counts[decide(keyed, s, facts)]++
		if i == 0 {
			facts.Random = 0
			s.fields = newSample("", "Cookie: user=b").fields
			want := decide(keyed, s, facts)
			facts.Random = 1<<64 - 1
			if got := decide(keyed, s, facts); got != want {
				t.Errorf("chance moves a key: %s, %s", got, want)
			}
		}
	}
	if n := counts["pool web"]; n < 8990 || n > 9010 || counts["pool next"] != 10000-n {
		t.Errorf("%v", counts)
	}
	keys := map[string]int{}
	for i := range 10000 {
		s := newSample("GET http://h/", "Cookie: user="+strings.Repeat("x", i%50)+string(rune('a'+i%26))+strings.Repeat("y", i/200))
		keys[decide(keyed, s, s.facts())]++
	}
	if n := keys["pool next"]; n < 700 || n > 1300 {
		t.Errorf("%v", keys)
	}
}
