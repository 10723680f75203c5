package conf

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checkGolden compares got with a file of testdata, or writes it with -rewrite.
func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := "testdata/" + name
	if *rewrite {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: -want +got:\n%s", name, diff)
	}
}

func TestWriteSchema(t *testing.T) {
	var b bytes.Buffer
	if err := WriteSchema(&b, site{}); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "schema.json", b.Bytes())
	var shape map[string]any
	if err := json.Unmarshal(b.Bytes(), &shape); err != nil {
		t.Fatal(err)
	}
	if shape["additionalProperties"] != false || shape["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("the root is %v", shape)
	}
}

// The patterns of the schema take what the types take.
func TestSchemaPatterns(t *testing.T) {
	f := func(of any, texts ...string) {
		t.Helper()
		s, err := newSpec(structType(of).Field(0).Type, 0)
		if err != nil {
			t.Fatal(err)
		}
		pattern := regexp.MustCompile(s.pattern())
		for _, text := range texts {
			if !pattern.MatchString(text) {
				t.Errorf("%v: the pattern does not take %q", s.typ, text)
			}
		}
		if pattern.MatchString("?!") {
			t.Errorf("%v: the pattern takes anything", s.typ)
		}
	}
	f(struct{ D Duration }{}, "0", "250ms", "1m30s", "1.5s", "7d", "5us")
	f(struct{ S Size }{}, "0", "512", "512B", "64k", "1.5 MiB", "1kB", "3T")
	f(struct{ A Addr }{}, "", "8080", ":80", "a.b_c:80", "[fe80::1%eth0]:80", "unix:/run/x", "127.0.0.1:1")
	f(struct{ N Name }{}, "", "a", "web-1")
	f(struct{ P Prefix }{}, "10.0.0.0/8", "::1", "2001:db8::/32")
}

// What stands without "#" is a configuration that sets nothing but defaults.
func TestWriteDefaults(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDefaults(&b, &site{}); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "defaults.yaml", b.Bytes())
	var s, empty site
	if _, err := Parse("defaults.yaml", b.Bytes(), &s, Options{}); err != nil {
		t.Fatal(err)
	}
	SetDefaults(&empty)
	if changes := Diff(&empty, &s); len(changes) > 0 {
		t.Errorf("the printed defaults are not the defaults: %v", changes)
	}
}

// With every "#" before a key removed, examples included, the file still reads.
func TestWriteDefaultsUncommented(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDefaults(&b, &site{}); err != nil {
		t.Fatal(err)
	}
	src := regexp.MustCompile(`(?m)^( *)#([^ ])`).ReplaceAllString(b.String(), "$1$2")
	var s site
	_, err := Parse("uncommented.yaml", []byte(src), &s, Options{
		ReadFile: func(string) ([]byte, error) { return []byte("correct-horse"), nil },
	})
	// The only thing that cannot be right is a reference from one example to another.
	if err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.Contains(err.Error(), "unknown pool") {
		t.Errorf("%v\n%s", err, src)
	}
}

// The effective configuration of each accepted golden case reads back as the same.
func TestWriteEffectiveReadsBack(t *testing.T) {
	const src = `
title: "on: x"
country: "${A}${B:-x}"
node: '# " \'
token: a-secret-thing
labels: {"": 1, "a: b": 2, "true": 3, "[x]": 4, "null": 5, "~": 6, "ü": 7}
nested: [[], ["", "null", "~", "-", "- a", "0x1", "1_0", "@", "a b", " a", "é\n\u2028", "!x", "&a", "*a", "a:", "{", "=", "<<"]]
`
	opts := Options{Env: func(name string) (string, bool) { return strings.Repeat("$", 2) + "{" + name, name == "A" }}
	src2 := strings.Replace(src, `"": 1, `, "", 1)
	var s site
	doc, err := Parse("x", []byte(src2), &s, opts)
	if err != nil {
		t.Fatal(err)
	}
	if s.Country != "$${Ax" {
		t.Errorf("country is %q", s.Country)
	}
	checkRewritten(t, doc, &s, opts)
	var b strings.Builder
	if err := doc.WriteEffective(&b, false); err != nil || strings.Contains(b.String(), "a-secret") || strings.Contains(b.String(), "  # ") {
		t.Errorf("%v\n%s", err, b.String())
	}
}
