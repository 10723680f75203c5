package conf

import (
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
)

// reference is the pattern of a text that holds ${…}; what it stands for is known only when it is read.
const reference = `\$\{`

// WriteSchema prints a JSON Schema (2020-12) of the struct, for editors. It takes ${…} for any number or
// pattern, but not for a value with choices; a struct inside itself is not described again.
func WriteSchema(w io.Writer, of any) error {
	s := &schema{plans: plans{}}
	root := append(object{{"$schema", "https://json-schema.org/draft/2020-12/schema"}}, s.section(structType(of))...)
	out, err := json.Marshal(root)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, out, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

// object is a JSON object that keeps its order.
type object []property

type property struct {
	key   string
	value any
}

// MarshalJSON writes the properties in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(p.key); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(p.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schema builds the schema of a struct.
type schema struct {
	plans plans
	open  []reflect.Type
}

func (c *schema) section(t reflect.Type) object {
	if slices.Contains(c.open, t) {
		return object{{"type", []string{"object", "null"}}}
	}
	c.open = append(c.open, t)
	properties, required := object{}, []string{}
	for _, f := range c.plans.of(t).fields {
		properties = append(properties, property{f.key, c.field(f)})
		if f.required {
			required = append(required, f.key)
		}
	}
	c.open = c.open[:len(c.open)-1]
	out := object{{"type", []string{"object", "null"}}, {"properties", properties}}
	if len(required) > 0 {
		out[0].value = "object"
		out = append(out, property{"required", required})
	}
	out = append(out, property{"additionalProperties", false})
	if short := c.plans.of(t).short; short != nil {
		return object{{"anyOf", []object{short.scalarSchema(), out}}}
	}
	return out
}

func (c *schema) field(f *field) object {
	var out object
	if f.doc != "" {
		out = append(out, property{"description", f.doc})
	}
	out = append(out, c.value(&f.spec)...)
	if f.def != nil {
		out = append(out, property{"default", f.defaultJSON()})
	}
	return out
}

// defaultJSON returns the default as it is written in a file.
func (f *field) defaultJSON() any {
	switch f.kind {
	case boolKind:
		return f.deft == "true"
	case intKind, uintKind, floatKind:
		return json.Number(f.deft)
	case stringKind, textKind:
		return f.deft
	}
	return f.def.json()
}

// json returns a default's node as a JSON value.
func (n *node) json() any {
	switch n.kind {
	case listNode:
		out := []any{}
		for _, item := range n.items {
			out = append(out, item.json())
		}
		return out
	case sectionNode:
		out := object{}
		for _, e := range n.entries {
			out = append(out, property{e.key, e.val.json()})
		}
		return out
	}
	if n.plain && (isFraction(n.text) || n.text == "true" || n.text == "false") {
		return json.RawMessage(n.text)
	}
	return n.text
}

// value returns the keywords for a value.
func (c *schema) value(s *spec) object {
	switch s.kind {
	case structKind:
		return c.section(s.typ)
	case listKind, arrayKind:
		if s.single {
			several := *s
			several.single = false
			return object{{"anyOf", []object{c.value(s.elem), c.value(&several)}}}
		}
		out := object{{"type", "array"}, {"items", c.value(s.elem)}}
		if s.kind == arrayKind {
			return append(out, property{"minItems", s.typ.Len()}, property{"maxItems", s.typ.Len()})
		}
		return append(out, s.limits("minItems", "maxItems")...)
	case mapKind:
		if s.alone != "" {
			several := *s
			several.alone = ""
			return object{{"anyOf", []object{c.value(s.elem), c.value(&several)}}}
		}
		out := object{{"type", []string{"object", "null"}}}
		if pattern := s.keys.pattern(); pattern != "" {
			out = append(out, property{"propertyNames", object{{"pattern", pattern}}})
		}
		return append(append(out, property{"additionalProperties", c.value(s.elem)}), s.limits("minProperties", "maxProperties")...)
	}
	return s.scalarSchema()
}

func (s *spec) scalarSchema() object {
	if len(s.enum) > 0 {
		return object{{"enum", s.enum}}
	}
	switch s.kind {
	case boolKind:
		return object{{"type", []string{"boolean", "string"}}, {"pattern", reference}}
	case intKind, uintKind:
		return append(object{{"type", []string{"integer", "string"}}, {"pattern", reference}}, s.between()...)
	case floatKind:
		return append(object{{"type", []string{"number", "string"}}, {"pattern", reference}}, s.limits("minimum", "maximum")...)
	case stringKind:
		if limits := s.limits("minLength", "maxLength"); len(limits) > 0 {
			return object{{"type", "string"}, {"anyOf", []object{limits, {{"pattern", reference}}}}}
		}
		return object{{"type", "string"}}
	}
	return s.textSchema()
}

// between returns the bounds of an integer: its tags', else those of a type of less than 64 bits.
func (s *spec) between() object {
	bits := s.typ.Bits()
	low, high := s.min.text, s.max.text
	if low == "" && s.kind == uintKind {
		low = "0"
	}
	if bits < 64 && low == "" {
		low = strconv.FormatInt(-1<<(bits-1), 10)
	}
	if bits < 64 && high == "" && s.kind == uintKind {
		high = strconv.FormatUint(1<<bits-1, 10)
	} else if bits < 64 && high == "" {
		high = strconv.FormatInt(1<<(bits-1)-1, 10)
	}
	var out object
	if low != "" {
		out = append(out, property{"minimum", json.Number(low)})
	}
	if high != "" {
		out = append(out, property{"maximum", json.Number(high)})
	}
	return out
}

// limits returns min and max under the given keywords.
func (s *spec) limits(minimum, maximum string) object {
	var out object
	if s.min.set() {
		out = append(out, property{minimum, json.Number(s.min.text)})
	}
	if s.max.set() {
		out = append(out, property{maximum, json.Number(s.max.text)})
	}
	return out
}

// textSchema describes the types that read their own text.
func (s *spec) textSchema() object {
	pattern := s.pattern()
	if pattern == "" {
		return object{{"type", []string{"string", "number"}}}
	}
	out := object{{"type", "string"}, {"pattern", pattern + "|" + reference}}
	switch s.typ {
	case reflect.TypeFor[Duration]():
		out[0].value = []string{"string", "integer"}
		out = append(out, property{"minimum", 0}, property{"maximum", 0})
	case reflect.TypeFor[Size]():
		out[0].value = []string{"string", "integer"}
		out = append(out, property{"minimum", 0})
	case reflect.TypeFor[Addr]():
		out[0].value = []string{"string", "integer"}
		out = append(out, property{"minimum", 0}, property{"maximum", 65535})
	case reflect.TypeFor[Name]():
		out[0].value = []string{"string", "integer"}
	}
	return out
}

// pattern returns a regular expression that all texts of the type match; the type itself is stricter.
func (s *spec) pattern() string {
	switch s.typ {
	case reflect.TypeFor[Duration]():
		return `^(0|([0-9]+(\.[0-9]+)?(d|h|ms|m|s|us|ns))+)$`
	case reflect.TypeFor[Size]():
		return `^[0-9]+(\.[0-9]+)? ?(B|[kKmMgGtT]|[KMGT]iB|[kKMGT]B)?$`
	case reflect.TypeFor[Addr]():
		return `^(unix:/.+|\[[0-9A-Fa-f:.%a-z]+\]:[0-9]+|[A-Za-z0-9._-]*:[0-9]+|[0-9]*)$`
	case reflect.TypeFor[Name]():
		return `^([a-z0-9][a-z0-9_-]{0,62})?$`
	case reflect.TypeFor[Prefix](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[netip.Addr]():
		return `^([0-9A-Fa-f:.%a-z]+(/[0-9]+)?)?$`
	}
	return ""
}
