package rule

import "testing"

func TestFilter(t *testing.T) {
	f := func(when *Match, not []Match, line string, want bool) {
		t.Helper()
		filter, problems := NewFilter(when, not)
		if len(problems) > 0 {
			t.Fatal(problemTexts(problems))
		}
		s := newSample(line)
		var v Verdict
		v.Look(s, s.facts())
		if got := filter.Holds(&v); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
	login := &Match{Path: []string{"/login"}, Method: []string{"POST"}}
	f(login, nil, "POST http://a/login", true)
	f(login, nil, "POST http://a/%6cogin/x", true)
	f(login, nil, "POST http://a//login", true)
	f(login, nil, "GET http://a/login", false)
	f(login, nil, "POST http://a/other", false)
	f(login, nil, "POST http://a/%zz/login", false) // refused for its path
	static := []Match{{Path: []string{"/static/"}}, {Host: []string{"img.test"}}}
	f(nil, static, "GET http://a/static/x", false)
	f(nil, static, "GET http://IMG.test/", false)
	f(nil, static, "GET http://a/", true)
	f(nil, static, "GET http://a/%zz", true)
	f(login, []Match{{Host: []string{"x"}}}, "POST http://x/login", false)
}

func TestFilterProblems(t *testing.T) {
	f := func(want string, when *Match, not ...Match) {
		t.Helper()
		filter, problems := NewFilter(when, not)
		if got := problemTexts(problems); got != want || filter != nil {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f("when: has no condition (give host, path, method, …)", &Match{})
	f("not.1: has no condition (give host, path, method, …)", nil, Match{Path: []string{"/a"}}, Match{})
	f("when.dos: has no meaning here\nwhen.tagged: has no meaning here", &Match{DoS: anyOf("hard"), Tagged: []string{"x"}})
	f(`when.method.0: "get" is no method that is in use (methods are written in capitals)`, &Match{Method: []string{"get"}})
}

// A look allocates nothing, and a decision that follows is as without it.
func TestFilterAllocatesNothing(t *testing.T) {
	filter, problems := NewFilter(&Match{Path: []string{"/a b"}, Query: map[string][]string{"q": {"x y"}}}, []Match{{Host: []string{"*.test"}}})
	if len(problems) > 0 {
		t.Fatal(problemTexts(problems))
	}
	table := mustCompile(t, Rule{Match: Match{Path: []string{"/a b"}}, Pool: "web"})
	s := newFlat(newSample("GET http://a/a%20b?q=x+y"))
	facts := s.facts()
	var v Verdict
	do := func() {
		if v.Look(s, facts); !filter.Holds(&v) {
			t.Error("it does not hold")
		}
		if table.Decide(s, facts, &v); v.Pool != "web" {
			t.Errorf("%+v", v)
		}
	}
	do()
	if n := testing.AllocsPerRun(100, do); n > 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}
