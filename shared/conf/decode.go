package conf

import (
	"fmt"
	"reflect"
	"slices"
)

// decoder fills Go values from nodes.
type decoder struct {
	plans   plans
	errs    *collector
	lenient bool     // nothing is required, nothing is validated
	offline bool     // Options.Offline
	near    position // the nearest place that was written, for what was not
}

// decode fills the root struct. Where the tree is not whole, what is missing or does not fit together may be
// so because of that and is not reported.
func (l *loader) decode(root *node, v reflect.Value, whole bool) {
	d := &decoder{plans: l.plans, errs: l.errs, near: root.where, lenient: !whole, offline: l.opts.Offline}
	d.structValue(root, v, nil)
}

// defaults fills v as from an empty section.
func (d *decoder) defaults(v reflect.Value) {
	d.lenient = true
	d.structValue(nil, v, nil)
}

// value fills v from n and reports whether it is whole. Only then its Validate was called.
func (d *decoder) value(n *node, v reflect.Value, s *spec, p *path) bool {
	if n.broken && n.kind == scalarNode {
		return false
	}
	if s.pointer && v.Kind() == reflect.Pointer {
		v.Set(reflect.New(s.typ))
		v = v.Elem()
	}
	defer d.from(n)()
	var ok bool
	switch s.kind {
	case structKind:
		return d.section(n, v, p) && !n.broken
	case listKind:
		ok = d.list(n, v, s, p)
	case arrayKind:
		ok = d.array(n, v, s, p)
	case mapKind:
		ok = d.mapping(n, v, s, p)
	default:
		ok = d.scalar(n, v, s, p)
	}
	ok = ok && !n.broken && d.checkBounds(n, v, s, p)
	if ok {
		d.validate(n, v, p)
	}
	return ok
}

// from makes n the nearest written place until the returned function is called.
func (d *decoder) from(n *node) func() {
	before := d.near
	if !n.where.unknown() {
		d.near = n.where
	}
	return func() { d.near = before }
}

// wrong records that n is not what is wanted.
func (d *decoder) wrong(n *node, p *path, want string, secret bool, hint string) bool {
	d.errs.add(n.where, p, "expected "+want+", found "+n.noun(secret), hint)
	return false
}

// section fills a struct; a key without a value is a section of defaults.
func (d *decoder) section(n *node, v reflect.Value, p *path) bool {
	plan := d.plans.of(v.Type())
	want := "a section"
	if short := plan.short; short != nil {
		n.widen(short.key)
		want = short.key + " alone or a section"
	}
	if n.kind != sectionNode && !n.isNull() {
		return d.wrong(n, p, want, false, "write its keys indented below it: "+hintList(plan.keys()))
	}
	return d.structValue(n, v, p)
}

// structValue fills a struct from a section, a null or (nil) from nothing.
func (d *decoder) structValue(n *node, v reflect.Value, p *path) bool {
	plan := d.plans.of(v.Type())
	known := d.unknownKeys(n, plan, p)
	var failed []*field
	for _, f := range plan.fields {
		child := n.entry(f.key)
		if child == nil && n != nil && n.lacks {
			continue
		}
		if !d.fieldValue(child, v.FieldByIndex(f.index), f, p.key(f.key)) {
			failed = append(failed, f)
		}
	}
	for _, part := range plan.parts {
		inPart := func(f *field) bool {
			return len(f.index) > len(part.index) && slices.Equal(f.index[:len(part.index)], part.index)
		}
		if !slices.ContainsFunc(failed, inPart) {
			d.validate(n, v.FieldByIndex(part.index), p)
		}
	}
	ok := known && len(failed) == 0 && (n == nil || !n.broken)
	if ok {
		d.validate(n, v, p)
	}
	return ok
}

// fieldValue fills one field, from its default where the key is absent.
func (d *decoder) fieldValue(n *node, v reflect.Value, f *field, p *path) bool {
	switch {
	case n != nil:
		return d.value(n, v, &f.spec, p)
	case f.required && !d.lenient:
		d.errs.add(d.near, p, "is required", "")
		return false
	case f.def != nil:
		return d.value(f.def, v, &f.spec, p)
	case f.kind == structKind && !f.pointer:
		return d.structValue(nil, v, p)
	}
	return true
}

