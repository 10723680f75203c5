package page

import (
	"html"
	"strings"
	"testing"
)

// TestPages are pages with their variables filled in.
func TestPages(t *testing.T) {
	v := Vars{Status: 503, Why: "no-member", Host: []byte(`a<b>"&'`), RequestID: []byte("id"), RetryAfter: 60}
	f := func(text, want string) {
		t.Helper()
		p, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(p.Append([]byte("^"), &v)); got != "^"+want {
			t.Errorf("%q: %q", text, got)
		}
	}
	f("", "")
	f("plain", "plain")
	f("{{status}}", "503")
	f("<h1>{{ status }} {{reason}}</h1>{{why}}", "<h1>503 Service Unavailable</h1>no-member")
	f(`<a title="{{host}}">`, `<a title="a&lt;b&gt;&#34;&amp;&#39;">`)
	f("{{request_id}}{{retry_after}}", "id60")
	f("a { b } $ {x} }}", "a { b } $ {x} }}")
}

// TestErrors: what is no page.
func TestErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := Parse(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	f("{{stat}}", "{{stat is no variable (there are {{status}}, {{reason}}, ")
	f("x {{status", "{{status is no variable")
	f("{{}}", "{{ is no variable")
	f(strings.Repeat("x", MaxSize+1), "a page of 65537 bytes, at most 65536")
}

// TestSets: which page is found.
func TestSets(t *testing.T) {
	set := func(keys ...string) *Set {
		t.Helper()
		s := &Set{}
		for _, k := range keys {
			p, err := Parse(k)
			if err != nil || !s.Add(k[:3], p) {
				t.Fatal(k, err)
			}
		}
		return s
	}
	f := func(s *Set, status int, want string) {
		t.Helper()
		got := ""
		if p := s.Find(status); p != nil {
			got = string(p.Append(nil, &Vars{}))
		}
		if got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
	below := set("404 below", "502 below", "5xx below")
	f(nil, 404, "")
	f(below, 404, "404 below")
	f(below, 403, "")
	f(below, 500, "5xx below")
	f(below, 502, "502 below")
	f(below, 200, "")
	f(below, 600, "")
	f((*Set)(nil).Over(below), 404, "404 below")
	over := set("404 over", "5xx over").Over(below)
	f(over, 404, "404 over")
	f(over, 502, "5xx over")
	f(over, 500, "5xx over")
	over = set("403 over").Over(below)
	f(over, 403, "403 over")
	f(over, 502, "502 below")
	f(over, 500, "5xx below")
	for _, key := range []string{"200", "600", "40", "0404", "xxx", "+40", "6xx"} {
		if below.Add(key, nil) {
			t.Errorf("%s is taken", key)
		}
	}
}

func TestWantsHTML(t *testing.T) {
	f := func(accept string, want bool) {
		t.Helper()
		if WantsHTML([]byte(accept)) != want {
			t.Errorf("%q", accept)
		}
	}
	f("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true)
	f("application/json, Text/HTML;q=0.1", true)
	f("text/html; level=1; q=0.5", true)
	f("*/*", false)
	f("", false)
	f("application/json", false)
	f("text/html;q=0", false)
	f("text/html ; q=0.000, */*", false)
	f("text/htmlx", false)
}

// FuzzPage: what comes from a request ends no tag and begins none, and a list of types is read as it is written.
func FuzzPage(f *testing.F) {
	f.Add("<script>", "text/html;q=0.5")
	f.Add("\"&'", "text/html ; q=0")
	p, err := Parse("[{{host}}{{request_id}}{{why}}]")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, accept string) {
		got := string(p.Append(nil, &Vars{Host: []byte(text), RequestID: []byte(text), Why: text}))
		if strings.ContainsAny(got, "<>\"'") || html.UnescapeString(got) != "["+text+text+text+"]" {
			t.Fatalf("%q is %q", text, got)
		}
		if WantsHTML([]byte(accept)) && !strings.Contains(strings.ToLower(accept), "text/html") {
			t.Fatalf("%q wants HTML", accept)
		}
	})
}
