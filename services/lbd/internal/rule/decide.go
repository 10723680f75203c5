package rule

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Op is what an Edit does.
type Op uint8

// The operations.
const (
	Remove Op = iota // all fields of the name
	Set              // one field in place of all of the name
	Add              // a field beside those of the name
)

// Edit is a change of a header. Of edits of the same name only those are left that count: the fields that came go if one is Remove or
// Set, then the values of Set and Add follow in order.
type Edit struct {
	Op    Op
	Name  string
	Value []byte
	lower string
}

// Drops reports whether edits remove the fields of a name that came.
func Drops(edits []Edit, name []byte) bool {
	for i := range edits {
		if edits[i].Op != Add && http1.Equal(name, edits[i].lower) {
			return true
		}
	}
	return false
}

// Verdict is what becomes of a request. It is used again and again and keeps its memory; what it holds is good until the next
// Decide, and as long as the request's own bytes.
type Verdict struct {
	Kind    Kind
	Rule    int    // the one that decided, -1 if none did
	Name    string // its name
	Refusal Refusal

	Pool      string
	PoolAt    int    // its place among the pools given to Compile
	Target    []byte // Forward and Serve: path and query in place of those that came; nil: as they came
	Host      []byte // Forward: in place of the Host that came; nil: as it came
	SetCookie []byte // of a split, for the answer; nil: none

	Files    *Files
	Path     []byte // Serve: what is asked for below the root, decoded; begins with "/" and has no dot segments
	Status   int    // Send, Fixed and Limited
	Location []byte // Send
	Answer   *Answer

	Request  []Edit // Forward
	Response []Edit // all
	Plain    bool   // the answer is not compressed

	Delay time.Duration // how long the request is to wait before anything else becomes of it
	Limit int           // Limited, and Dropped by a limit: which of Table.Limits; else -1
	Wait  time.Duration // Limited: until the next request may pass

	s   state
	x   expander
	buf []byte

	told   Grant // of the limit that has least left, of those that tell
	teller *Limit
}

// Maintainable reports whether maintenance may stand in for what was decided: what is refused anyhow stays so.
func (v *Verdict) Maintainable() bool {
	return v.Kind != Refused && v.Kind != Denied && v.Kind != Dropped
}

// Tags returns the tags that rules have set, by number.
func (v *Verdict) Tags() uint64 { return v.s.tags }

// keep bounds what memory a Verdict keeps from one request to the next.
const keep = 64 << 10

func (v *Verdict) reset() {
	s, x, buf := v.s, v.x, v.buf[:0]
	if cap(buf) > keep {
		buf = nil
	}
	if cap(s.scratch) > keep {
		s.scratch = nil
	}
	*v = Verdict{Rule: -1, PoolAt: -1, Limit: -1, Request: v.Request[:0], Response: v.Response[:0], s: s, x: x, buf: buf}
	v.x.s = &v.s
}

func (v *Verdict) refuse(why Refusal) { v.Kind, v.Refusal, v.Target, v.Host = Refused, why, nil, nil }

// Decide fills v for a request.
func (t *Table) Decide(req Request, f *Facts, v *Verdict) {
	v.reset()
	if why := v.s.begin(req, f); why != OK {
		v.refuse(why)
		return
	}
	if !v.s.hasPath() {
		return
	}
	var c cursor
	t.index.candidates(v.s.host, v.s.path, &c)
	for i := c.next(); i >= 0; i = c.next() {
		r := &t.rules[i]
		if failed, _ := r.fails(&v.s); failed == met && t.apply(r, i, v) {
			break
		}
	}
	v.tell()
}

// hasPath reports whether there is a path for rules to look at: OPTIONS * and CONNECT have none.
func (s *state) hasPath() bool { return len(s.path) > 0 && s.path[0] == '/' }

// fails is conds.fails, with those that must not hold.
func (r *compiled) fails(s *state) (cond, int) {
	if failed, i := r.when.fails(s); failed != met {
		return failed, i
	}
	for i := range r.not {
		if failed, _ := r.not[i].fails(s); failed == met {
			return onNot, i
		}
	}
	return met, 0
}

// apply does what a rule says that matched, and reports whether that decides.
func (t *Table) apply(r *compiled, i int, v *Verdict) bool {
	mark := len(v.s.scratch)
	if len(r.slots) > 0 {
		v.x.capture(r)
	}
	v.s.tags |= r.tags
	v.Plain = v.Plain || r.Rule.Plain
	why := v.edit(&v.Request, r.request)
	if why == OK {
		why = v.edit(&v.Response, r.response)
	}
	if hsts := r.Rule.HSTS; hsts != "" && v.s.facts.Secure {
		v.buf = append(v.buf, hsts...)
		value := v.buf[len(v.buf)-len(hsts) : len(v.buf) : len(v.buf)]
		v.Response = change(v.Response, Edit{Set, "Strict-Transport-Security", value, "strict-transport-security"})
	}
	over := false
	if why == OK {
		over, why = v.count(r)
	}
	if why == OK && !over {
		v.Delay = max(v.Delay, r.Rule.Tarpit)
		why = t.outcome(r, v)
	}
	v.s.scratch = v.s.scratch[:mark]
	if why != OK {
		v.Rule, v.Name = i, r.Rule.Name
		v.refuse(why)
		return true
	}
	switch {
	case over:
		v.Rule, v.Name = i, r.Rule.Name
		return true
	case r.kind == None:
		return false
	}
	v.Kind, v.Rule, v.Name = r.kind, i, r.Rule.Name
	return true
}

