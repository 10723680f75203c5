package rule

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Bounds of what a rule does.
const (
	maxEdits = 64
	maxBody  = 64 << 10 // of a fixed answer
	maxParts = 64
)

// outcome compiles what becomes of a request.
func (c *compiler) outcome(r *Rule, out *compiled, p *parser) {
	var given []string
	is := func(name string, there bool, k Kind) {
		if there {
			given, out.kind = append(given, name), k
		}
	}
	is("pool", r.Pool != "", Forward)
	is("split", r.Split != nil, Forward)
	is("files", r.Files != nil, Serve)
	is("redirect", r.Redirect != nil, Send)
	is("answer", r.Answer != nil, Fixed)
	is("deny", r.Deny, Denied)
	is("drop", r.Drop, Dropped)
	if len(given) > 1 {
		c.problemf([]any{given[1]}, "%s and %s exclude each other", given[0], given[1])
	}
	c.target(r, out, p)
	switch {
	case r.Pool != "":
		out.pool = c.poolNumber(r.Pool, []any{"pool"})
	case r.Split != nil:
		out.split = c.split(r.Split, p)
	case r.Files != nil:
		c.files(r.Files)
	case r.Redirect != nil:
		c.redirect(r.Redirect, out, p)
	case r.Answer != nil:
		c.answer(r.Answer)
	}
}

// poolNumber returns a pool's place among all.
func (c *compiler) poolNumber(name string, at []any) int {
	i := slices.Index(c.pools, name)
	if i < 0 && !c.alone {
		c.unknown(at, "pool", name, c.pools)
	}
	return i
}

// target compiles what path, query and host are rewritten to.
func (c *compiler) target(r *Rule, out *compiled, p *parser) {
	w := &r.Rewrite
	rewrites := *w != Rewrite{}
	if (rewrites || r.Strip) && out.kind != Forward && out.kind != Serve {
		what := "rewrite"
		if r.Strip {
			what = "strip_prefix"
		}
		c.problem([]any{what}, faultf("give a pool or files", "has no meaning here"))
	}
	if w.Host != "" && out.kind == Serve {
		c.problemf([]any{"rewrite", "host"}, "files have no host")
	}
	out.strip = r.Strip
	for i := range out.when.paths {
		if r.Strip && out.when.paths[i].op != below {
			c.problem([]any{"strip_prefix"}, faultf("use rewrite", "path[%d] is no beginning that can be taken off", i))
		}
	}
	if r.Strip && w.Path != "" {
		c.problemf([]any{"strip_prefix"}, "rewrite.path makes the whole path")
	}
	if w.DropQuery && w.Query != "" {
		c.problemf([]any{"rewrite", "drop_query"}, "rewrite.query makes the query")
	}
	read := func(s, key string, parse func(string) (template, *fault)) template {
		if s == "" {
			return nil
		}
		t, bad := parse(s)
		c.problem([]any{"rewrite", key}, bad)
		return t
	}
	out.path = read(w.Path, "path", p.parsePath)
	out.query = read(w.Query, "query", p.parseQuery)
	out.host = read(w.Host, "host", p.parseHost)
}

func (c *compiler) files(f *Files) {
	if !filepath.IsAbs(f.Root) || filepath.Clean(f.Root) != f.Root {
		c.problem([]any{"files", "root"}, faultf("write it like /var/www/images", "%q is no clean absolute path", f.Root))
	}
	for i, name := range f.Index {
		if name == "" || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
			c.problemf([]any{"files", "index", i}, "%q is no file name", name)
		}
	}
}

func (c *compiler) redirect(d *Redirect, out *compiled, p *parser) {
	if !slices.Contains([]int{301, 302, 303, 307, 308}, d.Status) {
		c.problem([]any{"redirect", "status"}, faultf("301, 302, 303, 307 or 308", "%d is no redirection", d.Status))
	}
	t, bad := p.parseURL(d.To)
	c.problem([]any{"redirect", "to"}, bad)
	out.location, out.stays = t, startsAtPath(t)
}

func (c *compiler) answer(a *Answer) {
	if a.Status < 200 || a.Status > 599 {
		c.problemf([]any{"answer", "status"}, "%d is no final status", a.Status)
	}
	if len(a.Body) > maxBody {
		c.problemf([]any{"answer", "body"}, "has %d bytes, more than %d", len(a.Body), maxBody)
	}
	if a.Body != "" && (a.Status == 204 || a.Status == 304) {
		c.problemf([]any{"answer", "body"}, "a %d has no body", a.Status)
	}
	if !isValue(a.Type) {
		c.problemf([]any{"answer", "type"}, "has a control character")
	}
}

func isValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// effects compiles header edits.
func (c *compiler) effects(r *Rule, out *compiled, p *parser) {
	out.request = c.edits(&r.RequestHeaders, "request_headers", p)
	out.response = c.edits(&r.ResponseHeaders, "response_headers", p)
	if len(out.request)+len(out.response) > maxEdits {
		c.problemf(nil, "changes %d headers, more than %d", len(out.request)+len(out.response), maxEdits)
	}
	if !isValue(r.HSTS) {
		c.problemf([]any{"hsts"}, "has a control character")
	}
}

// edit is a change of a header, its value a template.
type edit struct {
	op    Op
	name  string
	lower string
	value template
}

func (c *compiler) edits(e *Edits, key string, p *parser) (out []edit) {
	name := func(name string, at ...any) {
		at = append([]any{key}, at...)
		switch {
		case !http1.IsToken(name):
			c.problemf(at, "%q is no header's name", name)
		case framing(name):
			c.problemf(at, "%s is lbd's own", name)
		case lower(name) == "host":
			c.problem(at, faultf("use rewrite.host", "Host is not changed as a header"))
		}
	}
	for i, n := range e.Remove {
		name(n, "remove", i)
		out = append(out, edit{op: Remove, name: n, lower: lower(n)})
	}
	some := func(op Op, sub string, m map[string]string) {
		for _, n := range slices.Sorted(maps.Keys(m)) {
			name(n, sub, n)
			t, bad := p.parse(m[n], inValue)
			c.problem([]any{key, sub, n}, bad)
			out = append(out, edit{op, n, lower(n), t})
		}
	}
	some(Set, "set", e.Set)
	some(Add, "add", e.Add)
	return out
}

// framing reports whether a field says how messages are framed or connections kept, which rules do not change.
func framing(name string) bool {
	switch id := http1.Lookup([]byte(name)); id {
	case http1.ContentLength, http1.Expect, http1.Trailer:
		return true
	default:
		return id.HopByHop() && id != http1.ProxyAuthenticate && id != http1.ProxyAuthorization
	}
}
