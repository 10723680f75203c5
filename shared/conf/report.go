package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/fault"
)

// maxErrors bounds what is kept of a file that is wrong all over.
const maxErrors = 1000

// Error is one thing wrong with a configuration.
type Error struct {
	File      string // as given to Load or Parse, or "env NAME"
	Line, Col int    // from 1, Col in characters; 0 where File is not a file
	Path      string // "pools.web.members[0].weight"; empty for the whole file
	Msg       string
	Hint      string // `did you mean "weight"?`
}

// Error returns `file:line:col: path: msg (hint)`.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(position{file: e.File, line: e.Line, col: e.Col}.String())
	b.WriteString(": ")
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Errors is everything that is wrong, in the order of the file. It is of class fault.Config.
type Errors []*Error

// Error returns one line per error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the class and the single errors to errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	out := []error{fault.Config}
	for _, err := range e {
		out = append(out, err)
	}
	return out
}

// position is a place in the sources.
type position struct {
	rank      int // of the source, in reading order
	file      string
	line, col int
}

// String returns file:line:col, or the file alone where there is no line.
func (p position) String() string {
	if p.line == 0 {
		return p.file
	}
	return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.col)
}

// unknown reports whether p is of a default.
func (p position) unknown() bool { return p.file == "" }

// path is a place in the tree, as a list from the leaf up; nil is the root.
type path struct {
	up   *path
	elem string // ".key" or "[0]"
}

func (p *path) key(k string) *path { return &path{up: p, elem: "." + pathKey(k)} }

func (p *path) index(i int) *path { return &path{up: p, elem: "[" + strconv.Itoa(i) + "]"} }

// String returns the dotted form.
func (p *path) String() string {
	var elems []string
	for ; p != nil; p = p.up {
		elems = append(elems, p.elem)
	}
	slices.Reverse(elems)
	return strings.TrimPrefix(strings.Join(elems, ""), ".")
}

// pathKey returns k as it stands in a path: quoted where it could be taken for something else.
func pathKey(k string) string {
	if k == "" || strings.ContainsFunc(k, func(c rune) bool {
		return c <= ' ' || c == 0x7f || strings.ContainsRune(`."[]:`, c)
	}) {
		return strconv.Quote(k)
	}
	return k
}

// collector gathers errors up to maxErrors.
type collector struct {
	found   []located
	dropped int
}

// located is an error with what sorts it.
type located struct {
	rank int
	err  *Error
}

// add records an error; hint may be empty.
func (c *collector) add(at position, p *path, msg, hint string) {
	if c.full() {
		c.dropped++
		return
	}
	c.found = append(c.found, located{at.rank, &Error{
		File: at.file, Line: at.line, Col: at.col, Path: p.String(), Msg: msg, Hint: hint,
	}})
}

// full reports whether further errors are only counted, so that no work need go into them.
func (c *collector) full() bool { return len(c.found) >= maxErrors }

// result returns what was found, sorted by position and each thing once, or nil.
func (c *collector) result() error {
	if len(c.found) == 0 {
		return nil
	}
	slices.SortStableFunc(c.found, func(a, b located) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.err.File, b.err.File),
			cmp.Compare(a.err.Line, b.err.Line), cmp.Compare(a.err.Col, b.err.Col))
	})
	var out Errors
	seen := make(map[Error]bool, len(c.found))
	for _, f := range c.found {
		// The Validate of an embedded struct is promoted to the outer one and then runs twice.
		if !seen[*f.err] {
			seen[*f.err] = true
			out = append(out, f.err)
		}
	}
	if c.dropped > 0 {
		last := *out[len(out)-1]
		last.Path, last.Hint = "", ""
		last.Msg = fmt.Sprintf("%d more errors are not shown", c.dropped)
		out = append(out, &last)
	}
	return out
}

// Report collects what Validate methods find.
type Report struct {
	errs *collector
	path *path
	node *node    // what was written there, nil where a default stands
	pos  position // of node, or of the nearest parent that was written
	off  bool
}

// Offline reports whether nothing but the configuration is to be looked at, not the files that it names.
func (r *Report) Offline() bool { return r.off }

// At returns the report for a child: a key (string) or an index (int) below the current path.
func (r *Report) At(elem any) *Report {
	switch e := elem.(type) {
	case string:
		return r.child(r.path.key(e), r.node.entry(e))
	case int:
		if n := r.node.item(e); n != nil && n == r.node {
			return r
		}
		return r.child(r.path.index(e), r.node.item(e))
	}
	if s, ok := elem.(fmt.Stringer); ok {
		return r.At(s.String())
	}
	return r.At(fmt.Sprint(elem))
}

func (r *Report) child(p *path, n *node) *Report {
	c := &Report{errs: r.errs, path: p, node: n, pos: r.pos, off: r.off}
	if n != nil {
		c.pos = n.where
	}
	return c
}

// Errorf records an error at the current path's position.
func (r *Report) Errorf(format string, args ...any) {
	r.errs.add(r.pos, r.path, fmt.Sprintf(format, args...), "")
}

// Hintf is Errorf with a hint on how to mend it.
func (r *Report) Hintf(hint, format string, args ...any) {
	r.errs.add(r.pos, r.path, fmt.Sprintf(format, args...), hint)
}

// Unknown records that name refers to nothing among known, with a suggestion. kind is the noun: "pool".
func (r *Report) Unknown(kind, name string, known []string) {
	if r.errs.full() {
		r.errs.dropped++
		return
	}
	r.errs.add(r.pos, r.path, fmt.Sprintf("unknown %s %q", kind, name), didYouMean(name, known))
}
