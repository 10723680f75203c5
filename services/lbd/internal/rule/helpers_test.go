package rule

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// sample is a request from a text: "GET http://host/path?query", and "Name: value" for each field.
type sample struct {
	method, host, path string
	query              []byte
	fields             [][2][]byte
	secure             bool
}

func newSample(line string, fields ...string) *sample {
	s := &sample{}
	method, url, _ := strings.Cut(line, " ")
	s.method = method
	scheme, rest, _ := strings.Cut(url, "://")
	s.secure = scheme == "https"
	n := strings.IndexByte(rest, '/')
	if n < 0 {
		n = len(rest)
	}
	s.host = rest[:n]
	path, query, ok := strings.Cut(rest[n:], "?")
	s.path = path
	if ok {
		s.query = []byte(query)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		s.fields = append(s.fields, [2][]byte{[]byte(name), []byte(value)})
	}
	return s
}

func (s *sample) Method() []byte                   { return []byte(s.method) }
func (s *sample) Authority() []byte                { return []byte(s.host) }
func (s *sample) Path() []byte                     { return []byte(s.path) }
func (s *sample) Query() []byte                    { return s.query }
func (s *sample) Fields() int                      { return len(s.fields) }
func (s *sample) Field(i int) (name, value []byte) { return s.fields[i][0], s.fields[i][1] }

func (s *sample) facts() *Facts {
	return &Facts{Client: netip.MustParseAddr("192.0.2.1"), Secure: s.secure}
}

func pools() []string { return []string{"web", "next", "cache", "img"} }

func detectors() []string { return []string{"default", "login"} }

func anyOf(states ...string) map[string][]string { return map[string][]string{AnyDetector: states} }

func mustCompile(t testing.TB, rules ...Rule) *Table {
	t.Helper()
	table, problems := Compile(rules, pools(), detectors())
	if len(problems) > 0 {
		t.Fatalf("%s", problemTexts(problems))
	}
	return table
}

// problemTexts prints problems, one a line.
func problemTexts(ps []Problem) string {
	var out []string
	for _, p := range ps {
		var at []string
		for _, e := range p.At {
			at = append(at, fmt.Sprint(e))
		}
		text := p.Msg
		if p.Kind != "" {
			text = fmt.Sprintf("unknown %s %q, known %s", p.Kind, p.Name, strings.Join(p.Known, " "))
		}
		if p.Hint != "" {
			text += " (" + p.Hint + ")"
		}
		out = append(out, strings.Join(at, ".")+": "+text)
	}
	return strings.Join(out, "\n")
}

// outcome says all that a verdict says.
func outcome(v *Verdict) string {
	out := []string{v.Summary()}
	edits := func(list []Edit, arrow string) {
		for _, e := range list {
			out = append(out, strings.TrimSuffix(fmt.Sprintf("%s%s %s: %s", arrow, [...]string{"remove", "set", "add"}[e.Op], e.Name, e.Value), ": "))
		}
	}
	edits(v.Request, ">")
	edits(v.Response, "<")
	if v.SetCookie != nil {
		out = append(out, "<cookie "+string(v.SetCookie))
	}
	return strings.Join(out, "; ")
}

func decide(t *Table, req *sample, f *Facts) string {
	var v Verdict
	t.Decide(req, f, &v)
	return outcome(&v)
}

// clean reports whether nothing in the verdict could end a line or a field.
func clean(v *Verdict) error {
	check := func(what string, b []byte, limit int) error {
		if i := bytes.IndexAny(b, "\r\n\x00"); i >= 0 {
			return fmt.Errorf("%s holds %q", what, b)
		}
		if len(b) > limit {
			return fmt.Errorf("%s has %d bytes", what, len(b))
		}
		return nil
	}
	for _, c := range []error{
		check("target", v.Target, maxTarget), check("host", v.Host, 1024), check("location", v.Location, maxTarget),
		check("cookie", v.SetCookie, 1024), check("path", v.Path, maxTarget),
	} {
		if c != nil {
			return c
		}
	}
	for _, e := range append(append([]Edit{}, v.Request...), v.Response...) {
		if err := check(e.Name, e.Value, maxValue); err != nil {
			return err
		}
	}
	if v.Kind == Forward && v.Target != nil && (v.Target[0] != '/' || len(v.Target) > 1 && v.Target[1] == '/' || bytes.ContainsAny(v.Target, " #")) {
		return fmt.Errorf("target %q", v.Target)
	}
	return nil
}
