package certs

import (
	"cmp"
	"crypto/tls"
	"slices"
	"time"
)

// Options of a Front.
type Options struct {
	Certificates []Source
	Default      string // name whose certificate is shown for others, as CheckName returns it; "": the first certificate's
	Strict       bool   // refuse names that there is no certificate for
	Policy       Policy
	Clients      *Clients // nil: they are not asked for certificates
	Tickets      Tickets
	Expiry       []time.Duration // how long before a certificate's end that is told, longest first
}

// state is all that a front knows of its files at a time. It does not change once the front has it, but for the marks of what was told.
type state struct {
	o       Options
	entries []*entry
	trust   *trust
	dirs    map[string]bool // see expansion
	general []Problem
	now     *snapshot
}

// prepare returns the state for options, from old where there is one. force takes out what is gone from directories at once.
func prepare(name string, keys Deriver, old *state, o Options, now time.Time, force bool) *state {
	s := &state{o: o}
	var had state
	if old != nil {
		had = *old
	}
	x := expand(o.Certificates, had.dirs)
	s.dirs, s.general = x.dirs, x.problems
	s.entries = refreshAll(had.entries, x, now, force)
	s.trust = refreshTrust(had.trust, o.Clients, now)
	if o.Default != "" && !slices.ContainsFunc(s.entries, func(e *entry) bool { return e.serves(o.Default) }) {
		s.general = append(s.general, Problem{At: []any{"default"}, Msg: "no certificate is for " + o.Default})
	}
	if !slices.ContainsFunc(s.entries, func(e *entry) bool { return e.pair != nil || len(broken(slices.Clone(e.problems))) > 0 }) {
		s.general = append(s.general, Problem{At: []any{"certificates"}, Msg: "there is none that can be used"})
	}
	if old != nil && !force && s.sameAs(old) {
		s.now = old.now
		s.now.renew(keys, now)
		return s
	}
	s.now = s.snapshot(name, keys, now)
	return s
}

// refreshAll returns what becomes of entries.
func refreshAll(had []*entry, x *expansion, now time.Time, force bool) []*entry {
	byID := make(map[string]*entry, len(had))
	for _, e := range had {
		byID[e.id()] = e
	}
	out := make([]*entry, 0, len(x.units))
	for i := range x.units {
		u := &x.units[i]
		id := u.id()
		e := refresh(byID[id], u, now)
		if e.at != u.at || e.dir != u.dir { // it stands elsewhere now
			moved := *e
			moved.unit = *u
			e = &moved
		}
		out = append(out, e)
		delete(byID, id)
	}
	for _, e := range had {
		if byID[e.id()] == nil || e.pair == nil {
			continue
		}
		if e = e.missed(x, now, force); e != nil {
			out = append(out, e)
		}
	}
	return out
}

// missed returns what becomes of an entry that nothing stands for any more, nil if it goes: it is given the time that replacing a file takes.
func (e *entry) missed(x *expansion, now time.Time, force bool) *entry {
	readable, known := x.dirs[e.dir]
	switch {
	case e.dir == "" || !known:
		return nil // the configuration names it no longer
	case !readable:
		return e
	case e.gone.IsZero():
		m := *e
		m.gone = now
		e = &m
	}
	if force || now.Sub(e.gone) >= settle {
		return nil
	}
	return e
}

// serves reports whether the entry has a certificate for a name.
func (e *entry) serves(name string) bool {
	return e.pair != nil && slices.ContainsFunc(e.pair.names, func(n string) bool { return covers(n, name) })
}

// sameAs reports whether a handshake sees no difference.
func (s *state) sameAs(old *state) bool {
	return slices.EqualFunc(s.entries, old.entries, func(a, b *entry) bool { return a.pair == b.pair && a.stapled == b.stapled }) &&
		s.auth() == old.auth()
}

func (s *state) auth() *authorities {
	if s.trust == nil {
		return nil
	}
	return s.trust.auth
}

// problems returns all that is wrong.
func (s *state) problems() []Problem {
	out := slices.Clone(s.general)
	for _, e := range s.entries {
		out = append(out, e.problems...)
	}
	if s.trust != nil {
		out = append(out, s.trust.problems...)
	}
	return out
}

// shown is a certificate as handshakes see it.
type shown struct {
	cert  *tls.Certificate
	class int
	until time.Time
}

// before orders certificates for one name.
func (c *shown) before(o *shown) int {
	return cmp.Or(cmp.Compare(c.class, o.class), o.until.Compare(c.until))
}

// snapshot makes what handshakes see.
func (s *state) snapshot(name string, keys Deriver, now time.Time) *snapshot {
	out := &snapshot{strict: s.o.Strict, tickets: s.o.Tickets, scope: name}
	var first *pair
	for _, e := range s.entries {
		if e.pair == nil {
			continue
		}
		c := &shown{cert: e.pair.certificate(now), class: e.pair.class(), until: e.pair.leaf.NotAfter}
		if first == nil {
			first = e.pair
			out.fallback = []*shown{c}
		}
		for _, n := range e.pair.names {
			out.names.add(n, c)
		}
	}
	for _, list := range out.names.exact {
		slices.SortStableFunc(list, (*shown).before)
	}
	for _, list := range out.names.wild {
		slices.SortStableFunc(list, (*shown).before)
	}
	if first != nil {
		if found := out.names.find(cmp.Or(s.o.Default, first.label(""))); found != nil {
			out.fallback = found
		}
	}
	out.configure(s.o, s.auth())
	out.renew(keys, now)
	return out
}
