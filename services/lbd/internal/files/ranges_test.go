package files

import (
	"strings"
	"testing"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestRanges: what a field Range comes to for content of a size.
func TestRanges(t *testing.T) {
	f := func(v string, size int64, want asked, spans ...span) {
		t.Helper()
		got, what := parseRanges([]byte(v), size, nil)
		if d := cmp.Diff(spans, got, cmp.AllowUnexported(span{}), cmpopts.EquateEmpty()); what != want || d != "" {
			t.Errorf("%q of %d: %d, want %d (-want +got)\n%s", v, size, what, want, d)
		}
	}
	f("bytes=0-0", 10, satisfiable, span{0, 1})
	f("bytes=0-", 10, satisfiable, span{0, 10})
	f("bytes=2-5", 10, satisfiable, span{2, 6})
	f("BYTES=2-5", 10, satisfiable, span{2, 6})
	f("bytes=2-99", 10, satisfiable, span{2, 10})
	f("bytes=9-", 10, satisfiable, span{9, 10})
	f("bytes=10-", 10, notSatisfiable)
	f("bytes=10-10", 10, notSatisfiable)
	f("bytes=-3", 10, satisfiable, span{7, 10})
	f("bytes=-99", 10, satisfiable, span{0, 10})
	f("bytes=-0", 10, notSatisfiable)
	f("bytes=0-0,-1", 10, satisfiable, span{0, 1}, span{9, 10})
	f("bytes= 0-0 ,, 2-3 ,", 10, satisfiable, span{0, 1}, span{2, 4})
	f("bytes=0-0,20-30", 10, satisfiable, span{0, 1})
	f("bytes=20-30,40-", 10, notSatisfiable)
	f("bytes=5-2", 10, everything)
	f("bytes=0-0,5-2", 10, everything)
	f("bytes=20-30,5-2", 10, everything)
	f("bytes=", 10, everything)
	f("bytes=,", 10, everything)
	f("bytes=-", 10, everything)
	f("bytes=a-b", 10, everything)
	f("bytes=1", 10, everything)
	f("bytes=1-2-3", 10, everything)
	f("bytes=+1-2", 10, everything)
	f("bytes=1 -2", 10, everything)
	f("bytes =1-2", 10, everything)
	f("bytes 1-2", 10, everything)
	f("items=1-2", 10, everything)
	f("", 10, everything)
	f("bytes=0-", 0, notSatisfiable)
	f("bytes=0-0", 0, notSatisfiable)
	f("bytes=-5", 0, everything)
	f("bytes=99999999999999999999-", 10, notSatisfiable)
	f("bytes=1-99999999999999999999", 10, satisfiable, span{1, 10})
	f("bytes=-99999999999999999999", 10, satisfiable, span{0, 10})
	f("bytes="+strings.Repeat("0-0,", maxRanges), 10, satisfiable, many(span{0, 1}, maxRanges)...)
	f("bytes="+strings.Repeat("0-0,", maxRanges+1), 10, everything)
}

func many(s span, n int) (out []span) {
	for range n {
		out = append(out, s)
	}
	return out
}

// TestRangesAreBounded: nobody gets more bytes than the file has.
func TestRangesAreBounded(t *testing.T) {
	tree := New(newFake(), Options{})
	f := func(v string, want int) {
		t.Helper()
		var a Answer
		ask(t, tree, "GET /a.txt\nRange: "+v, &a)
		if a.Status != want {
			t.Errorf("%s: %d, want %d", v, a.Status, want)
		}
	}
	f("bytes=0-9,10-19", 206)
	f("bytes=0-9,5-9", 206) // overlap alone does no harm
	f("bytes=0-,0-0", 200)
	f("bytes=0-,-1", 200)
	f("bytes=0-\nRange: bytes=0-", 200)
}

// FuzzRanges: spans are within the content, and what is satisfiable has some.
func FuzzRanges(f *testing.F) {
	for _, v := range []string{"bytes=0-0", "bytes=-1", "bytes=5-,1-2 , -7", "bytes=18446744073709551617-", "bytes=9223372036854775807-9223372036854775807"} {
		f.Add(v, int64(10))
	}
	f.Fuzz(func(t *testing.T, v string, size int64) {
		if size < 0 {
			return
		}
		got, what := parseRanges([]byte(v), size, nil)
		if (what == satisfiable) != (len(got) > 0) || len(got) > maxRanges {
			t.Fatalf("%d with %v", what, got)
		}
		for _, s := range got {
			if s.off < 0 || s.off >= s.end || s.end > size {
				t.Fatalf("%v of %d", s, size)
			}
		}
	})
}

// FuzzAnswer: whatever a request says, its answer is one, and holds the file no longer than its content does.
func FuzzAnswer(f *testing.F) {
	f.Add("/a.txt", "bytes=0-1,3-4", `"x", W/"y"`, "Fri, 20 Nov 2026 08:30:15 GMT", "gzip;q=0.5, *;q=0", `"x"`)
	f.Add("/style.css", "bytes=-1", "*", "Friday, 20-Nov-26 08:30:15 GMT", "br", "Fri Nov 20 08:30:15 2026")
	f.Add("/bare/", "", "", "", "", "")
	f.Add("//evil.test/%2e./sub", "", "", "", "identity;q=0", "")
	f.Fuzz(func(t *testing.T, path, ranges, match, since, accept, ifRange string) {
		raw := []byte("GET " + path + " HTTP/1.1\r\nHost: a\r\nRange: " + ranges + "\r\nIf-None-Match: " + match + "\r\nIf-Match: " + match +
			"\r\nIf-Modified-Since: " + since + "\r\nIf-Unmodified-Since: " + since + "\r\nAccept-Encoding: " + accept + "\r\nIf-Range: " + ifRange + "\r\n\r\n")
		r, ok := tryParse(raw)
		if !ok {
			return
		}
		if r.Path = []byte(path); len(path) == 0 || path[0] != '/' {
			return
		}
		files := newFake()
		tree := New(files, Options{Index: []string{"index.html"}, Listing: true, Precompressed: []encoding.Coding{encoding.Brotli, encoding.Gzip}})
		var a Answer
		tree.Answer(r, &a)
		sum := int64(0)
		for _, p := range a.Content {
			sum += int64(len(p.Text))
			if p.Text == nil {
				sum += int64(len(files.read(&a.File, p.Off, p.End)))
			}
		}
		if a.Status < 200 || a.Status >= 600 || sum != a.Length || a.Status >= 300 && sum > 0 {
			t.Fatalf("%d with %d of %d bytes", a.Status, sum, a.Length)
		}
		for _, f := range a.Fields {
			if strings.ContainsAny(string(f.Value), "\r\n\x00") {
				t.Fatalf("%s: %q", f.Name, f.Value)
			}
			if v := string(f.Value); f.Name == "Location" && (v[0] != '/' || len(v) > 1 && (v[1] == '/' || v[1] == '\\')) {
				t.Fatalf("the client is sent to %q", v)
			}
		}
		if a.Close(); files.open != 0 {
			t.Fatalf("%d left open", files.open)
		}
	})
}
