package rule

import (
	"maps"
	"slices"
	"strings"
)

// compiled is a rule in the form that Decide uses.
type compiled struct {
	Rule      *Rule // as it was written, for Explain
	when      conds
	not       []conds
	kind      Kind // None: the next rules are looked at
	tags      uint64
	mayTag    uint64 // tags that limits set
	limits    []compiledLimit
	pool      int
	strip     bool
	path      template
	query     template
	host      template
	location  template
	stays     bool // the redirection is a path
	split     *split
	request   []edit
	response  []edit
	slots     []slot
	capturing []condRef
}

// Table is a compiled list of rules. It does not change; any number of goroutines may use it.
type Table struct {
	rules []compiled
	index index
	tags  []string
	pools []string

	limits []*Limit
}

// Rules returns the number of rules.
func (t *Table) Rules() int { return len(t.rules) }

// Tags returns the names of all tags, by number.
func (t *Table) Tags() []string { return t.tags }

// Compile makes a table of rules; pools and detectors are the names that they may refer to, of detectors no more than MaxDetectors. Where there
// are problems the table is nil. The rules must not change afterwards.
func Compile(rules []Rule, pools, detectors []string) (*Table, []Problem) {
	c := &compiler{tags: map[string]int{}, pools: pools, detectors: detectors}
	if len(rules) > MaxRules {
		c.problem(nil, faultf("", "%d rules, at most %d", len(rules), MaxRules))
		return nil, c.problems
	}
	t := &Table{rules: make([]compiled, len(rules)), pools: pools}
	for i := range rules {
		c.at = []any{i}
		c.names(rules, i)
		c.rule(&rules[i], &t.rules[i])
	}
	c.at = nil
	c.laterTags(rules)
	if len(c.problems) == 0 {
		c.reach(t.rules)
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	t.limits = c.limits
	t.tags = slices.SortedFunc(maps.Keys(c.tags), func(a, b string) int { return c.tags[a] - c.tags[b] })
	t.index = newIndex(t.rules)
	return t, nil
}

// Check returns what is wrong with a rule by itself, its place aside. Whether its pools and the tags it asks for exist is left to Compile.
func Check(r *Rule) []Problem {
	c := &compiler{tags: map[string]int{}, alone: true}
	c.rule(r, &compiled{})
	return c.problems
}

// compiler gathers problems.
type compiler struct {
	at        []any
	tags      map[string]int
	pools     []string
	detectors []string
	hosts     int
	alone     bool
	later     []laterTag
	limits    []*Limit // of all rules
	problems  []Problem
}

// laterTag is a tag asked for that no rule before sets.
type laterTag struct {
	at   []any
	name string
}

func (c *compiler) problem(at []any, f *fault) {
	if f != nil {
		c.problems = append(c.problems, Problem{At: c.place(at), Msg: f.msg, Hint: f.hint})
	}
}

func (c *compiler) place(at []any) []any { return append(slices.Clone(c.at), at...) }

func (c *compiler) problemf(at []any, format string, args ...any) {
	c.problem(at, faultf("", format, args...))
}

func (c *compiler) unknown(at []any, kind, name string, known []string) {
	c.problems = append(c.problems, Problem{At: c.place(at), Kind: kind, Name: name, Known: known})
}

// names finds a name that is taken.
func (c *compiler) names(rules []Rule, i int) {
	name := rules[i].Name
	if j := slices.IndexFunc(rules[:i], func(r Rule) bool { return r.Name == name }); name != "" && j >= 0 {
		c.problemf([]any{"name"}, "%q is the name of routes[%d] already", name, j)
	}
}

// rule compiles r into out.
func (c *compiler) rule(r *Rule, out *compiled) {
	out.Rule = r
	out.when = c.match(&r.Match, nil)
	for i := range r.Not {
		at := []any{"not", i}
		before := len(c.problems)
		n := c.match(&r.Not[i], at)
		if n.empty() && len(c.problems) == before {
			c.problem(at, faultf("give host, path, method, …", "has no condition"))
		}
		out.not = append(out.not, n)
	}
	p := c.parser(r, out)
	c.outcome(r, out, p)
	c.effects(r, out, p)
	c.limit(r, out, p)
	out.slots = p.slots
	for _, s := range p.slots {
		for _, from := range s.from {
			if ref := (condRef{from.on, from.name}); !slices.Contains(out.capturing, ref) {
				out.capturing = append(out.capturing, ref)
			}
		}
	}
	for i, name := range r.Tags {
		if n, ok := c.tag(name, []any{"tag", i}); ok {
			out.tags |= 1 << n
		}
	}
	if out.kind == None && len(r.Tags) == 0 && len(out.request) == 0 && len(out.response) == 0 && r.HSTS == "" && len(r.Limits) == 0 && r.Tarpit == 0 && !r.Plain {
		c.problem(nil, faultf("give pool, files, redirect, answer, deny, drop or split; or tag, headers, hsts, compress, limit or tarpit for the rules behind it", "does nothing"))
	}
}

// tag returns the number of a tag that is set.
func (c *compiler) tag(name string, at []any) (int, bool) {
	n, ok := c.tags[name]
	if !ok {
		if n = len(c.tags); n >= MaxTags {
			c.problemf(at, "more than %d tags", MaxTags)
			return 0, false
		}
		c.tags[name] = n
	}
	return n, true
}

// parser returns what the rule's templates may use.
func (c *compiler) parser(r *Rule, out *compiled) *parser {
	p := &parser{groups: map[string][]source{}, paths: len(r.Path)}
	w := &out.when
	add := func(ref condRef) {
		for by, pat := range w.patterns(ref) {
			if pat.op != matches {
				continue
			}
			for g, name := range pat.re.SubexpNames() {
				if name != "" {
					p.groups[name] = append(p.groups[name], source{ref.on, ref.name, by, g})
				}
				if ref.on == onPath && g <= 9 {
					digit := string(rune('0' + g))
					p.groups[digit] = append(p.groups[digit], source{ref.on, ref.name, by, g})
				}
			}
		}
	}
	for _, on := range []cond{onHost, onPath, onServerName, onTLSClient, onUserAgent} {
		add(condRef{on, 0})
	}
	for i := range w.headers {
		add(condRef{onHeader, i})
	}
	for i := range w.cookies {
		add(condRef{onCookie, i})
	}
	for i := range w.query {
		add(condRef{onQuery, i})
	}
	return p
}

// laterTags reports tags that are asked for and not set before.
func (c *compiler) laterTags(rules []Rule) {
	known := slices.Sorted(maps.Keys(c.tags))
	for _, l := range c.later {
		if j := slices.IndexFunc(rules, func(r Rule) bool { return r.sets(l.name) }); j >= 0 {
			c.problem(l.at, faultf("move it before this one", "routes[%d] sets the tag %q, too late", j, l.name))
			continue
		}
		c.unknown(l.at, "tag", l.name, known)
	}
}

// reach reports rules that no request comes to.
func (c *compiler) reach(rules []compiled) {
	for i := range rules {
		j := coveredBy(rules[:i], &rules[i])
		if j < 0 {
			continue
		}
		why := "takes all its requests"
		if rules[i].covers(&rules[j]) {
			why = "has the same host and path"
			if !rules[i].when.plain() || len(rules[i].not) > 0 {
				why = "has the same conditions"
			}
		}
		c.problemf([]any{i}, "is never reached: routes[%d] %s", j, why)
	}
}

// coveredBy returns the first of the rules before r that leaves nothing to it, -1 if there is none.
func coveredBy(before []compiled, r *compiled) int {
	first, between := -1, uint64(0) // tags that a request may have at r and not yet at the rule
	for j := len(before) - 1; j >= 0; j-- {
		b := &before[j]
		between |= b.tags | b.mayTag
		if b.kind != None && b.when.tagged&between == 0 && b.covers(r) {
			first = j
		}
	}
	return first
}

// lower returns s in lower case, for names of fields.
func lower(s string) string { return strings.ToLower(s) }
