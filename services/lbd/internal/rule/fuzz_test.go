package rule

import (
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FuzzRewrite puts any pattern, any templates and any request together: nothing panics, nothing that goes out can end a line, and
// lengths are bounded.
func FuzzRewrite(f *testing.F) {
	f.Add(`~ ^/(.*)$`, "/$1", "a=$1", "$1", "https://$host/$1?$query", "http://a.test/x%0dy?z", "a=b")
	f.Add(`~ ^/(?P<x>[^/]*)/(?s:(.*))`, "/$x$path", "$query&$(arg.a)", "$(header.x)", "$scheme://$x.test$target", "http://[::1]:8/a/\xff%ff?a=%0a", "x=\r\n")
	f.Add(`/a`, "$path", "$target", "$$$client$method$tls_name", "/$(cookie.c)", "http://a//a?", "c=//x")
	f.Fuzz(func(t *testing.T, pattern, path, query, value, to, url, field string) {
		s := newSample("GET "+url, "X: "+field, "Cookie: "+field)
		for _, r := range []Rule{
			{Match: Match{Path: []string{pattern}}, Rewrite: Rewrite{Path: path, Query: query}, Pool: "web"},
			{Match: Match{Path: []string{pattern}}, Rewrite: Rewrite{Path: path}, Files: &Files{Root: "/x"}},
			{Match: Match{Path: []string{pattern}}, Redirect: &Redirect{To: to, Status: 301}},
			{Match: Match{Path: []string{pattern}}, Rewrite: Rewrite{Host: value}, Strip: true, Pool: "web"},
			{Match: Match{Query: map[string][]string{"a": {pattern}}}, ResponseHeaders: Edits{Set: map[string]string{"A": value}}, Deny: true},
			{Match: Match{Host: []string{pattern}}, Split: &Split{Parts: []Part{{"web", 1}, {"next", 1}}, Key: value, Cookie: "c"}},
		} {
			table, problems := Compile([]Rule{r}, pools(), detectors())
			if len(problems) > 0 {
				continue
			}
			var v Verdict
			table.Decide(s, s.facts(), &v)
			if err := clean(&v); err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
			if v.Kind == Send {
				checkLocation(t, to, &v)
			}
			if v.Kind == Serve && hasDots(v.Path) {
				t.Fatalf("%+v: file %q", r, v.Path)
			}
		}
	})
}

// checkLocation finds a location that goes to a host that the rule does not write.
func checkLocation(t *testing.T, to string, v *Verdict) {
	t.Helper()
	l := string(v.Location)
	for i := range len(l) {
		if c := l[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			t.Fatalf("%q: location %q", to, l)
		}
	}
	if startsLocal := strings.HasPrefix(to, "/") || strings.HasPrefix(to, "$path") || strings.HasPrefix(to, "$target") ||
		strings.HasPrefix(to, "$(path)") || strings.HasPrefix(to, "${path}") || strings.HasPrefix(to, "$(target)") || strings.HasPrefix(to, "${target}"); startsLocal {
		if !strings.HasPrefix(l, "/") || strings.HasPrefix(l, "//") {
			t.Fatalf("%q: location %q", to, l)
		}
		return
	}
	_, rest, _ := strings.Cut(to, "://")
	own := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz0123456789.-"))]
	_, got, ok := strings.Cut(l, "://")
	if !ok || !strings.HasPrefix(got, own) || got == "" || strings.ContainsAny(got[:1], "/?#") {
		t.Fatalf("%q: location %q", to, l)
	}
	if after := rest[len(own):]; own != "" && !strings.HasSuffix(own, ".") && (after == "" || after[0] == '/') {
		if next := got[len(own):]; next != "" && !strings.ContainsRune("/?#", rune(next[0])) {
			t.Fatalf("%q: location %q has another host", to, l)
		}
	}
}

// maker makes rules and requests of bytes, from few words, so that they meet.
type maker struct{ b []byte }

func (m *maker) n(n int) int {
	if len(m.b) == 0 {
		return 0
	}
	c := m.b[0]
	m.b = m.b[1:]
	return int(c) % n
}

func (m *maker) some(most int, words ...string) []string {
	var out []string
	for range m.n(most + 1) {
		out = append(out, words[m.n(len(words))])
	}
	return out
}

func (m *maker) match() (out Match) {
	if m.n(2) == 0 {
		out.Host = m.some(2, "a.test", "b.a.test", "*.a.test", "*.test", "c.b.a.test", "::1", "~ ^b", "~ test$")
	}
	if m.n(3) > 0 {
		out.Path = m.some(2, "/", "/a", "/a/", "/a/b", "/a/b/c/d/e/f/g/h/i", "= /a", "= /a/b", "~ ^/a/(.*)$", "~ ^/a/b", "~ b", "~ (?i)^/A")
	}
	switch m.n(11) {
	case 0:
		out.Method = m.some(2, "GET", "POST")
	case 1:
		out.Header = map[string][]string{"X-A": {"1"}, "X-B": m.some(1, "*", "~ ^[0-9]+$")}
	case 2:
		out.Cookie = map[string][]string{"c": {"1", "~ ^2"}}
	case 3:
		out.Query = map[string][]string{"q": []string{"a b", "*"}[m.n(2):]}
	case 4:
		out.From = []netip.Prefix{netip.MustParsePrefix([]string{"10.0.0.0/8", "10.1.0.0/16", "::/0", "10.1.2.3/32"}[m.n(4)])}
	case 5:
		out.DoS = map[string][]string{}
		for _, name := range m.some(2, "any", "default", "login") {
			if states := m.some(2, "none", "suspect", "hard"); len(states) > 0 {
				out.DoS[name] = states
			}
		}
	case 6:
		out.UserAgent = m.some(2, "bot", "GOOGLE", "= x", "~ ^x")
	case 7:
		out.Tagged = m.some(2, "t0", "t1", "t2")
	case 8:
		out.ServerName = m.some(1, "*.test", "a.test")
	case 9:
		out.Scheme = m.some(1, "http", "https")
	case 10:
		out.TLSClient = m.some(2, "*", "me", "~ ^(?P<who>m)")
	}
	for name, v := range out.Header {
		if len(v) == 0 {
			delete(out.Header, name)
		}
	}
	return out
}

func (m *maker) rule() Rule {
	r := Rule{Match: m.match()}
	if m.n(4) == 0 {
		if n := m.match(); !isEmpty(n) {
			r.Not = append(r.Not, n)
		}
	}
	if m.n(4) == 0 {
		r.Tags = []string{[]string{"t0", "t1", "t2"}[m.n(3)]}
		return r
	}
	r.Pool = "web"
	return r
}

func isEmpty(m Match) bool {
	c := (&compiler{alone: true}).match(&m, nil)
	return c.empty()
}

func (m *maker) request() (*sample, *Facts) {
	hosts := []string{"a.test", "B.a.test:80", "c.b.a.test.", "test", "x.c.b.a.test", "[0::1]:80", ""}
	paths := []string{"/", "/a", "/a/", "/a/b", "/A/b", "//a//b", "/%61/b/c", "/a/b/c/d/e/f/g/h/i/j", "/a%2fb", "/ab", "/a/%2e%2e/b", "/a%zz", "/b/a", "/a%0a"}
	s := newSample([]string{"GET ", "POST "}[m.n(2)] + "http://" + hosts[m.n(len(hosts))] + paths[m.n(len(paths))] + []string{"", "?", "?q=a+b", "?x&q=", "?%71=a%20b&q"}[m.n(5)])
	for range m.n(3) {
		f := []string{"x-a: 1", "X-B: 12", "x-b: a", "Cookie: a=b; c=1", "cookie: c=23", "User-Agent: Googlebot", "user-agent: x"}[m.n(7)]
		s.fields = append(s.fields, newSample("", f).fields...)
	}
	facts := &Facts{
		Client: netip.MustParseAddr([]string{"10.1.2.3", "10.2.0.0", "192.0.2.1", "::1", "::ffff:10.1.0.1"}[m.n(5)]), Secure: m.n(2) == 0,
		DoS: Levels(0).With(0, DoS(m.n(3))).With(1, DoS(m.n(3))), ServerName: []string{"", "A.test", "b.a.test"}[m.n(3)],
		Certificate: []*Certificate{nil, {Name: "me"}, {Name: "my"}, {}}[m.n(4)],
	}
	return s, facts
}

// FuzzMatch compares Decide and Explain with a plain reading of the rules, one after the other.
func FuzzMatch(f *testing.F) {
	f.Add([]byte("a few rules and some requests to begin with, of words that follow from these letters"))
	f.Add(slices.Repeat([]byte{1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31}, 30))
	f.Fuzz(checkMatch)
}

// The same with chance alone, which comes further in rules and requests than few bytes do.
func TestMatchByChance(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	decided := map[int]int{}
	for range 500 {
		data := make([]byte, 600)
		for i := range data {
			data[i] = byte(chance.Uint32())
		}
		checkMatch(t, data)
		m := &maker{data}
		s, f := m.request()
		rule, _ := reference([]Rule{m.rule(), m.rule(), m.rule()}, s, f)
		decided[rule]++
	}
	if decided[0] < 20 || decided[2] < 5 {
		t.Errorf("the words do not meet: %v", decided)
	}
}

func checkMatch(t *testing.T, data []byte) {
	m := &maker{data}
	var rules []Rule
	for range 1 + m.n(24) {
		rules = append(rules, m.rule())
	}
	reached, dead := withoutDead(t, rules)
	table, problems := Compile(reached, pools(), detectors())
	if len(problems) > 0 {
		t.Fatalf("%s", problemTexts(problems))
	}
	var v Verdict
	for range 8 {
		s, facts := m.request()
		want, why := reference(reached, s, facts)
		table.Decide(s, facts, &v)
		if v.Rule != want || (v.Kind == Refused) != why {
			t.Fatalf("%+v\n%+v %+v\n%d, want %d %v", reached, s, facts, v.Rule, want, why)
		}
		steps := table.Explain(s, facts, &v)
		if v.Rule != want || want >= 0 && (len(steps) != want+1 || steps[want].Failed != "") {
			t.Fatalf("explain %+v, want %d", steps, want)
		}
		if all, _ := reference(rules, s, facts); all >= 0 && dead[all] {
			t.Fatalf("%+v\n%+v: rule %d is never reached, they say", rules, s, all)
		}
	}
}

// withoutDead leaves out the rules that Compile calls unreached, and those that ask for tags that nobody sets.
func withoutDead(t *testing.T, rules []Rule) (reached []Rule, dead map[int]bool) {
	dead = map[int]bool{}
	known := map[string]bool{}
	for i := range rules {
		keep := func(m *Match) {
			m.Tagged = slices.DeleteFunc(slices.Clone(m.Tagged), func(s string) bool { return !known[s] })
		}
		keep(&rules[i].Match)
		rules[i].Not = slices.Clone(rules[i].Not)
		for j := range rules[i].Not {
			keep(&rules[i].Not[j])
		}
		rules[i].Not = slices.DeleteFunc(slices.Clone(rules[i].Not), isEmpty)
		for _, s := range rules[i].Tags {
			known[s] = true
		}
	}
	_, problems := Compile(rules, pools(), detectors())
	for _, p := range problems {
		if !strings.HasPrefix(p.Msg, "is never reached") {
			t.Fatalf("%s", problemTexts(problems))
		}
		dead[p.At[0].(int)] = true
	}
	for i, r := range rules {
		if !dead[i] {
			reached = append(reached, r)
		}
	}
	if len(dead) > 0 {
		reached, _ = withoutDead(t, reached) // tags that were set by those that are gone
	}
	return reached, dead
}

// reference is the rule that decides, -1 if there is none, and whether the path is refused, by the letter of the documentation.
func reference(rules []Rule, s *sample, f *Facts) (int, bool) {
	path, ok := referencePath(s.path)
	if !ok {
		return -1, true
	}
	tags := map[string]bool{}
	for i, r := range rules {
		if !referenceMatch(r.Match, s, f, path, tags) ||
			slices.ContainsFunc(r.Not, func(m Match) bool { return referenceMatch(m, s, f, path, tags) }) {
			continue
		}
		for _, tag := range r.Tags {
			tags[tag] = true
		}
		if r.Pool != "" {
			return i, false
		}
	}
	return -1, false
}

func referencePath(raw string) (string, bool) {
	if regexp.MustCompile(`%($|[^0-9a-fA-F]|.$|.[^0-9a-fA-F])`).MatchString(raw) {
		return "", false
	}
	path := unescape(raw)
	if strings.ContainsFunc(path, func(c rune) bool { return c < 32 || c == 127 }) {
		return "", false
	}
	path = regexp.MustCompile(`/+`).ReplaceAllString(path, "/")
	return path, !regexp.MustCompile(`(^|[/\\])\.\.?([/\\;]|$)`).MatchString(path)
}

func unescape(s string) string {
	return regexp.MustCompile(`%[0-9a-fA-F]{2}`).ReplaceAllStringFunc(s, func(e string) string {
		b := strings.Index("0123456789abcdef", strings.ToLower(e[1:2]))*16 + strings.Index("0123456789abcdef", strings.ToLower(e[2:3]))
		return string([]byte{byte(b)})
	})
}

func referenceMatch(m Match, s *sample, f *Facts, path string, tags map[string]bool) bool {
	host := strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(s.host, ":80"), "."))
	if strings.HasPrefix(host, "[") {
		host = netip.MustParseAddr(strings.Trim(host, "[]")).String()
	}
	agents, all := []string{}, map[string][]string{}
	for _, field := range s.fields {
		name := strings.ToLower(string(field[0]))
		all[name] = append(all[name], string(field[1]))
		if name == "user-agent" {
			agents = append(agents, string(field[1]))
		}
	}
	cookies, query := map[string][]string{}, map[string][]string{}
	for _, pair := range strings.Split(strings.Join(all["cookie"], "; "), "; ") {
		name, value, _ := strings.Cut(pair, "=")
		cookies[name] = append(cookies[name], value)
	}
	if len(s.query) > 0 {
		for _, pair := range strings.Split(strings.ReplaceAll(string(s.query), "+", " "), "&") {
			name, value, _ := strings.Cut(pair, "=")
			query[unescape(name)] = append(query[unescape(name)], unescape(value))
		}
	}
	byName := func(want map[string][]string, have map[string][]string, fold bool) bool {
		for name, values := range want {
			if fold {
				name = strings.ToLower(name)
			}
			if !slices.ContainsFunc(have[name], func(v string) bool { return referenceText(values, v, false) }) {
				return false
			}
		}
		return true
	}
	from := len(m.From) == 0 || slices.ContainsFunc(m.From, func(p netip.Prefix) bool { return p.Contains(f.Client.Unmap()) })
	scheme := map[bool]string{false: "http", true: "https"}[f.Secure]
	return referenceHost(m.Host, host) && referencePaths(m.Path, path) && from &&
		(len(m.Method) == 0 || slices.Contains(m.Method, s.method)) && (len(m.Scheme) == 0 || slices.Contains(m.Scheme, scheme)) &&
		referenceDoS(m.DoS, f.DoS) &&
		(len(m.Tagged) == 0 || slices.ContainsFunc(m.Tagged, func(s string) bool { return tags[s] })) &&
		(len(m.ServerName) == 0 || f.ServerName != "" && referenceHost(m.ServerName, strings.ToLower(f.ServerName))) &&
		(len(m.TLSClient) == 0 || f.Certificate != nil && referenceText(m.TLSClient, f.Certificate.Name, false)) &&
		(len(m.UserAgent) == 0 || slices.ContainsFunc(agents, func(v string) bool { return referenceText(m.UserAgent, v, true) })) &&
		byName(m.Header, all, true) && byName(m.Cookie, cookies, false) && byName(m.Query, query, false)
}

