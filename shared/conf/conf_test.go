package conf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// writeFiles writes name, content pairs below a temporary directory and returns it.
func writeFiles(t *testing.T, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(pairs); i += 2 {
		name := filepath.Join(dir, pairs[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(pairs[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadReadsOverlaysInOrder(t *testing.T) {
	dir := writeFiles(t,
		"lbd.yaml", "title: main\nallow: [10.0.0.0/8]\n",
		"lbd.d/20.yaml", "allow: [10.2.0.0/16]\n",
		"lbd.d/10.yaml", "allow: [10.1.0.0/16]\ntoken: ${file:"+"SECRET"+"}\n",
		"lbd.d/.hidden.yaml", "title: no\n",
		"lbd.d/30.yaml.bak", "title: no\n",
		"SECRET", "correct-horse\n",
	)
	t.Chdir(dir)
	var s site
	doc, err := Load("lbd.yaml", &s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"}
	if diff := cmp.Diff(want, strings.Fields(strings.Trim(fmt.Sprint(s.Allow), "[]"))); diff != "" {
		t.Error(diff)
	}
	if s.Token.Reveal() != "correct-horse" {
		t.Errorf("the token is %q", s.Token.Reveal())
	}
	f := func(path, want string) {
		t.Helper()
		if got := doc.Origin(path); got != want {
			t.Errorf("Origin(%s) = %s, want %s", path, got, want)
		}
	}
	f("title", "lbd.yaml:1:8")
	f("allow[1]", "lbd.d/10.yaml:1:9")
	f("allow[2]", "lbd.d/20.yaml:1:9")
	f("allow[3]", "default")
	f("log.level", "default")
	f("title.x", "default")
	f("nothing[", "default")
	if name, data := doc.Source(); name != "lbd.yaml" || !strings.HasPrefix(string(data), "title: main") {
		t.Errorf("Source is %s %q", name, data)
	}
	var again site
	kept, err := ParseSources(doc.Sources(), &again, Options{})
	if err != nil || kept.Hash() != doc.Hash() || len(Diff(doc, kept)) != 0 {
		t.Errorf("the kept sources give %v, hash %s, want %s", err, kept.Hash(), doc.Hash())
	}
}

func TestLoadFailures(t *testing.T) {
	dir := writeFiles(t, "big.yaml", "title: "+strings.Repeat("x", maxFileSize), "dir.yaml/x", "", "file.d", "", "file.yaml", "")
	f := func(name string, cause error, word string) {
		t.Helper()
		var s site
		doc, err := Load(filepath.Join(dir, name), &s, Options{})
		if doc != nil || fault.Of(err) != fault.Config || cause != nil && !errors.Is(err, cause) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f("missing.yaml", fs.ErrNotExist, "missing.yaml")
	f("big.yaml", nil, "larger than 16MiB")
	f("dir.yaml", nil, "is a directory")
	f("file.yaml", nil, "file.d")
}

// A rejected configuration leaves the target as it was; an accepted one replaces all of it.
func TestTargetIsChangedOnlyOnSuccess(t *testing.T) {
	s := site{Title: "before", Country: "jp"}
	if _, err := Parse("x", []byte("title: after\nworkers: 0"), &s, Options{}); err == nil || s.Title != "before" {
		t.Errorf("title is %q after %v", s.Title, err)
	}
	if _, err := Parse("x", []byte("title: after"), &s, Options{}); err != nil || s.Title != "after" || s.Country != "" {
		t.Errorf("title is %q, country %q after %v", s.Title, s.Country, err)
	}
}

// watched is a configuration that looks at what it names.
type watched struct {
	Inner struct {
		File string `yaml:"file" doc:"A file."`
	} `yaml:"inner" doc:"A section."`
}

func (w *watched) Validate(r *Report) {
	if !r.At("inner").At("file").Offline() {
		r.At("inner").At("file").Errorf("is not there")
	}
}

func TestOffline(t *testing.T) {
	for _, offline := range []bool{false, true} {
		if _, err := Parse("x", []byte("inner: {file: /x}"), new(watched), Options{Offline: offline}); (err == nil) != offline {
			t.Errorf("offline %v: %v", offline, err)
		}
	}
}

func TestErrorsAreOfClassConfig(t *testing.T) {
	_, err := Parse("x.yaml", []byte("titel: a\nworkers: b"), new(site), Options{})
	errs, ok := errors.AsType[Errors](err)
	if !ok || len(errs) != 2 || !errors.Is(err, fault.Config) || fault.ExitCode(err) != 78 {
		t.Fatalf("%T %v", err, err)
	}
	want := Error{"x.yaml", 1, 1, "titel", "unknown key", `did you mean "title"?`}
	if diff := cmp.Diff(want, *errs[0]); diff != "" {
		t.Error(diff)
	}
	if one, ok := errors.AsType[*Error](err); !ok || one.Path != "titel" {
		t.Errorf("errors.As finds %v", one)
	}
}

func TestManyErrorsAreBounded(t *testing.T) {
	src := strings.Repeat("x", 60)
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "%s%d: 1\n", src, i)
	}
	_, err := Parse("x", []byte(b.String()), new(site), Options{})
	errs, _ := errors.AsType[Errors](err)
	if len(errs) != maxErrors+1 || !strings.Contains(errs[maxErrors].Msg, "19000 more errors") {
		t.Fatalf("%d errors, the last %v", len(errs), errs[len(errs)-1])
	}
}

func TestSetDefaults(t *testing.T) {
	s := site{Country: "jp", Limit: new(int)}
	SetDefaults(&s)
	var parsed site
	if _, err := Parse("x", nil, &parsed, Options{}); err != nil {
		t.Fatal(err)
	}
	opts := cmp.Options{cmp.AllowUnexported(site{}), cmpopts.EquateComparable(Prefix{}, s.Address)}
	if diff := cmp.Diff(parsed, s, opts); diff != "" {
		t.Errorf("-parsed +set:\n%s", diff)
	}
	var route Route // its required key is left empty
	SetDefaults(&route)
	var tls TLS
	if SetDefaults(&tls); tls.Refresh.Std() != 24*time.Hour {
		t.Errorf("refresh is %v", tls.Refresh)
	}
}

func TestHash(t *testing.T) {
	hash := func(src, env, override string) string {
		doc, err := Parse("x", []byte(src), new(site), Options{EnvPrefix: "P", Env: func(name string) (string, bool) {
			switch {
			case name == "TOKEN":
				return env, true
			case name == "P_NODE" && override != "":
				return override, true
			}
			return "", false
		}})
		if err != nil {
			t.Fatal(err)
		}
		return doc.Hash()
	}
	const src = "token: ${TOKEN}\n"
	base := hash(src, "one-secret", "")
	if len(base) != 16 || hash(src, "one-secret", "") != base {
		t.Errorf("the hash %q does not repeat", base)
	}
	for i, other := range []string{hash(src, "two-secret", ""), hash(src, "one-secret", "n"), hash(src+" ", "one-secret", "")} {
		if other == base {
			t.Errorf("change %d does not change the hash", i)
		}
	}
}

func TestExpansionIsBounded(t *testing.T) {
	big := strings.Repeat("x", maxValueFile)
	opts := Options{
		Env:      func(string) (string, bool) { return big, true },
		ReadFile: func(string) ([]byte, error) { return []byte(big + "x"), nil },
	}
	_, err := Parse("x", []byte("node: ${file:/big}"), new(site), opts)
	if err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("a large file: %.200v", err)
	}
	_, err = Parse("x", []byte("node: "+strings.Repeat("${A}", 100)), new(site), opts)
	if err == nil || !strings.Contains(err.Error(), "add more than 16MiB") {
		t.Errorf("many references: %.200v", err)
	}
	_, err = Parse("x", []byte("nested: [["+strings.Repeat("'${A}',", 100)+"]]"), new(site), opts)
	if err == nil || !strings.Contains(err.Error(), "add more than 16MiB") {
		t.Errorf("many values: %.200v", err)
	}
}

// The place of a syntax error in a large file is coarse, but it is found in bounded time.
func TestSyntaxErrorInLargeFile(t *testing.T) {
	src := strings.Repeat("# filler line\n", maxLocate/10) + "title: a: b\n"
	_, err := Parse("x", []byte(src), new(site), Options{})
	errs, _ := errors.AsType[Errors](err)
	if len(errs) != 1 || errs[0].Line < maxLocate/10 || errs[0].Line > maxLocate/10+2 {
		t.Errorf("%v", err)
	}
}

func TestTargetMustBeAStructPointer(t *testing.T) {
	for _, into := range []any{nil, site{}, new(int), (*site)(nil)} {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "BUG: conf: ") {
					t.Errorf("%T: %v", into, p)
				}
			}()
			Parse("x", nil, into, Options{})
		}()
	}
}

func TestDiff(t *testing.T) {
	read := func(src string) *Document {
		t.Helper()
		doc, err := Parse("x", []byte(src), new(site), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	old := read(`
title: one
token: old-secret
allow: [10.0.0.0/8, 10.0.0.1]
pools: {a: {members: [{addr: ':80'}]}, b: {members: [{addr: ':81'}]}}
tls: {cert: x}
`)
	new := read(`
title: two
token: new-secret
allow: [10.0.0.0/8]
pools: {a: {members: [{addr: ':80', weight: 2}]}, c: {members: [{addr: ':82'}]}}
limit: 3
`)
	want := []Change{
		{"title", "one", "two"},
		{"token", redacted, redacted},
		{"allow[1]", "10.0.0.1/32", ""},
		{"pools.a.members[0].weight", "1", "2"},
		{"pools.b.members[0].addr", `":81"`, ""},
		{"pools.b.members[0].weight", "1", ""},
		{"pools.c.members[0].addr", "", `":82"`},
		{"pools.c.members[0].weight", "", "1"},
		{"tls.cert", "x", ""},
		{"tls.refresh", "1d", ""},
		{"limit", "", "3"},
	}
	if diff := cmp.Diff(want, Diff(old, new)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if same := Diff(old, old); len(same) != 0 {
		t.Errorf("a configuration differs from itself: %v", same)
	}
	a, b := TLS{Cert: "a"}, TLS{Cert: "b"}
	if got := Diff(a, &b); len(got) != 1 || got[0] != (Change{"cert", "a", "b"}) {
		t.Errorf("values: %v", got)
	}
}

// The Validate of an embedded struct is promoted to the outer one; what it finds is reported once.
func TestPromotedValidateReportsOnce(t *testing.T) {
	var outer struct {
		Base `yaml:",inline"`
	}
	_, err := Parse("x", []byte("node: bad\n"), &outer, Options{})
	if err == nil || err.Error() != "x:1:7: node: is a bad name" {
		t.Errorf("%v", err)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"listen", "timeout", "max_body", "log", "off", "on"}
	f := func(name, want string) {
		t.Helper()
		if got, _ := nearest(name, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
	f("lisetn", "listen")
	f("Listen", "listen")
	f("listens", "listen")
	f("max-body", "max_body")
	f("timout", "timeout")
	f("lgo", "log")
	f("of", "off")
	f("something", "")
	f("", "")
	f(strings.Repeat("listen", 20), "")
}
