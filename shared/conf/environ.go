package conf

import (
	"os"
	"reflect"
	"slices"
	"strings"
)

// override is a value that the environment sets.
type override struct{ name, value string }

// leaf is a key that the environment may set.
type leaf struct {
	name string   // of the variable, without the prefix
	keys []string // the way from the root
	wide []string // for each of these, the key that a text in place of the section stands for; "" if none
}

// leaves lists the scalar keys of a struct, through sections but not through lists and maps.
func (ps plans) leaves(t reflect.Type, above []string, open []reflect.Type) []leaf {
	var out []leaf
	open = append(open, t)
	for _, f := range ps.of(t).fields {
		keys := append(slices.Clone(above), f.key)
		switch {
		case f.kind == structKind && !slices.Contains(open, f.typ):
			below := ps.leaves(f.typ, keys, open)
			if short := ps.of(f.typ).short; short != nil {
				for i := range below {
					below[i].wide[len(above)] = short.key
				}
			}
			out = append(out, below...)
		case f.kind.scalar():
			out = append(out, leaf{envName(keys), keys, make([]string, len(keys))})
		}
	}
	return out
}

// envName returns the keys as they stand in a variable's name.
func envName(keys []string) string {
	return strings.ToUpper(strings.ReplaceAll(strings.Join(keys, "_"), "-", "_"))
}

// override puts the environment's values into the tree and reports variables that name nothing.
func (l *loader) override(root *node, p *plan) {
	if l.opts.EnvPrefix == "" {
		return
	}
	leaves := l.plans.leaves(p.typ, nil, nil)
	known := make([]string, 0, len(leaves))
	for _, leaf := range leaves {
		known = append(known, leaf.name)
		variable := l.opts.EnvPrefix + "_" + leaf.name
		if value, ok := l.exp.env(variable); ok {
			l.put(root, leaf, variable, value)
			l.overrides = append(l.overrides, override{variable, value})
		}
	}
	l.unknownVariables(known)
}

// envRank sorts the environment after all files.
const envRank = maxOverlays + 1

// put sets one leaf, making the sections on the way. It gives up where the file has something else than a section;
// the decoder reports that.
func (l *loader) put(root *node, to leaf, variable, value string) {
	at := position{rank: envRank, file: "env " + variable}
	n, last := root, len(to.keys)-1
	for i, key := range to.keys[:last] {
		next := n.entry(key)
		if next == nil || next.isNull() {
			next = &node{kind: sectionNode, pos: at}
			n.replace(key, at, next)
		}
		if to.wide[i] != "" {
			next.widen(to.wide[i])
		}
		if next.kind != sectionNode {
			return
		}
		n = next
	}
	n.replace(to.keys[last], at, &node{pos: at, text: value, expanded: true})
}

// replace sets a key whether it is there or not.
func (n *node) replace(key string, pos position, val *node) {
	if i, ok := n.byKey[key]; ok {
		val.where = val.pos
		n.entries[i] = entry{key, pos, val}
		return
	}
	n.set(key, pos, val)
}

// unknownVariables reports variables with the prefix that name no key.
func (l *loader) unknownVariables(known []string) {
	environ := l.opts.Environ
	if environ == nil {
		if l.opts.Env != nil {
			return
		}
		environ = os.Environ
	}
	prefix := l.opts.EnvPrefix + "_"
	for _, line := range environ() {
		name, _, _ := strings.Cut(line, "=")
		key, ok := strings.CutPrefix(name, prefix)
		if !ok || slices.Contains(known, key) || l.exp.refersTo(name) {
			continue
		}
		hint := ""
		if best, ok := nearest(key, known); ok {
			hint = "did you mean " + prefix + best + "?"
		}
		l.errs.add(position{rank: envRank, file: "env " + name}, nil, "names no key of the configuration that a variable can set", hint)
	}
}

// refersTo reports whether the files expand the variable.
func (e *expander) refersTo(name string) bool {
	for ref := range e.used {
		if n, _, _ := strings.Cut(ref, ":-"); n == name {
			return true
		}
	}
	return false
}
