package conf

import (
	"cmp"
	"reflect"
	"slices"
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
	before, after := flatten(old), flatten(new)
	all := slices.Concat(before.leaves, after.leaves)
	slices.SortStableFunc(all, func(a, b flatLeaf) int { return slices.CompareFunc(a.place, b.place, step.compare) })
	var out []Change
	for i, leaf := range all {
		o, n := before.at[leaf.path], after.at[leaf.path]
		if o != n && (i == 0 || all[i-1].path != leaf.path) {
			out = append(out, Change{leaf.path, o.shown, n.shown})
		}
	}
	return out
}

// flat is a configuration as a list of its leaves.
type flat struct {
	plans  plans
	leaves []flatLeaf
	at     map[string]flatValue
}

// flatLeaf is where a leaf stands.
type flatLeaf struct {
	path  string
	place []step
}

// step is one step of the way to a leaf: the number of a field or element, or the key in a map.
type step struct {
	n   int
	key string
}

func (s step) compare(t step) int { return cmp.Or(cmp.Compare(s.n, t.n), cmp.Compare(s.key, t.key)) }

// flatValue is a leaf's value: what may be shown of it, and what is compared.
type flatValue struct{ shown, content string }

func flatten(of any) *flat {
	f := &flat{plans: plans{}, at: map[string]flatValue{}}
	if d, ok := of.(*Document); ok {
		f.section(d.value, nil, nil)
		return f
	}
	structType(of)
	v := reflect.ValueOf(of)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	f.section(v, nil, nil)
	return f
}

func (f *flat) put(p *path, place []step, shown, content string) {
	name := p.String()
	f.leaves = append(f.leaves, flatLeaf{name, slices.Clone(place)})
	f.at[name] = flatValue{shown, content}
}

func (f *flat) section(v reflect.Value, p *path, place []step) {
	for i, fd := range f.plans.of(v.Type()).fields {
		fv := v.FieldByIndex(fd.index)
		if fd.pointer {
			if fv.IsNil() {
				continue
			}
			fv = fv.Elem()
		}
		f.value(fv, &fd.spec, p.key(fd.key), append(place, step{n: i}), fd.pointer)
	}
}

// value lists v; an empty container is a leaf where its being there says something.
func (f *flat) value(v reflect.Value, s *spec, p *path, place []step, optional bool) {
	before := len(f.leaves)
	switch s.kind {
	case structKind:
		f.section(v, p, place)
	case listKind, arrayKind:
		for i := range v.Len() {
			f.value(indirect(v.Index(i), s.elem), s.elem, p.index(i), append(place, step{n: i}), true)
		}
	case mapKind:
		for _, k := range sortedKeys(v) {
			key := k.String()
			f.value(indirect(v.MapIndex(k), s.elem), s.elem, p.key(key), append(place, step{key: key}), true)
		}
	default:
		f.put(p, place, shownText(v, s), plainText(v, s))
	}
	if optional && len(f.leaves) == before {
		f.put(p, place, emptyText(s), "")
	}
}

// shownText returns v as YAML, a secret without quotes around the word that stands for it.
func shownText(v reflect.Value, s *spec) string {
	if text := scalarText(v, s); text != strconv.Quote(redacted) || !s.secret() {
		return text
	}
	return redacted
}
