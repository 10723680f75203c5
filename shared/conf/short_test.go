package conf

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// doors is a configuration whose sections may be written as one text.
type doors struct {
	Listen []door           `yaml:"listen" default:"[':80']" min:"1" max:"4" doc:"Where."`
	Named  map[string]*door `yaml:"named" doc:"By name."`
	Main   guard            `yaml:"main" doc:"The main one's guard."`
	Spare  *guard           `yaml:"spare" doc:"Another."`
}

type door struct {
	Addr  Addr  `yaml:"addr" required:"true" short:"true" doc:"Where it is."`
	Guard guard `yaml:"guard" doc:"Who stands there."`
}

type guard struct {
	Mode  string `yaml:"mode" default:"off" enum:"off|ask|bite" short:"true" doc:"What it does."`
	Teeth int    `yaml:"teeth" default:"42" max:"42" doc:"How many."`
}

func (d *doors) Validate(r *Report) {
	for i, l := range d.Listen {
		if l.Addr == ":1" {
			r.At("listen").At(i).At("addr").Errorf("is a bad door")
		}
	}
}

func TestShort(t *testing.T) {
	none := guard{"off", 42}
	closed := doors{Listen: []door{{":80", none}}, Main: none}
	f := func(yaml string, want doors, wantErr ...string) {
		t.Helper()
		var got doors
		_, err := Parse("a.yaml", []byte(yaml), &got, Options{})
		text := ""
		if err != nil {
			text, want = err.Error(), doors{}
		}
		if text != strings.Join(wantErr, "\n") {
			t.Errorf("%s\ngot  %s\nwant %s", yaml, text, strings.Join(wantErr, "\n"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s -want +got:\n%s", yaml, diff)
		}
	}
	with := func(change func(*doors)) doors {
		d := closed
		change(&d)
		return d
	}
	f("", closed)
	f("listen: [1.2.3.4:80, {addr: ':443', guard: bite}, 8080]\n", with(func(d *doors) {
		d.Listen = []door{{"1.2.3.4:80", none}, {":443", guard{"bite", 42}}, {":8080", none}}
	}))
	f("named: {a: ':1', b: {addr: ':2', guard: {teeth: 3}}}\n", with(func(d *doors) {
		d.Named = map[string]*door{"a": {":1", none}, "b": {":2", guard{"off", 3}}}
	}))
	f("main: off\nspare: ask\n", with(func(d *doors) { d.Spare = &guard{"ask", 42} }))
	f("main:\nspare:\n", with(func(d *doors) { d.Spare = &none }))
	f("listen: [&a ':81', *a]\n", with(func(d *doors) { d.Listen = []door{{":81", none}, {":81", none}} }))
	f("listen: [a, ':1']\n", doors{}, `a.yaml:1:10: listen[0].addr: "a" has no port (write a:PORT)`)
	f("listen: [':1']\n", doors{}, `a.yaml:1:10: listen[0].addr: is a bad door`)
	f("listen: [[':1']]\n", doors{}, "a.yaml:1:10: listen[0]: expected addr alone or a section, found a list (write its keys indented below it: addr, guard)")
	f("main: bit\n", doors{}, `a.yaml:1:7: main.mode: "bit" is not one of off, ask, bite (did you mean "bite"?)`)
	f("listen: [{adr: ':1'}]\n", doors{},
		"a.yaml:1:10: listen[0].addr: is required", `a.yaml:1:11: listen[0].adr: unknown key (did you mean "addr"?)`)
}

func TestShortIsPrintedAsASection(t *testing.T) {
	var c doors
	doc, err := Parse("a.yaml", []byte("listen: [':81']\nmain: ask\n"), &c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := doc.WriteEffective(&b, true); err != nil {
		t.Fatal(err)
	}
	want := `listen:
  - addr: ":81"  # a.yaml:1:10
    guard:
      mode: "off"  # default
      teeth: 42  # default
named: {}  # default
main:
  mode: ask  # a.yaml:2:7
  teeth: 42  # default
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := doc.Origin("listen[0].addr"); got != "a.yaml:1:10" {
		t.Errorf("origin %s", got)
	}
	var again doors
	if _, err := Parse("b.yaml", b.Bytes(), &again, Options{}); err != nil || len(Diff(&c, &again)) > 0 {
		t.Errorf("it reads back as %v, %v", again, err)
	}
}

func TestShortInTheManual(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDefaults(&b, doors{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Default [':80']. From 1 to 4 elements. An element may be its addr alone.\n#listen:\n",
		"  #- addr: 127.0.0.1:8080\n",
		"# The main one's guard.\n# Or mode alone.\nmain:\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the manual lacks %q:\n%s", want, b.String())
		}
	}
	var set, empty doors
	SetDefaults(&empty)
	if _, err := Parse("defaults.yaml", b.Bytes(), &set, Options{}); err != nil || len(Diff(&set, &empty)) > 0 {
		t.Errorf("the manual sets %v, %v", set, err)
	}
	src := regexp.MustCompile(`(?m)^( *)#([^ ])`).ReplaceAllString(b.String(), "$1$2")
	if _, err := Parse("uncommented.yaml", []byte(src), &set, Options{}); err != nil || len(set.Listen) != 1 {
		t.Errorf("%v\n%s", err, src)
	}
	b.Reset()
	if err := WriteSchema(&b, doors{}); err != nil || strings.Count(b.String(), `"anyOf"`) != 6 {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestShortAndTheEnvironment(t *testing.T) {
	env := map[string]string{"D_MAIN_TEETH": "7"}
	var c doors
	o := Options{EnvPrefix: "D", Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	if _, err := Parse("a.yaml", []byte("main: ask\n"), &c, o); err != nil || c.Main != (guard{"ask", 7}) {
		t.Errorf("%v, %v", c.Main, err)
	}
}

func TestShortTags(t *testing.T) {
	if err := CheckStruct(doors{}); err != nil {
		t.Error(err)
	}
	f := func(of any, want string) {
		t.Helper()
		if err := CheckStruct(of); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(struct {
		A []int `yaml:"a" short:"true" doc:"x"`
	}{}, "one text only")
	f(struct {
		A int `yaml:"a" short:"true" doc:"x"`
		B int `yaml:"b" short:"true" doc:"x"`
	}{}, "a is short already")
}

// held is a configuration with a map that the value of one key may stand for.
type held struct {
	Level map[string][]string `yaml:"level" single:"true" short:"any" enum:"low|high" max:"2" doc:"Levels by name."`
	Width map[Name]int        `yaml:"width" short:"main" doc:"Widths by name."`
}

func TestShortOfAMap(t *testing.T) {
	f := func(yaml string, want held, wantErr ...string) {
		t.Helper()
		var got held
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
	f("level: low\n", held{Level: map[string][]string{"any": {"low"}}})
	f("level: [low, high]\nwidth: 3\n", held{Level: map[string][]string{"any": {"low", "high"}}, Width: map[Name]int{"main": 3}})
	f("level: {any: low, x: [low, high]}\nwidth: {a: 1}\n", held{Level: map[string][]string{"any": {"low"}, "x": {"low", "high"}}, Width: map[Name]int{"a": 1}})
	f("level:\n", held{Level: map[string][]string{}})
	f("level: hihg\n", held{}, `a.yaml:1:8: level.any: "hihg" is not one of low, high (did you mean "high"?)`)
	f("level: [low, {}]\n", held{}, `a.yaml:1:14: level.any[1]: expected text, found a section`)
	f("level: {a: low, b: low, c: low}\n", held{}, `a.yaml:1:8: level: must have at most 2 elements`)
	f("width: [1]\n", held{}, `a.yaml:1:8: width.main: expected a whole number, found a list`)

	var c held
	doc, err := Parse("a.yaml", []byte("level: low\n"), &c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := doc.WriteEffective(&b, true); err != nil || b.String() != "level:\n  any:\n    - low  # a.yaml:1:8\nwidth: {}  # default\n" {
		t.Errorf("%v %s", err, b.String())
	}
	if got := doc.Origin("level.any[0]"); got != "a.yaml:1:8" {
		t.Errorf("origin %s", got)
	}
	b.Reset()
	if err := WriteDefaults(&b, held{}); err != nil || !strings.Contains(b.String(), "# At most 2 elements. One, or a list. Or the value of any alone. One of low, high.\n") {
		t.Errorf("%v %s", err, b.String())
	}
	b.Reset()
	if err := WriteSchema(&b, held{}); err != nil || strings.Count(b.String(), `"anyOf"`) != 4 {
		t.Errorf("%v %s", err, b.String())
	}
	if err := CheckStruct(held{}); err != nil {
		t.Error(err)
	}
}
