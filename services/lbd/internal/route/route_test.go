package route

import "testing"

func TestMatch(t *testing.T) {
	table := New([]Rule[string]{
		{Host: "*.img.test", Path: "/", To: "img"},
		{Path: "/files", To: "files"},
		{Host: "Site.test", Path: "/app/", To: "app"},
		{Host: "::1", Path: "/", To: "v6"},
	})
	f := func(host, path, want string) {
		t.Helper()
		got := ""
		if r := table.Match(host, path); r != nil {
			got = r.To
		}
		if got != want {
			t.Errorf("%s%s: %q, want %q", host, path, got, want)
		}
	}
	f("a.img.test", "/files/x", "img")
	f("A.B.IMG.test:8080", "/", "img")
	f("img.test", "/", "")
	f(".img.test", "/", "")
	f("evilimg.test", "/", "")
	f("x", "/files", "files")
	f("x", "/files/", "files")
	f("x", "/filesystem", "")
	f("site.test.", "/app/x", "app")
	f("site.test", "/app", "")
	f("[::1]:80", "/", "v6")
	f("[0:0::1]", "/", "v6")
	f("", "/", "")
}

func TestStrip(t *testing.T) {
	f := func(encoded, prefix, want string) {
		t.Helper()
		if got := Strip(encoded, prefix); got != want {
			t.Errorf("%s without %s: %s, want %s", encoded, prefix, got, want)
		}
	}
	f("/a/b", "/a", "/b")
	f("/a/b", "/a/", "/b")
	f("/a", "/a", "/")
	f("/%61/b%2Fc", "/a", "/b%2Fc")
	f("/a//b", "/a", "//b")
	f("/x", "/", "/x")
	f("/%6", "/ab", "/")
}

func TestHasDots(t *testing.T) {
	f := func(path string, want bool) {
		t.Helper()
		if HasDots(path) != want {
			t.Errorf("%s: want %v", path, want)
		}
	}
	f("/a/../b", true)
	f("/.", true)
	f("/..", true)
	f("/...", false)
	f("/.well-known/x", false)
	f("/a..b", false)
}
