package names

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFromPath(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		got, err := FromPath(path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("FromPath(%q) = %q, %v; want %q", path, got, err, want)
		}
	}
	f("/a", "a")
	f("/a/b.txt", "a/b.txt")
	f("/ü/日本", "ü/日本")
	f("/%2F", "%2F")
	f("/...", "...")
	f("/ a ", " a ")
	f("/"+strings.Repeat("x", MaxLen), strings.Repeat("x", MaxLen))
	for _, bad := range []string{"", "/", "a", "//a", "/a/", "/a//b", "/.", "/..", "/a/../b", "/a/.", "/a\x00", "/a\nb", "/\x7f", "/\u0085", "/\u2028",
		"/\xff", "/" + strings.Repeat("x", MaxLen+1)} {
		f(bad, "")
	}
}

func FuzzFromPath(f *testing.F) {
	f.Add("/a/b")
	f.Add("/../x")
	f.Fuzz(func(t *testing.T, path string) {
		name, err := FromPath(path)
		if err != nil {
			return
		}
		if "/"+name != path || !utf8.ValidString(name) || len(name) > MaxLen || strings.Contains("/"+name+"/", "/../") || strings.Contains("/"+name+"/", "//") {
			t.Fatalf("%q accepted as %q", path, name)
		}
	})
}

func TestIndexAgainstSortedSlice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	x := NewIndex()
	model := map[string]int64{}
	for range 3000 {
		name := fmt.Sprintf("%c/%02d", 'a'+rnd.IntN(4), rnd.IntN(80))
		if rnd.IntN(3) == 0 {
			x.Delete(name)
			delete(model, name)
			continue
		}
		size := rnd.Int64N(100)
		x.Put(Entry{Name: name, Size: size})
		model[name] = size
	}
	var all []string
	var bytes int64
	for n, s := range model {
		all = append(all, n)
		bytes += s
	}
	slices.Sort(all)
	if n, b := x.Len(); n != len(all) || b != bytes {
		t.Fatalf("Len = %d, %d; want %d, %d", n, b, len(all), bytes)
	}
	f := func(prefix, after string, limit int) {
		t.Helper()
		var want []string
		for _, n := range all {
			if strings.HasPrefix(n, prefix) && n > after {
				want = append(want, n)
			}
		}
		more := len(want) > limit
		want = want[:min(limit, len(want))]
		page, gotMore := x.List(prefix, after, limit)
		var got []string
		for _, e := range page {
			got = append(got, e.Name)
		}
		if !slices.Equal(got, want) || gotMore != more {
			t.Errorf("List(%q, %q, %d) = %v, %v; want %v, %v", prefix, after, limit, got, gotMore, want, more)
		}
	}
	f("", "", 10)
	f("", "", 1000)
	f("b/", "", 1000)
	f("b/", "b/40", 5)
	f("b/", "a/99", 5)
	f("b/", "c", 5)
	f("b/4", "b/40", 5)
	f("zz", "", 5)
}
