package conf

import (
	"io"
	"reflect"
	"slices"
	"strings"
)

// WriteDefaults prints a commented YAML file with every key, its default, unit, bounds and sentence.
//
// Keys that have a default stand as they are, so that the output is a configuration (but for what is required). The
// others, optional sections and examples of lists and maps stand behind a "#" without a space.
func WriteDefaults(w io.Writer, of any) error {
	m := &manual{plans: plans{}}
	m.section(structType(of), 0, false)
	return m.write(w)
}

// manual builds the lines of WriteDefaults.
type manual struct {
	lines
	plans plans
	open  []reflect.Type // sections being printed, against endless recursion
}

// key adds a line of YAML, behind "#" where it is off.
func (m *manual) key(depth int, text string, off bool) {
	if off {
		text = "#" + text
	}
	m.add(depth, text, "")
}

func (m *manual) section(t reflect.Type, depth int, off bool) {
	m.open = append(m.open, t)
	for i, f := range m.plans.of(t).fields {
		if i > 0 && depth == 0 {
			m.add(0, "", "")
		}
		m.field(f, depth, off)
	}
	m.open = m.open[:len(m.open)-1]
}

func (m *manual) field(f *field, depth int, off bool) {
	if f.doc != "" {
		m.add(depth, "# "+f.doc, "")
	}
	facts := f.facts()
	if short := m.short(f); short != "" {
		facts = strings.TrimSpace(facts + " " + short)
	}
	if facts != "" {
		m.add(depth, "# "+facts, "")
	}
	switch {
	case f.kind == structKind && slices.Contains(m.open, f.typ):
		m.key(depth, f.key+": {}", true)
	case f.kind == structKind:
		m.key(depth, f.key+":", off || f.pointer)
		m.section(f.typ, depth+1, off || f.pointer)
	case f.def != nil && (f.kind.scalar() || f.innermost().kind != structKind):
		m.key(depth, f.key+": "+f.defaultText(), off)
	case f.kind.scalar():
		m.key(depth, f.key+": "+f.example(), true)
	case f.kind == arrayKind || slices.Contains(m.open, f.innermost().typ):
		m.key(depth, f.key+": "+f.brief(), true)
	default:
		m.key(depth, f.key+":", true)
		m.elements(&f.spec, depth+1)
	}
}

// short says where a text may stand for a section.
func (m *manual) short(f *field) string {
	s := f.innermost()
	if s.kind != structKind || m.plans.of(s.typ).short == nil {
		return ""
	}
	key := m.plans.of(s.typ).short.key
	if f.kind == structKind {
		return "Or " + key + " alone."
	}
	return "An element may be its " + key + " alone."
}

// innermost returns the spec of what lists and maps of s hold in the end.
func (s *spec) innermost() *spec {
	for s.elem != nil {
		s = s.elem
	}
	return s
}

// brief is an example of a list or map in one line, for arrays of scalars and for what holds itself.
func (s *spec) brief() string {
	if s.kind == arrayKind && s.elem.kind.scalar() {
		return "[" + strings.Join(slices.Repeat([]string{s.elem.example()}, s.typ.Len()), ", ") + "]"
	}
	return emptyText(s)
}

// elements prints an example of a list's or map's content.
func (m *manual) elements(s *spec, depth int) {
	head := len(m.list)
	switch {
	case s.kind == mapKind && s.elem.kind.scalar():
		m.key(depth, "name: "+s.elem.example(), true)
		return
	case s.kind == mapKind:
		m.key(depth, "name:", true)
		m.below(s.elem, depth+1)
		return
	case s.elem.kind.scalar():
		m.key(depth, "- "+s.elem.example(), true)
		return
	}
	m.below(s.elem, depth+1)
	m.dash(head, depth)
}

// below prints what an element holds.
func (m *manual) below(s *spec, depth int) {
	if s.kind == structKind {
		m.section(s.typ, depth, true)
		return
	}
	m.elements(s, depth)
}

// dash begins an element in the first key after the line head. The "#" keeps its place, so that the line
// without it is right.
func (m *manual) dash(head, depth int) {
	for i := head; i < len(m.list); i++ {
		if text, ok := strings.CutPrefix(m.list[i].text, "#"); ok && !strings.HasPrefix(text, " ") {
			pad := strings.Repeat("  ", m.list[i].depth-depth-1)
			m.list[i].text, m.list[i].depth = "#- "+pad+text, depth
			return
		}
	}
}

// facts says what tags say: required, default, bounds, choices, unit.
func (f *field) facts() string {
	var out []string
	switch {
	case f.required:
		out = append(out, "Required.")
	case f.def != nil:
		out = append(out, "Default "+f.defaultText()+".")
	case f.pointer && f.kind == structKind:
		out = append(out, "Optional: absent by default.")
	}
	unit := f.unit()
	switch {
	case f.min.set() && f.max.set():
		out = append(out, "From "+f.min.text+" to "+f.max.text+f.min.suffix()+".")
	case f.min.set():
		out = append(out, "At least "+f.min.text+f.min.suffix()+".")
	case f.max.set():
		out = append(out, "At most "+f.max.text+f.max.suffix()+".")
	}
	if f.single || f.elem != nil && f.elem.single {
		out = append(out, "One, or a list.")
	}
	if f.alone != "" {
		out = append(out, "Or the value of "+f.alone+" alone.")
	}
	if s := f.choices(); len(s) > 0 {
		out = append(out, "One of "+strings.Join(s, ", ")+".")
	}
	if unit != "" {
		out = append(out, unit)
	}
	return strings.Join(out, " ")
}

func (b bound) suffix() string {
	if b.length {
		return " " + b.unit
	}
	return ""
}

// choices returns the enum, also of elements.
func (s *spec) choices() []string {
	return s.innermost().enum
}

// unit says how values are written, where it is not plain.
func (s *spec) unit() string {
	switch s.innermost().typ {
	case reflect.TypeFor[Duration]():
		return "A duration: 250ms, 5s, 1m30s, 2h, 7d."
	case reflect.TypeFor[Size]():
		return "A size: 512, 64KiB, 1MiB, 2g."
	case reflect.TypeFor[Addr]():
		return "An address: host:port, [IPv6]:port, :port, unix:/path."
	case reflect.TypeFor[Prefix]():
		return "An address range: 10.0.0.0/8, 2001:db8::/32, 192.0.2.7."
	}
	return ""
}

// defaultText returns the default as YAML.
func (f *field) defaultText() string {
	if f.kind.scalar() {
		return quotePlain(f.deft, f.kind != stringKind)
	}
	return f.deft
}

// example returns a value that decodes, for a key that has no default.
func (s *spec) example() string {
	if len(s.enum) > 0 {
		return quotePlain(s.enum[0], s.kind != stringKind)
	}
	if s.min.set() && !s.min.length {
		return s.min.text
	}
	switch s.typ {
	case reflect.TypeFor[Addr]():
		return "127.0.0.1:8080"
	case reflect.TypeFor[Prefix]():
		return "10.0.0.0/8"
	case reflect.TypeFor[Name]():
		return "name"
	case reflect.TypeFor[Secret]():
		return `"${file:/run/credentials/secret}"`
	}
	switch s.kind {
	case boolKind:
		return "false"
	case stringKind:
		return `"text"`
	case textKind:
		if s.typ.Kind() == reflect.Struct || s.typ.Kind() == reflect.String {
			return `""`
		}
	}
	return "0"
}
