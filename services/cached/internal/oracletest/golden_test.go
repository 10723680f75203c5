package oracletest

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rewriting says whether golden files are to be written anew: the flag is labtest's.
func rewriting() bool { return flag.Lookup("rewrite").Value.String() == "true" }

func goldenNames() []string { return []string{"text", "meta", "binary", "auth"} }

// Conversations of the golden files are had again with memcached: each fourth, or all with EVERUP_GOLDEN=all, a process each.
func TestGolden(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of processes")
	}
	every := 4
	if rewriting() || os.Getenv("EVERUP_GOLDEN") == "all" {
		every = 1
	}
	for _, name := range goldenNames() {
		t.Run(name, func(t *testing.T) {
			now := time.Now().Unix()
			src, err := goldenFiles.ReadFile("testdata/" + name + ".golden")
			if err != nil {
				t.Fatal(err)
			}
			f, err := parseGolden(name, src, now)
			if err != nil {
				t.Fatal(err)
			}
			t.Run("cases", func(t *testing.T) {
				for i := range f.cases {
					if i%every != 0 {
						continue
					}
					t.Run(f.cases[i].Name, func(t *testing.T) { t.Parallel(); askAgain(t, f, &f.cases[i]) })
				}
			})
			if rewriting() {
				if err := os.WriteFile("testdata/"+name+".golden", f.format(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// askAgain has a case's conversation with a fresh memcached and compares, or notes the answers where they are to be written.
func askAgain(t *testing.T, f *goldenFile, c *Case) {
	now := time.Now().Unix()
	steps, err := f.decodeSteps(c.steps, now)
	if err != nil {
		t.Fatal(err)
	}
	binary := f.binary || slices.Contains(c.Args, "binary") // -B binary takes no text
	o := newObserver(t, Start(t, Options{Args: withUsers(t, c.Args)}), binary)
	var closed bool
	for i, s := range steps {
		var got []byte
		got, closed = o.step(s)
		switch {
		case rewriting():
			f.answer(c, i, got, time.Now().Unix())
		case !sameButSeconds(maskedNow(got), maskedNow(s.Want)):
			t.Errorf("step %d: answers differ (-file +memcached):\n%s", i+1, cmp.Diff(f.lines(s.Want), f.lines(got)))
		}
	}
	if rewriting() {
		c.Closed = closed
	} else if closed != c.Closed {
		t.Errorf("memcached hung up: %v, the file says %v", closed, c.Closed)
	}
}

// withUsers puts the path of a file of users where {users} stands.
func withUsers(t *testing.T, args []string) []string {
	at := slices.Index(args, "{users}")
	if at < 0 {
		return args
	}
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(Users), 0o600); err != nil {
		t.Fatal(err)
	}
	args = slices.Clone(args)
	args[at] = file
	return args
}

func maskedNow(b []byte) []byte {
	if len(b) > 64<<10 {
		return b
	}
	return []byte(maskNow(string(b), time.Now().Unix()))
}

// lines are an answer's lines for people.
func (f *goldenFile) lines(b []byte) (lines []string) {
	if f.binary {
		return packetLines(b)
	}
	for _, l := range bytes.SplitAfter(b, []byte("\n")) {
		lines = append(lines, escape(l))
	}
	return lines
}

// A file that is read and written is the same file.
func TestGoldenFormat(t *testing.T) {
	for _, name := range goldenNames() {
		src, err := goldenFiles.ReadFile("testdata/" + name + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseGolden(name, src, Now)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(src), string(f.format())); diff != "" {
			t.Errorf("%s: (-file +written)\n%s", name, diff)
		}
	}
}
