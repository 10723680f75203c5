package conf

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"strconv"
)

// bound is a min or max tag; the zero bound is none.
type bound struct {
	text   string // as in the tag
	value  reflect.Value
	length bool // bounds len of the value
	unit   string
}

func (b bound) set() bool { return b.text != "" }

// newBound reads a tag for values of s.
func newBound(s *spec, text string) (bound, error) {
	if text == "" {
		return bound{}, nil
	}
	if unit := lengthUnit(s); unit != "" {
		n, err := strconv.Atoi(text)
		return bound{text: text, value: reflect.ValueOf(n), length: true, unit: unit}, err
	}
	v := reflect.New(s.typ)
	var err error
	switch v.Elem().Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
	default:
		return bound{}, fmt.Errorf("%v has no order and no length", s.typ)
	}
	if u, ok := v.Interface().(encoding.TextUnmarshaler); ok {
		err = u.UnmarshalText([]byte(text))
	} else {
		err = parseNumber(text, v.Elem())
	}
	return bound{text: text, value: v.Elem()}, err
}

// lengthUnit returns what the length of s's values counts, or "" where the value itself is bounded.
func lengthUnit(s *spec) string {
	switch {
	case s.kind == listKind || s.kind == mapKind:
		return "elements"
	case s.typ.Kind() == reflect.String:
		return "bytes"
	}
	return ""
}

// zeroOutside reports whether the zero number, which stands for an absent key, is out of bounds.
func (f *field) zeroOutside() bool {
	if f.required || f.pointer || f.def != nil || lengthUnit(&f.spec) != "" {
		return false
	}
	zero := reflect.Zero(f.typ)
	return f.min.set() && f.min.compare(zero) < 0 || f.max.set() && f.max.compare(zero) > 0
}

// compare orders v (or its length) against the bound.
func (b bound) compare(v reflect.Value) int {
	switch {
	case b.length:
		return cmp.Compare(int64(v.Len()), b.value.Int())
	case v.CanInt():
		return cmp.Compare(v.Int(), b.value.Int())
	case v.CanUint():
		return cmp.Compare(v.Uint(), b.value.Uint())
	}
	return cmp.Compare(v.Float(), b.value.Float())
}

// checkBounds records a value that is too small or too large.
func (d *decoder) checkBounds(n *node, v reflect.Value, s *spec, p *path) bool {
	if s.field && !s.required && lengthUnit(s) != "" && v.Len() == 0 {
		return true // empty is unset
	}
	low := s.min.set() && s.min.compare(v) < 0
	high := s.max.set() && s.max.compare(v) > 0
	if !low && !high {
		return true
	}
	verb, unit := "must be", ""
	if b := (map[bool]bound{true: s.min, false: s.max})[low]; b.length {
		verb, unit = "must have", " "+b.unit
	}
	var want string
	switch {
	case s.min.set() && s.max.set():
		want = fmt.Sprintf("%s from %s to %s%s", verb, s.min.text, s.max.text, unit)
	case low:
		want = fmt.Sprintf("%s at least %s%s", verb, s.min.text, unit)
	default:
		want = fmt.Sprintf("%s at most %s%s", verb, s.max.text, unit)
	}
	if verb == "must be" && !n.expanded {
		want = "is " + n.text + ", " + want
	}
	d.errs.add(n.where, p, want, "")
	return false
}
