package conf

import (
	"reflect"
	"strconv"
)

// Change is a value that differs between two configurations.
type Change struct {
	Path string // "pools.web.members[0].weight"
	Old  string // as it would be written, "[redacted]" for a secret; empty where the key is absent
	New  string
}

// Diff returns what changed from old to new, in the order of the struct. Each is a *Document, or a struct of the
// same type (or pointer to one).
func Diff(old, new any) []Change {
	o, n := flatten(old), flatten(new)
	var out []Change
	for _, p := range o.mergedOrder(n) {
		before, after := o.at[p], n.at[p]
		if before.content != after.content || before.shown != after.shown {
			out = append(out, Change{p, before.shown, after.shown})
		}
	}
	return out
}

// flat is a configuration as a list of its leaves.
type flat struct {
	plans plans
	order []string
	at    map[string]flatValue
}

// flatValue is a leaf: what may be shown of it, and what is compared.
type flatValue struct{ shown, content string }

func flatten(of any) *flat {
	f := &flat{plans: plans{}, at: map[string]flatValue{}}
	if d, ok := of.(*Document); ok {
		f.section(d.value, nil)
		return f
	}
	structType(of)
	v := reflect.ValueOf(of)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	f.section(v, nil)
	return f
}

// mergedOrder returns the paths of both, those that only n has in the place where n has them.
func (f *flat) mergedOrder(n *flat) []string {
	var out []string
	i := 0
	for _, p := range n.order {
		if _, both := f.at[p]; both {
			for i < len(f.order) && f.order[i] != p {
				out = appendMissing(out, f.order[i], n)
				i++
			}
			i++
		}
		out = append(out, p)
	}
	for ; i < len(f.order); i++ {
		out = appendMissing(out, f.order[i], n)
	}
	return out
}

// appendMissing appends p unless n has it, in whose place it comes then.
func appendMissing(out []string, p string, n *flat) []string {
	if _, ok := n.at[p]; ok {
		return out
	}
	return append(out, p)
}

func (f *flat) put(p *path, shown, content string) {
	name := p.String()
	f.order = append(f.order, name)
	f.at[name] = flatValue{shown, content}
}

func (f *flat) section(v reflect.Value, p *path) {
	for _, fd := range f.plans.of(v.Type()).fields {
		fv := v.FieldByIndex(fd.index)
		if fd.pointer {
			if fv.IsNil() {
				continue
			}
			fv = fv.Elem()
		}
		f.value(fv, &fd.spec, p.key(fd.key), fd.pointer)
	}
}

// value lists v; an empty container is a leaf where its being there says something.
func (f *flat) value(v reflect.Value, s *spec, p *path, optional bool) {
	before := len(f.order)
	switch s.kind {
	case structKind:
		f.section(v, p)
	case listKind, arrayKind:
		for i := range v.Len() {
			f.value(indirect(v.Index(i), s.elem), s.elem, p.index(i), true)
		}
	case mapKind:
		for _, k := range sortedKeys(v) {
			f.value(indirect(v.MapIndex(k), s.elem), s.elem, p.key(k.String()), true)
		}
	default:
		content := plainText(v, s)
		shown := scalarText(v, s)
		if s.secret() {
			shown = redacted
			if content == "" {
				shown = strconv.Quote("")
			}
		}
		f.put(p, shown, content)
	}
	if optional && len(f.order) == before {
		f.put(p, emptyText(s), "")
	}
}
