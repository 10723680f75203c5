package conf

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// WriteEffective prints every value in force as YAML, each with its origin as a comment when origins is true.
// Secrets print as "[redacted]", optional sections that are absent not at all; keys come in the order of the struct.
func (d *Document) WriteEffective(w io.Writer, origins bool) error {
	e := &effective{plans: plans{}, origins: origins}
	e.section(d.value, d.root, 0)
	return e.write(w)
}

// effective builds the lines of WriteEffective.
type effective struct {
	lines
	plans   plans
	origins bool
}

// origin returns the comment for a value.
func (e *effective) origin(n *node) string {
	switch {
	case !e.origins:
		return ""
	case n == nil:
		return "default"
	}
	return n.pos.String()
}

func (e *effective) section(v reflect.Value, n *node, depth int) {
	for _, f := range e.plans.of(v.Type()).fields {
		fv := v.FieldByIndex(f.index)
		if f.pointer {
			if fv.IsNil() {
				continue
			}
			fv = fv.Elem()
		}
		e.keyed(f.key, fv, &f.spec, n.entry(f.key), depth)
	}
}

// keyed prints "key: value" or the key with its value below.
func (e *effective) keyed(key string, v reflect.Value, s *spec, n *node, depth int) {
	key = quotePlain(key, false)
	if s.kind.scalar() {
		e.add(depth, key+": "+scalarText(v, s), e.origin(n))
		return
	}
	e.add(depth, key+":", "")
	head := len(e.list)
	if s.kind == listKind || s.kind == arrayKind {
		e.items(v, s, n, depth+1)
	} else {
		e.content(v, s, n, depth+1)
	}
	if len(e.list) == head {
		e.list[head-1].text += " " + emptyText(s)
		e.list[head-1].comment = e.origin(n)
	}
}

// content prints what stands below a key or after a dash.
func (e *effective) content(v reflect.Value, s *spec, n *node, depth int) {
	switch s.kind {
	case structKind:
		e.section(v, n, depth)
	case mapKind:
		for _, k := range sortedKeys(v) {
			e.keyed(k.String(), indirect(v.MapIndex(k), s.elem), s.elem, n.entry(k.String()), depth)
		}
	}
}

func (e *effective) items(v reflect.Value, s *spec, n *node, depth int) {
	for i := range v.Len() {
		head := len(e.list)
		item := indirect(v.Index(i), s.elem)
		switch {
		case s.elem.kind.scalar():
			e.add(depth+1, scalarText(item, s.elem), e.origin(n.item(i)))
		case s.elem.kind == listKind || s.elem.kind == arrayKind:
			e.items(item, s.elem, n.item(i), depth+1)
		default:
			e.content(item, s.elem, n.item(i), depth+1)
		}
		if len(e.list) == head {
			e.add(depth+1, emptyText(s.elem), e.origin(n.item(i)))
		}
		e.list[head].dashes = append(e.list[head].dashes, depth)
	}
}

// indirect follows the pointer that an element may be.
func indirect(v reflect.Value, s *spec) reflect.Value {
	if s.pointer && v.Kind() == reflect.Pointer {
		return v.Elem()
	}
	return v
}

// sortedKeys returns a map's keys in order.
func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	return keys
}

// emptyText is a list, map or section with nothing in it.
func emptyText(s *spec) string {
	if s.kind == listKind || s.kind == arrayKind {
		return "[]"
	}
	return "{}"
}

// scalarText returns v as it is written in YAML, secrets redacted.
func scalarText(v reflect.Value, s *spec) string {
	if s.secret() && v.Len() > 0 {
		return strconv.Quote(redacted)
	}
	return quotePlain(plainText(v, s), s.kind != stringKind)
}

// plainText returns v's text, also a secret's.
func plainText(v reflect.Value, s *spec) string {
	switch s.kind {
	case boolKind:
		return strconv.FormatBool(v.Bool())
	case intKind:
		return strconv.FormatInt(v.Int(), 10)
	case uintKind:
		return strconv.FormatUint(v.Uint(), 10)
	case floatKind:
		return strconv.FormatFloat(v.Float(), 'f', -1, v.Type().Bits())
	case stringKind:
		return v.String()
	}
	if v.CanAddr() {
		v = v.Addr()
	}
	switch m := v.Interface().(type) {
	case encoding.TextMarshaler:
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	case fmt.Stringer:
		return m.String()
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return fmt.Sprint(v.Interface())
}

// quotePlain returns s as a YAML scalar that Parse reads back: plain where nobody can take it for something
// else. A number may stand plain where the field is not a string.
func quotePlain(s string, number bool) string {
	if plainSafe(s) && (number || !looksNumeric(s) && !isBoolWord(s)) {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(strings.ReplaceAll(s, "${", "$${")); err != nil {
		panic("BUG: conf: a string does not encode: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// plainSafe reports whether s has a form that every YAML reader takes for one plain scalar.
func plainSafe(s string) bool {
	if s == "" || strings.EqualFold(s, "null") || strings.HasSuffix(s, ":") {
		return false
	}
	for i, c := range []byte(s) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '/' || c == '_'
		sign := c == '-' && len(s) > 1 && s[1] >= '0' && s[1] <= '9'
		if !alnum && (i == 0 && !sign || i > 0 && !strings.ContainsRune(".:+-@", rune(c))) {
			return false
		}
	}
	return true
}

// lines is YAML under construction.
type lines struct{ list []yamlLine }

type yamlLine struct {
	depth   int
	dashes  []int // the depths at which an element begins in this line
	text    string
	comment string
}

func (l *lines) add(depth int, text, comment string) {
	l.list = append(l.list, yamlLine{depth: depth, text: text, comment: comment})
}

// write prints the lines.
func (l *lines) write(w io.Writer) error {
	var b bytes.Buffer
	for _, line := range l.list {
		indent := bytes.Repeat([]byte(" "), 2*line.depth)
		for _, d := range line.dashes {
			indent[2*d] = '-'
		}
		b.Write(indent)
		b.WriteString(line.text)
		if line.comment != "" {
			b.WriteString("  # " + line.comment)
		}
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}
