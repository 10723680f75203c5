package rule

import (
	"maps"
	"slices"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// match compiles conditions; at is their place in the rule.
func (c *compiler) match(m *Match, at []any) (out conds) {
	sub := func(elems ...any) []any { return append(slices.Clone(at), elems...) }
	out.hosts = c.patterns(m.Host, sub("host"), hostPattern)
	out.paths = c.patterns(m.Path, sub("path"), pathPattern)
	if !slices.ContainsFunc(out.paths, func(p pattern) bool { return p.op == matches }) &&
		slices.ContainsFunc(out.paths, func(p pattern) bool { return p.op == below && p.text == "/" }) {
		out.paths = nil // every path begins with /
	}
	out.servers = c.patterns(m.ServerName, sub("tls_name"), hostPattern)
	out.clients = c.patterns(m.TLSClient, sub("tls_client"), textPattern)
	out.agents = c.patterns(m.UserAgent, sub("user_agent"), agentPattern)
	out.headers = c.named(m.Header, sub("header"), lower)
	out.cookies = c.named(m.Cookie, sub("cookie"), same)
	out.query = c.named(m.Query, sub("query"), same)
	for i, s := range m.Method {
		if !http1.IsToken(s) {
			c.problemf(sub("method", i), "%q is no method", s)
		} else if lower(s) == s {
			c.problem(sub("method", i), faultf("methods are written in capitals", "%q is no method that is in use", s))
		}
	}
	out.methods = m.Method
	out.schemes = uint8(c.choices(m.Scheme, sub("scheme"), "scheme", []string{"http", "https"}))
	out.dos = c.doS(m.DoS, sub("dos"))
	c.count(len(m.From), sub("from"))
	out.from = newRanges(m.From)
	c.tagged(m.Tagged, sub("tagged"), &out)
	c.hosts += len(m.Host)
	if c.hosts > maxHosts {
		c.problemf(sub("host"), "more than %d hosts in all", maxHosts)
		c.hosts = 0
	}
	return out
}

func same(s string) string { return s }

func (c *compiler) count(n int, at []any) {
	if n > maxValues {
		c.problemf(at, "has %d values, more than %d", n, maxValues)
	}
}

// patterns compiles the values of a condition.
func (c *compiler) patterns(values []string, at []any, read func(string) (pattern, *fault)) []pattern {
	c.count(len(values), at)
	var out []pattern
	for i, s := range values {
		p, bad := read(s)
		if bad != nil {
			c.problem(append(slices.Clone(at), i), bad)
			continue
		}
		out = append(out, p)
	}
	return out
}

// named compiles conditions on named values, in the order of their names.
func (c *compiler) named(m map[string][]string, at []any, key func(string) string) []named {
	c.count(len(m), at)
	var out []named
	for _, name := range slices.Sorted(maps.Keys(m)) {
		place := append(slices.Clone(at), name)
		if name == "" || at[len(at)-1] != "query" && !http1.IsToken(name) {
			c.problemf(place, "%q is no name", name)
		}
		if slices.ContainsFunc(out, func(n named) bool { return n.name == key(name) }) {
			c.problemf(place, "is there in another letter case")
		}
		if len(m[name]) == 0 {
			c.problem(place, faultf(`"*" stands for any value`, "has no value"))
		}
		out = append(out, named{key(name), c.patterns(m[name], place, textPattern)})
	}
	return out
}

// choices returns a bit for each of the words.
func (c *compiler) choices(words []string, at []any, kind string, known []string) (bits uint64) {
	for i, w := range words {
		n := slices.Index(known, w)
		if n < 0 {
			c.unknown(append(slices.Clone(at), i), kind, w, known)
			continue
		}
		bits |= 1 << n
	}
	return bits
}

// tagged compiles the condition on tags, of which earlier rules have set some.
func (c *compiler) tagged(names []string, at []any, out *conds) {
	out.hasTagged = len(names) > 0
	for i, name := range names {
		place := append(slices.Clone(at), i)
		if n, ok := c.tags[name]; ok {
			out.tagged |= 1 << n
		} else if !c.alone {
			c.later = append(c.later, laterTag{c.place(place), name})
		}
	}
}

// empty reports whether there is no condition.
func (c *conds) empty() bool {
	return c.plain() && len(c.hosts)+len(c.paths) == 0
}

// plain reports whether there are conditions on host and path only.
func (c *conds) plain() bool {
	return len(c.methods)+len(c.servers)+len(c.clients)+len(c.agents)+len(c.headers)+len(c.cookies)+len(c.query)+len(c.from)+len(c.dos) == 0 &&
		c.schemes == 0 && !c.hasTagged
}
