package rule

import "slices"

// Filter is conditions that stand by themselves, outside of a table. It does not change; any number of goroutines may use it.
type Filter struct {
	when conds
	not  []conds
}

// NewFilter compiles conditions: all of when, which may be nil, must hold, and none of not as a whole. What is thought of the client, and tags, are
// none of them, as nothing is known of these outside of a table. Where there are problems the filter is nil.
func NewFilter(when *Match, not []Match) (*Filter, []Problem) {
	c := &compiler{tags: map[string]int{}, alone: true}
	f := new(Filter)
	if when != nil {
		f.when = c.standing(when, "when")
	}
	for i := range not {
		f.not = append(f.not, c.standing(&not[i], "not", i))
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return f, nil
}

// standing is match without what is known within a table only.
func (c *compiler) standing(m *Match, at ...any) conds {
	before := len(c.problems)
	out := c.match(m, at)
	if len(m.DoS) > 0 {
		c.problemf(append(slices.Clone(at), "dos"), "has no meaning here")
	}
	if len(m.Tagged) > 0 {
		c.problemf(append(slices.Clone(at), "tagged"), "has no meaning here")
	}
	if out.empty() && len(c.problems) == before {
		c.problem(at, faultf("give host, path, method, …", "has no condition"))
	}
	return out
}

// Look has v look at a request, for Filters. One that is refused for its path has none.
func (v *Verdict) Look(req Request, f *Facts) {
	if v.s.begin(req, f) != OK {
		v.s.path = nil
	}
}

// Holds reports whether the conditions hold for the request that v looks at.
func (f *Filter) Holds(v *Verdict) bool {
	if failed, _ := f.when.fails(&v.s); failed != met {
		return false
	}
	for i := range f.not {
		if failed, _ := f.not[i].fails(&v.s); failed == met {
			return false
		}
	}
	return true
}
