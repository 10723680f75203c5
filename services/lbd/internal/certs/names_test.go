package certs

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	f := func(in, want string, ok bool) {
		t.Helper()
		if got, is := CheckName(in); is != ok || ok && got != want {
			t.Errorf("%q: %q %v", in, got, is)
		}
	}
	f("a.test", "a.test", true)
	f("WWW.A.Test.", "www.a.test", true)
	f("*.a.test", "*.a.test", true)
	f("xn--bcher-kva.test", "xn--bcher-kva.test", true)
	f("_x.test", "_x.test", true)
	f("localhost", "localhost", true)
	f("", "", false)
	f("*", "", false)
	f("*.", "", false)
	f("a.*.test", "", false)
	f("*.*.test", "", false)
	f("a..test", "", false)
	f(".test", "", false)
	f("a b.test", "", false)
	f("bücher.test", "", false)
	f(strings.Repeat("a", 64)+".test", "", false)
	f(strings.Repeat("a.", 127)+"test", "", false)
}

func TestIndex(t *testing.T) {
	var x index
	for _, n := range []string{"a.test", "www.a.test", "*.a.test", "*.b.a.test"} {
		x.add(n, &shown{cert: nil, class: len(n)})
	}
	f := func(name string, want int) {
		t.Helper()
		got := 0
		if found := x.find(name); found != nil {
			got = found[0].class
		}
		if got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
		covered := false
		for _, n := range []string{"a.test", "www.a.test", "*.a.test", "*.b.a.test"} {
			covered = covered || covers(n, strings.ToLower(name))
		}
		if covered != (want > 0) {
			t.Errorf("%s: covered %v", name, covered)
		}
	}
	f("a.test", len("a.test"))
	f("www.a.test", len("www.a.test"))
	f("WWW.a.TEST", len("www.a.test"))
	f("x.a.test", len("*.a.test"))
	f("b.a.test", len("*.a.test"))
	f("x.b.a.test", len("*.b.a.test"))
	f("x.y.a.test", 0) // a wildcard stands for one label
	f("b.test", 0)
	f(".a.test", 0)
	f("", 0)
	f("*.a.test", len("*.a.test")) // nobody asks so; the default may
}