// outcome fills in what the rule's kind needs.
func (t *Table) outcome(r *compiled, v *Verdict) Refusal {
	switch r.kind {
	case Forward:
		if why := v.host(r); why != OK {
			return why
		}
		if why := v.choose(t, r); why != OK {
			return why
		}
		return v.target(r)
	case Serve:
		v.Files = r.Rule.Files
		if why := v.target(r); why != OK {
			return why
		}
		return v.below()
	case Send:
		v.Status = r.Rule.Redirect.Status
		return v.redirect(r)
	case Fixed:
		v.Answer, v.Status = r.Rule.Answer, r.Rule.Answer.Status
	case Denied:
		v.Status = 403
	}
	return OK
}

// choose finds the pool.
func (v *Verdict) choose(t *Table, r *compiled) Refusal {
	if r.split == nil {
		v.Pool, v.PoolAt = r.Rule.Pool, r.pool
		return OK
	}
	part, told, why := r.split.choose(v)
	if why != OK {
		return why
	}
	v.Pool, v.PoolAt = r.split.names[part], r.split.pools[part]
	if r.split.cookie != "" && !told {
		begin := len(v.buf)
		v.buf = append(append(append(v.buf, r.split.cookie...), '='), v.Pool...)
		v.buf = append(v.buf, "; Path=/; HttpOnly; SameSite=Lax"...)
		if v.s.facts.Secure {
			v.buf = append(v.buf, "; Secure"...)
		}
		v.SetCookie = v.buf[begin:len(v.buf):len(v.buf)]
	}
	return OK
}

// target makes the path and query that are forwarded, where they change.
func (v *Verdict) target(r *compiled) Refusal {
	w := &r.Rule.Rewrite
	by := -1
	if r.strip {
		by = firstMatch(r.when.paths, v.s.path)
	}
	if by < 0 && r.path == nil && r.query == nil && !w.DropQuery {
		return OK
	}
	begin, why := len(v.buf), OK
	v.x.location = false
	switch {
	case r.path != nil:
		v.buf, why = v.x.expand(v.buf, r.path, maxTarget)
	case by >= 0:
		v.buf = stripPrefix(v.s.req.Path(), r.when.paths[by].text, v.buf)
	default:
		v.buf = v.x.sentPath(v.buf)
	}
	if why != OK {
		return why
	}
	if r.path != nil && !v.s.sound(v.buf[begin:]) {
		return BadRewrite
	}
	mark := len(v.buf)
	v.buf = append(v.buf, '?')
	switch {
	case r.query != nil:
		v.buf, why = v.x.expand(v.buf, r.query, maxTarget)
		query := trimAmpersands(v.buf[mark+1:])
		v.buf = v.buf[:mark+1+copy(v.buf[mark+1:], query)]
		if len(query) == 0 {
			v.buf = v.buf[:mark]
		}
	case w.DropQuery || v.s.req.Query() == nil:
		v.buf = v.buf[:mark]
	default:
		v.buf = v.x.sentQuery(v.buf)
	}
	v.Target = oneSlash(v.buf[begin:len(v.buf):len(v.buf)])
	if why == OK && len(v.Target) > maxTarget {
		return TooLong
	}
	return why
}

// sound reports whether what a rule has made is a path that rules would look at.
func (s *state) sound(path []byte) bool {
	mark := len(s.scratch)
	_, grown, why := normalize(path, s.scratch)
	s.scratch = grown[:mark]
	return why == OK && len(path) > 0 && path[0] == '/'
}

// below finds what is asked for of a directory.
func (v *Verdict) below() Refusal {
	v.Path = v.s.path
	if v.Target == nil {
		return OK
	}
	path := v.Target
	for i, c := range path {
		if c == '?' {
			path = path[:i]
			break
		}
	}
	var why Refusal
	begin := len(v.buf)
	_, v.buf, why = normalize(path, v.buf)
	if v.Path = v.buf[begin:len(v.buf):len(v.buf)]; len(v.Path) == 0 {
		v.Path = path[:len(path):len(path)]
	}
	return why
}

// host makes the host that is forwarded, where it changes.
func (v *Verdict) host(r *compiled) (why Refusal) {
	if r.host == nil {
		return OK
	}
	begin := len(v.buf)
	v.buf, why = v.x.expand(v.buf, r.host, maxHost+6)
	v.Host = v.buf[begin:len(v.buf):len(v.buf)]
	return why
}

// redirect makes the location.
func (v *Verdict) redirect(r *compiled) (why Refusal) {
	begin := len(v.buf)
	v.x.location = true
	v.buf, why = v.x.expand(v.buf, r.location, maxTarget)
	v.x.location = false
	v.Location = v.buf[begin:len(v.buf):len(v.buf)]
	if r.stays {
		v.Location = oneSlash(v.Location)
	}
	return why
}

// edit adds a rule's changes of headers to list.
func (v *Verdict) edit(list *[]Edit, edits []edit) Refusal {
	for i := range edits {
		e := &edits[i]
		begin, why := len(v.buf), OK
		v.buf, why = v.x.expand(v.buf, e.value, maxValue)
		if why != OK {
			return why
		}
		*list = change(*list, Edit{e.op, e.name, v.buf[begin:len(v.buf):len(v.buf)], e.lower})
	}
	return OK
}

// change adds e to edits, and takes out those of its name that it undoes. A Remove stays what it is when an Add follows.
func change(edits []Edit, e Edit) []Edit {
	if e.Op != Add {
		kept := edits[:0]
		for _, old := range edits {
			if old.lower != e.lower {
				kept = append(kept, old)
			}
		}
		edits = kept
	}
	return append(edits, e)
}
