package conf

import (
	"cmp"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Bounds of a document's shape.
const (
	maxDepth   = 64      // of nesting
	maxKey     = 256     // bytes of a key
	maxAliased = 100_000 // nodes that aliases may add
)

// loader turns sources into one tree and then into a value.
type loader struct {
	opts  Options
	errs  *collector
	plans plans
	exp   *expander

	overrides []override // taken from the environment
}

func newLoader(o Options) *loader {
	errs := &collector{}
	return &loader{opts: o, errs: errs, plans: plans{}, exp: newExpander(o, errs)}
}

// tree parses and merges the sources. It is not ok when one of them could not be parsed at all.
func (l *loader) tree(sources []Source) (*node, bool) {
	root := &node{kind: sectionNode, pos: position{line: 1, col: 1}}
	allOK := true
	for rank, src := range sources {
		src.Name = cmp.Or(src.Name, "configuration")
		if rank == 0 {
			root.pos.file = src.Name
			root.where = root.pos
		}
		doc, ok := l.parseYAML(src, rank)
		allOK = allOK && ok
		if !ok || doc == nil || len(doc.Content) == 0 {
			continue
		}
		c := &converter{loader: l, file: src.Name, rank: rank, open: map[*yaml.Node]bool{}}
		l.merge(root, c.convert(doc.Content[0], nil, 0), nil)
	}
	return root, allOK
}

// converter makes our nodes of one file's YAML nodes.
type converter struct {
	*loader
	file    string
	rank    int
	open    map[*yaml.Node]bool // aliases being followed
	aliased int                 // nodes made while following aliases
}

func (c *converter) at(y *yaml.Node) position {
	return position{rank: c.rank, file: c.file, line: y.Line, col: y.Column}
}

// refuse records an error and returns a node that the decoder passes over.
func (c *converter) refuse(y *yaml.Node, p *path, msg, hint string) *node {
	at := c.at(y)
	c.errs.add(at, p, msg, hint)
	return &node{pos: at, where: at, broken: true}
}

func (c *converter) convert(y *yaml.Node, p *path, depth int) *node {
	if depth > maxDepth {
		return c.refuse(y, p, fmt.Sprintf("is nested more than %d deep", maxDepth), "")
	}
	if len(c.open) > 0 {
		if c.aliased++; c.aliased > maxAliased {
			return c.tooManyAliases(y, p)
		}
	}
	if y.Style&yaml.TaggedStyle != 0 {
		return c.refuse(y, p, "YAML tags are not supported", "remove "+y.Tag+"; quote what is text")
	}
	switch y.Kind {
	case yaml.AliasNode:
		return c.alias(y, p, depth)
	case yaml.SequenceNode:
		return c.list(y, p, depth)
	case yaml.MappingNode:
		return c.section(y, p, depth)
	}
	return c.scalar(y, p)
}

// tooManyAliases reports the first time only: each further node is another one too many.
func (c *converter) tooManyAliases(y *yaml.Node, p *path) *node {
	if c.aliased == maxAliased+1 {
		return c.refuse(y, p, fmt.Sprintf("aliases expand to more than %d values", maxAliased), "")
	}
	return &node{pos: c.at(y), where: c.at(y), broken: true}
}

func (c *converter) alias(y *yaml.Node, p *path, depth int) *node {
	if y.Alias == nil || c.open[y.Alias] {
		return c.refuse(y, p, "the alias contains itself", "")
	}
	if c.aliased > maxAliased {
		return c.tooManyAliases(y, p)
	}
	c.open[y.Alias] = true
	n := c.convert(y.Alias, p, depth)
	delete(c.open, y.Alias)
	return n
}

func (c *converter) list(y *yaml.Node, p *path, depth int) *node {
	n := &node{kind: listNode, pos: c.at(y), where: c.at(y)}
	for i, child := range y.Content {
		n.items = append(n.items, c.convert(child, p.index(i), depth+1))
		if c.aliased > maxAliased {
			break
		}
	}
	return n
}

func (c *converter) section(y *yaml.Node, p *path, depth int) *node {
	n := &node{kind: sectionNode, pos: c.at(y), where: c.at(y)}
	for i := 0; i+1 < len(y.Content) && c.aliased <= maxAliased; i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if !c.checkKey(key, p) {
			n.broken, n.lacks = true, true
			continue
		}
		child := c.convert(value, p.key(key.Value), depth+1)
		if first, ok := n.byKey[key.Value]; ok {
			c.refuse(key, p.key(key.Value), fmt.Sprintf("the key is set twice: in line %d and again in line %d",
				n.entries[first].pos.line, key.Line), "")
			n.broken = true
			continue
		}
		n.set(key.Value, c.at(key), child)
	}
	return n
}

// checkKey reports whether key is a text that can be a key.
func (c *converter) checkKey(key *yaml.Node, p *path) bool {
	switch {
	case key.Kind != yaml.ScalarNode:
		c.refuse(key, p, "a key is not plain text", "")
	case key.Style&yaml.TaggedStyle != 0:
		c.refuse(key, p, "YAML tags are not supported", "remove "+key.Tag)
	case key.Value == "<<" && key.Tag == "!!merge":
		c.refuse(key, p, "YAML merge keys are not supported", "use an alias for the whole value, or write the keys out")
	case key.Value == "":
		c.refuse(key, p, "a key is empty", "")
	case len(key.Value) > maxKey:
		c.refuse(key, p, fmt.Sprintf("a key is longer than %d bytes", maxKey), "")
	default:
		return true
	}
	return false
}

func (c *converter) scalar(y *yaml.Node, p *path) *node {
	n := &node{pos: c.at(y), where: c.at(y), raw: y.Value, plain: y.Style == 0}
	n.null = n.plain && y.Tag == "!!null"
	var ok bool
	n.text, n.expanded, ok = c.exp.expand(y.Value, n.pos, p)
	n.broken = !ok
	return n
}

// merge adds a later file's tree to into.
func (l *loader) merge(into, n *node, p *path) {
	switch {
	case into.kind == sectionNode && n.kind == sectionNode:
		into.broken = into.broken || n.broken
		into.lacks = into.lacks || n.lacks
		for _, e := range n.entries {
			if i, ok := into.byKey[e.key]; ok {
				l.mergeEntry(&into.entries[i], e, p.key(e.key))
			} else {
				into.set(e.key, e.pos, e.val)
			}
		}
	case n.isNull() || n.broken || into.broken:
		into.broken = into.broken || n.broken
	case into.kind == listNode && n.kind == listNode:
		into.items = append(into.items, n.items...)
	case p == nil:
		l.errs.add(n.pos, p, "expected keys with values, found "+n.noun(false), "")
	case into.kind != n.kind:
		l.errs.add(n.where, p, fmt.Sprintf("is %s here, but %s at %v", n.shape(), into.shape(), into.where), "")
		into.broken = true
	default:
		l.errs.add(n.where, p, fmt.Sprintf("is set already at %v", into.where), "an overlay may add keys and list elements, not change a value")
		into.broken = true
	}
}

// mergeEntry merges a key that both files have; one without a value gives way.
func (l *loader) mergeEntry(into *entry, e entry, p *path) {
	if into.val.isNull() && !e.val.isNull() {
		into.val, into.pos = e.val, e.pos
		return
	}
	l.merge(into.val, e.val, p)
}

// shape says what kind of node n is.
func (n *node) shape() string {
	return [...]string{scalarNode: "a value", listNode: "a list", sectionNode: "a section"}[n.kind]
}
