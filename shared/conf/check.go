package conf

import (
	"errors"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// CheckStruct returns what is wrong with the tags of a configuration struct (or pointer to one) and of everything in
// it: what Load would panic on, and fields without a doc sentence. It is for tests of the packages that
// declare such structs.
func CheckStruct(of any) error {
	t := structType(of)
	c := checker{plans: plans{}, done: map[reflect.Type]bool{}}
	c.check(t)
	if len(c.errs) == 0 {
		c.checkVariables(t)
	}
	return errors.Join(c.errs...)
}

// structType returns the struct type of a value or pointer.
func structType(of any) reflect.Type {
	t := reflect.TypeOf(of)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("BUG: conf: %T is not a struct", of))
	}
	return t
}

type checker struct {
	plans plans
	done  map[reflect.Type]bool
	errs  []error
}

func (c *checker) check(t reflect.Type) {
	if c.done[t] {
		return
	}
	c.done[t] = true
	p, err := c.plans.make(t)
	if err != nil {
		c.errs = append(c.errs, err)
		return
	}
	for _, f := range p.fields {
		if f.doc == "" {
			c.errs = append(c.errs, fmt.Errorf("%v: key %s has no doc", t, f.key))
		}
		if f.zeroOutside() {
			c.errs = append(c.errs, fmt.Errorf("%v: key %s is 0 when absent, which is out of its bounds: give a default", t, f.key))
		}
		if s := f.innermost(); s.kind == structKind {
			c.check(s.typ)
		}
	}
}

// checkVariables finds keys that one environment variable would set both of.
func (c *checker) checkVariables(t reflect.Type) {
	seen := map[string]bool{}
	for _, leaf := range c.plans.leaves(t, nil, nil) {
		if seen[leaf.name] {
			c.errs = append(c.errs, fmt.Errorf("%v: two keys are overridden by the same variable …%s", t, leaf.name))
		}
		seen[leaf.name] = true
	}
}

// defaultNode returns the node that a default tag stands for.
func defaultNode(s *spec, text string) (*node, error) {
	if s.kind.scalar() {
		return &node{text: text, raw: text, expanded: true}, nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 {
		return nil, fmt.Errorf("not a YAML value")
	}
	l := newLoader(Options{})
	c := &converter{loader: l, open: map[*yaml.Node]bool{}}
	n := c.convert(doc.Content[0], nil, 0)
	return n, l.errs.result()
}

// checkDefault decodes the default once, to see that it is of its type and within its bounds.
func (ps plans) checkDefault(f *field) error {
	if f.def == nil {
		return nil
	}
	d := &decoder{plans: ps, errs: &collector{}}
	if d.value(f.def, reflect.New(f.typ).Elem(), &f.spec, nil); len(d.errs.found) > 0 {
		return fmt.Errorf("default %q: %s", f.deft, d.errs.found[0].err.Msg)
	}
	return nil
}
