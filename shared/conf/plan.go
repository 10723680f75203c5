package conf

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// kind is how a value is written.
type kind uint8

const (
	stringKind kind = iota
	boolKind
	intKind
	uintKind
	floatKind
	textKind // parses its own text
	listKind
	arrayKind
	mapKind
	structKind
)

// scalar reports whether the value is one text.
func (k kind) scalar() bool { return k <= textKind }

// spec is what is known of a value before it is read.
type spec struct {
	typ      reflect.Type // without the pointer
	pointer  bool         // the Go value is a pointer to typ, nil when absent
	kind     kind
	elem     *spec // of lists, arrays and maps
	keys     *spec // of maps
	enum     []string
	min, max bound
	required bool
	single   bool   // a list: its one element may stand without the list
	field    bool   // not an element: may be empty, which means unset
	short    bool   // of a section: its value may stand for the whole
	alone    string // of a map: the key whose value may stand for the whole, or ""
}

// field is one key of a struct.
type field struct {
	spec
	key   string
	index []int // for reflect.Value.FieldByIndex
	def   *node // what stands for an absent key, nil for the zero value
	deft  string
	doc   string
}

// part is a struct that is embedded inline.
type part struct{ index []int }

// plan is what is known of a struct.
type plan struct {
	typ    reflect.Type
	fields []*field // in the order of the struct, inline parts in their place
	parts  []part   // inner before outer
	byKey  map[string]*field
	short  *field // whose value may stand for the whole section, or nil
}

// keys returns the struct's keys in order.
func (p *plan) keys() []string {
	out := make([]string, len(p.fields))
	for i, f := range p.fields {
		out[i] = f.key
	}
	return out
}

// plans caches the plans of one load.
type plans map[reflect.Type]*plan

// of returns the plan of a struct type, and panics where its tags are wrong.
func (ps plans) of(t reflect.Type) *plan {
	p, err := ps.make(t)
	if err != nil {
		panic("BUG: conf: " + err.Error())
	}
	return p
}

func (ps plans) make(t reflect.Type) (*plan, error) {
	if p, ok := ps[t]; ok {
		return p, nil
	}
	p := &plan{typ: t, byKey: map[string]*field{}}
	if err := p.addFields(t, nil); err != nil {
		return nil, err
	}
	ps[t] = p
	for _, f := range p.fields {
		if err := ps.checkDefault(f); err != nil {
			return nil, fmt.Errorf("%v: key %s: %w", t, f.key, err)
		}
	}
	return p, nil
}

// addFields adds t's fields, those of inline structs in their place.
func (p *plan) addFields(t reflect.Type, above []int) error {
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("yaml")
		if tag == "-" || !sf.IsExported() && !tagged {
			continue
		}
		key, option, _ := strings.Cut(tag, ",")
		index := append(slices.Clone(above), i)
		if option == "inline" && key == "" && sf.Type.Kind() == reflect.Struct && sf.IsExported() {
			if err := p.addFields(sf.Type, index); err != nil {
				return err
			}
			p.parts = append(p.parts, part{index})
			continue
		}
		if !sf.IsExported() || key == "" || option != "" || pathKey(key) != key {
			return fmt.Errorf("%v.%s: not an exported field with a yaml key, nor an inline struct", t, sf.Name)
		}
		f, err := newField(sf, key, index)
		if err != nil {
			return fmt.Errorf("%v.%s: %w", t, sf.Name, err)
		}
		if p.byKey[key] != nil {
			return fmt.Errorf("%v.%s: the key %s is taken", t, sf.Name, key)
		}
		if f.short && p.short != nil {
			return fmt.Errorf("%v.%s: %s is short already", t, sf.Name, p.short.key)
		}
		if f.short {
			p.short = f
		}
		p.byKey[key] = f
		p.fields = append(p.fields, f)
	}
	return nil
}