// unknownKeys records keys that the struct does not have.
func (d *decoder) unknownKeys(n *node, plan *plan, p *path) bool {
	if n == nil {
		return true
	}
	ok := true
	for _, e := range n.entries {
		if plan.byKey[e.key] != nil {
			continue
		}
		ok = false
		hint := ""
		if !d.errs.full() {
			hint = didYouMean(e.key, plan.keys())
		}
		d.errs.add(e.pos, p.key(e.key), "unknown key", hint)
	}
	return ok
}

func (d *decoder) list(n *node, v reflect.Value, s *spec, p *path) bool {
	if s.single && n.kind != listNode && !n.isNull() {
		v.Set(reflect.MakeSlice(s.typ, 1, 1))
		return d.value(n, v.Index(0), s.elem, p)
	}
	if n.kind != listNode {
		return d.wrong(n, p, "a list", false, listHint(n))
	}
	v.Set(reflect.MakeSlice(s.typ, len(n.items), len(n.items)))
	return d.items(n, v, s, p) && d.notEmpty(n, len(n.items), s, p)
}

func (d *decoder) array(n *node, v reflect.Value, s *spec, p *path) bool {
	if n.kind != listNode {
		return d.wrong(n, p, "a list", false, listHint(n))
	}
	if len(n.items) != v.Len() {
		d.errs.add(n.where, p, fmt.Sprintf("has %d elements, must have %d", len(n.items), v.Len()), "")
		return false
	}
	return d.items(n, v, s, p)
}

func (d *decoder) items(n *node, v reflect.Value, s *spec, p *path) bool {
	ok := true
	for i, item := range n.items {
		ok = d.value(item, v.Index(i), s.elem, p.index(i)) && ok
	}
	return ok
}

// listHint shows how a list is written.
func listHint(n *node) string {
	switch {
	case n.isNull():
		return "write [] for an empty list, or remove the key"
	case n.kind == scalarNode && !n.expanded:
		return `write one line "- value" per element, or [value, value]`
	}
	return ""
}

// notEmpty records an empty value where one is required.
func (d *decoder) notEmpty(n *node, size int, s *spec, p *path) bool {
	if size == 0 && s.required {
		d.errs.add(n.where, p, "must not be empty", "")
		return false
	}
	return true
}

func (d *decoder) mapping(n *node, v reflect.Value, s *spec, p *path) bool {
	if s.alone != "" && n.kind != sectionNode && !n.isNull() {
		n.wrap(s.alone)
	}
	if n.kind != sectionNode && !n.isNull() {
		return d.wrong(n, p, "a section", false, "")
	}
	v.Set(reflect.MakeMapWithSize(s.typ, len(n.entries)))
	ok := true
	for _, e := range n.entries {
		key := reflect.New(s.keys.typ).Elem()
		val := reflect.New(s.typ.Elem()).Elem()
		keyOK := d.mapKey(e, key, s.keys, p.key(e.key))
		if d.value(e.val, val, s.elem, p.key(e.key)) && keyOK {
			v.SetMapIndex(key, val)
		} else {
			ok = false
		}
	}
	return ok && d.notEmpty(n, len(n.entries), s, p)
}

// mapKey fills a key; it is text, however it is written.
func (d *decoder) mapKey(e entry, key reflect.Value, s *spec, p *path) bool {
	n := &node{pos: e.pos, where: e.pos, text: e.key, raw: e.key}
	return d.scalar(n, key, s, p)
}

// validate calls the value's Validate.
func (d *decoder) validate(n *node, v reflect.Value, p *path) {
	if d.lenient {
		return
	}
	var val Validator
	var ok bool
	if v.CanAddr() {
		val, ok = v.Addr().Interface().(Validator)
	} else {
		val, ok = v.Interface().(Validator)
	}
	if !ok {
		return
	}
	r := &Report{errs: d.errs, path: p, pos: d.near, off: d.offline}
	if n != nil && !n.where.unknown() {
		r.node, r.pos = n, n.where
	}
	val.Validate(r)
}
