package conf

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// loose is a configuration whose lists may be written as their one element.
type loose struct {
	Hosts  []Name              `yaml:"hosts" single:"true" max:"2" doc:"Hosts."`
	Header map[string][]string `yaml:"header" single:"true" doc:"Values by name."`
	Not    []loosePart         `yaml:"not" single:"true" doc:"Sections."`
	Strict []string            `yaml:"strict" doc:"Not so."`
}

type loosePart struct {
	Size Size `yaml:"size" max:"1k" doc:"Size."`
}

func (l *loose) Validate(r *Report) {
	for i, h := range l.Hosts {
		if h == "bad" {
			r.At("hosts").At(i).Errorf("is a bad host")
		}
	}
}

func TestSingle(t *testing.T) {
	f := func(yaml string, want loose, wantErr ...string) {
		t.Helper()
		var got loose
		_, err := Parse("a.yaml", []byte(yaml), &got, Options{})
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != strings.Join(wantErr, "\n") {
			t.Errorf("%s\ngot  %s\nwant %s", yaml, text, strings.Join(wantErr, "\n"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s -want +got:\n%s", yaml, diff)
		}
	}
	f("hosts: a\n", loose{Hosts: []Name{"a"}})
	f("hosts: [a, b]\n", loose{Hosts: []Name{"a", "b"}})
	f("header: {x: '1', y: [a, b]}\n", loose{Header: map[string][]string{"x": {"1"}, "y": {"a", "b"}}})
	f("not: {size: 1}\n", loose{Not: []loosePart{{Size: 1}}})
	f("not: [{size: 1}, {size: 2}]\n", loose{Not: []loosePart{{Size: 1}, {Size: 2}}})
	f("hosts: bad\n", loose{}, "a.yaml:1:8: hosts: is a bad host")
	f("hosts: [a, bad]\n", loose{}, "a.yaml:1:12: hosts[1]: is a bad host")
	f("not:\n  sise: 1\n", loose{}, `a.yaml:2:3: not.sise: unknown key (did you mean "size"?)`)
	f("not: {size: 2k}\n", loose{}, "a.yaml:1:13: not.size: is 2k, must be at most 1k")
	f("hosts:\n", loose{}, "a.yaml:1:7: hosts: expected a list, found nothing (write [] for an empty list, or remove the key)")
	f("strict: a\n", loose{}, "a.yaml:1:9: strict: expected a list, found the text \"a\" (write one line \"- value\" per element, or [value, value])")
}

func TestSingleIsPrintedAsAList(t *testing.T) {
	var c loose
	doc, err := Parse("a.yaml", []byte("hosts: a\nheader: {x: b}\n"), &c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := doc.WriteEffective(&b, true); err != nil {
		t.Fatal(err)
	}
	want := "hosts:\n  - a  # a.yaml:1:8\nheader:\n  x:\n    - b  # a.yaml:2:13\nnot: []  # default\nstrict: []  # default\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := doc.Origin("header.x[0]"); got != "a.yaml:2:13" {
		t.Errorf("origin %s", got)
	}
	b.Reset()
	if err := WriteSchema(&b, loose{}); err != nil || !strings.Contains(b.String(), `"anyOf"`) {
		t.Errorf("%v %s", err, b.String())
	}
	b.Reset()
	if err := WriteDefaults(&b, loose{}); err != nil || !strings.Contains(b.String(), "# At most 2 elements. One, or a list.\n") {
		t.Errorf("%v %s", err, b.String())
	}
	if err := CheckStruct(loose{}); err != nil {
		t.Error(err)
	}
	if err := CheckStruct(struct {
		A int `yaml:"a" single:"true" doc:"x"`
	}{}); err == nil {
		t.Error("single is taken for a number")
	}
}
