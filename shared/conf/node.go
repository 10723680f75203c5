package conf

import (
	"strconv"
	"strings"
)

// nodeKind is the shape of a node.
type nodeKind uint8

const (
	scalarNode nodeKind = iota
	listNode
	sectionNode
)

// node is a part of what was written: our own tree, freed of YAML's tags, anchors and styles, expanded, and
// merged over all files. A nil node stands for what was not written; its methods say so.
type node struct {
	kind   nodeKind
	pos    position // of the value
	where  position // to blame: the value's, or its key's where the value begins on a later line
	broken bool     // an error about it is recorded already
	lacks  bool     // a section whose keys could not all be read: what is missing may be among them

	text     string // of a scalar, expanded
	raw      string // of a scalar, as written
	plain    bool   // written without quotes
	null     bool   // plain and empty, ~ or null
	expanded bool   // text is not what was written, and must not be shown

	items   []*node
	entries []entry
	byKey   map[string]int // into entries
}

// entry is one key of a section.
type entry struct {
	key string
	pos position // of the key
	val *node
}

// entry returns the value of a key, or nil.
func (n *node) entry(key string) *node {
	if n == nil || n.kind != sectionNode {
		return nil
	}
	if i, ok := n.byKey[key]; ok {
		return n.entries[i].val
	}
	return nil
}

// item returns the element with the index, or nil. What stands without its list is the element 0.
func (n *node) item(i int) *node {
	if n != nil && n.kind != listNode && i == 0 && !n.isNull() {
		return n
	}
	if n == nil || n.kind != listNode || i < 0 || i >= len(n.items) {
		return nil
	}
	return n.items[i]
}

// set adds a key that is not there yet.
func (n *node) set(key string, pos position, val *node) {
	if n.byKey == nil {
		n.byKey = make(map[string]int)
	}
	n.byKey[key] = len(n.entries)
	n.entries = append(n.entries, entry{key, pos, val})
	val.where = val.pos
	if pos.line != val.pos.line {
		val.where = pos
	}
}

// widen makes a section with one key of a text that stands for it.
func (n *node) widen(key string) {
	if n.kind == scalarNode && !n.null {
		n.wrap(key)
	}
}

// wrap makes a section of what stands for the value of its one key.
func (n *node) wrap(key string) {
	value := *n
	*n = node{kind: sectionNode, pos: n.pos, where: n.where}
	n.set(key, n.pos, &value)
}

// isNull reports whether n is a key without a value.
func (n *node) isNull() bool { return n.kind == scalarNode && n.null }

// shown returns the scalar as it may stand in a message: as it was written, shortened.
func (n *node) shown() string {
	s := n.raw
	if runes := []rune(s); len(runes) > 60 {
		s = string(runes[:57]) + "..."
	}
	return strconv.Quote(s)
}

// noun says what n is, without its content where that may be secret.
func (n *node) noun(secret bool) string {
	switch {
	case n.kind == listNode:
		return "a list"
	case n.kind == sectionNode:
		return "a section"
	case n.null:
		return "nothing"
	case n.expanded:
		return n.subject()
	case n.plain && looksNumeric(n.text):
		return "the number" + n.unlessSecret(secret)
	case n.plain && isBoolWord(n.text):
		return "the boolean" + n.unlessSecret(secret)
	case secret:
		return "text"
	}
	return "the text " + n.shown()
}

func (n *node) unlessSecret(secret bool) string {
	if secret {
		return " that is written here"
	}
	return " " + strings.Trim(n.shown(), `"`)
}

// subject returns what a message about the scalar's content begins with.
func (n *node) subject() string {
	switch {
	case !n.expanded:
		return n.shown()
	case n.raw == "":
		return "the value"
	}
	return "the value of " + n.shown()
}

// isBoolWord reports whether some YAML reader takes plain s for a boolean.
func isBoolWord(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off":
		return true
	}
	return false
}

// origin finds the node at a printed path and returns its position.
func (n *node) origin(rest string) (position, bool) {
	if rest == "" {
		return n.pos, true
	}
	if n.kind == listNode {
		digits, after, ok := strings.Cut(strings.TrimPrefix(rest, "["), "]")
		i, err := strconv.Atoi(digits)
		if !ok || err != nil || n.item(i) == nil {
			return position{}, false
		}
		return n.items[i].origin(strings.TrimPrefix(after, "."))
	}
	if after, ok := strings.CutPrefix(rest, "[0]"); ok {
		return n.origin(strings.TrimPrefix(after, "."))
	}
	for _, e := range n.entries {
		after, ok := strings.CutPrefix(rest, pathKey(e.key))
		if ok && (after == "" || after[0] == '[' || after[0] == '.') {
			if pos, ok := e.val.origin(strings.TrimPrefix(after, ".")); ok {
				return pos, true
			}
		}
	}
	return position{}, false
}