func referenceHost(want []string, host string) bool {
	return len(want) == 0 || slices.ContainsFunc(want, func(w string) bool {
		if re, ok := strings.CutPrefix(w, "~ "); ok {
			return regexp.MustCompile(re).MatchString(host)
		}
		return w == host || strings.HasPrefix(w, "*") && strings.HasSuffix(host, w[1:]) && host != w[1:]
	})
}

func referencePaths(want []string, path string) bool {
	return len(want) == 0 || slices.ContainsFunc(want, func(w string) bool {
		if re, ok := strings.CutPrefix(w, "~ "); ok {
			return regexp.MustCompile(re).MatchString(path)
		}
		if whole, ok := strings.CutPrefix(w, "= "); ok {
			return path == whole
		}
		return path == w || strings.HasPrefix(path, strings.TrimSuffix(w, "/")+"/")
	})
}

func referenceText(want []string, value string, agent bool) bool {
	return slices.ContainsFunc(want, func(w string) bool {
		if re, ok := strings.CutPrefix(w, "~ "); ok {
			return regexp.MustCompile(re).MatchString(value)
		}
		if whole, ok := strings.CutPrefix(w, "= "); ok {
			return value == whole
		}
		if agent {
			return strings.Contains(strings.ToLower(value), strings.ToLower(w))
		}
		return w == "*" || value == w
	})
}

func referenceDoS(want map[string][]string, l Levels) bool {
	have := map[string]int{"default": int(l) % 4, "login": int(l) / 4 % 4}
	have["any"] = max(have["default"], have["login"])
	for name, states := range want {
		if !slices.Contains(states, DoSNames()[have[name]]) {
			return false
		}
	}
	return true
}