func newField(sf reflect.StructField, key string, index []int) (*field, error) {
	s, err := newSpec(sf.Type, 0)
	if err != nil {
		return nil, err
	}
	f := &field{spec: *s, key: key, index: index, doc: sf.Tag.Get("doc")}
	f.field = true
	switch required, ok := sf.Tag.Lookup("required"); {
	case required == "true":
		f.required = true
	case ok && required != "false":
		return nil, fmt.Errorf("required is neither true nor false")
	}
	switch single, ok := sf.Tag.Lookup("single"); {
	case single == "true" && f.kind == listKind:
		f.single = true
	case single == "true" && f.kind == mapKind && f.elem.kind == listKind:
		f.elem.single = true
	case ok:
		return nil, fmt.Errorf("single is true, and for lists and maps of lists only")
	}
	switch short, ok := sf.Tag.Lookup("short"); {
	case short == "true" && f.kind.scalar():
		f.short = true
	case f.kind == mapKind && short != "" && short != "true":
		f.alone = short
	case ok:
		return nil, fmt.Errorf("short is true, and for values of one text only, or a map's key")
	}
	if enum := sf.Tag.Get("enum"); enum != "" {
		if err := f.setEnum(strings.Split(enum, "|")); err != nil {
			return nil, err
		}
	}
	if f.min, err = newBound(s, sf.Tag.Get("min")); err != nil {
		return nil, fmt.Errorf("min: %w", err)
	}
	if f.max, err = newBound(s, sf.Tag.Get("max")); err != nil {
		return nil, fmt.Errorf("max: %w", err)
	}
	deft, ok := sf.Tag.Lookup("default")
	if ok {
		if f.required || f.pointer || f.kind == structKind {
			return nil, fmt.Errorf("a required, optional or section field has no default")
		}
		if f.def, err = defaultNode(s, deft); err != nil {
			return nil, fmt.Errorf("default: %w", err)
		}
		f.deft = deft
	}
	return f, nil
}

// setEnum sets the choices of a scalar, or of a list's or map's elements.
func (s *spec) setEnum(enum []string) error {
	switch {
	case s.elem != nil:
		return s.elem.setEnum(enum)
	case !s.kind.scalar() || s.kind == boolKind || s.kind == floatKind:
		return fmt.Errorf("enum is for texts and whole numbers")
	}
	s.enum = enum
	return nil
}

// newSpec returns the spec of a type without tags.
func newSpec(t reflect.Type, depth int) (*spec, error) {
	s := &spec{typ: t}
	if t.Kind() == reflect.Pointer {
		s.pointer, s.typ = true, t.Elem()
		t = s.typ
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("a list contains itself")
	}
	k, err := kindOf(t)
	if err != nil {
		return nil, err
	}
	s.kind = k
	switch k {
	case listKind, arrayKind:
		s.elem, err = newSpec(t.Elem(), depth+1)
	case mapKind:
		if s.keys, err = newSpec(t.Key(), depth+1); err == nil {
			s.elem, err = newSpec(t.Elem(), depth+1)
		}
	}
	return s, err
}

var unmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// kindOf returns how values of t are written.
func kindOf(t reflect.Type) (kind, error) {
	if t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler) {
		if t.Kind() == reflect.Pointer {
			return 0, fmt.Errorf("%v: use the type itself, not a pointer", t)
		}
		return textKind, nil
	}
	switch t.Kind() {
	case reflect.String:
		return stringKind, nil
	case reflect.Bool:
		return boolKind, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if t == reflect.TypeFor[time.Duration]() {
			return 0, fmt.Errorf("%v has no unit: use conf.Duration", t)
		}
		return intKind, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return uintKind, nil
	case reflect.Float32, reflect.Float64:
		return floatKind, nil
	case reflect.Slice:
		return listKind, nil
	case reflect.Array:
		return arrayKind, nil
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return mapKind, nil
		}
	case reflect.Struct:
		return structKind, nil
	}
	return 0, fmt.Errorf("%v cannot be read from a configuration", t)
}

// secret reports whether values of the type must not be shown.
func (s *spec) secret() bool { return s.typ == reflect.TypeFor[Secret]() }
