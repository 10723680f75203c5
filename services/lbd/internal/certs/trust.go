package certs

import (
	"slices"
	"time"
)

// trust is what clients' certificates are checked by, with the files that it is of.
type trust struct {
	of       Clients
	stamps   []stamp
	settled  bool
	sum      [32]byte
	auth     *authorities // in force
	problems []Problem
	since    time.Time
	told     bool
}

// refreshTrust returns what becomes of t, which is t itself if nothing has changed. Without c clients are not asked.
func refreshTrust(t *trust, c *Clients, now time.Time) *trust {
	if c == nil {
		return nil
	}
	stamps := []stamp{stampOf(c.CA), stampOf(c.CRL)}
	if t != nil && t.of == *c && t.settled && slices.Equal(t.stamps, stamps) && !t.turned(now) {
		return t
	}
	next := &trust{of: *c, stamps: stamps, settled: stamps[0].settled(now) && stamps[1].settled(now)}
	auth, sum, problem := c.load()
	next.auth, next.sum = auth, sum
	if problem != nil {
		next.problems = append(next.problems, *problem)
	}
	if t != nil {
		next.keep(t)
	}
	if next.auth == nil {
		next.settled = false
	}
	next.checkStale(now)
	if len(next.problems) > 0 && next.since.IsZero() {
		next.since = now
	}
	return next
}

// keep takes over what lasts.
func (t *trust) keep(old *trust) {
	same := old.of.CA == t.of.CA && old.of.CRL == t.of.CRL
	if same && (t.auth == nil || t.sum == old.sum) {
		t.auth, t.sum = old.auth, old.sum
	}
	if slices.EqualFunc(t.problems, old.problems, Problem.same) {
		t.since, t.told = old.since, old.told
	}
}

// staleNote is told of a list that should have been renewed. It stays in force: what it takes back stays so.
const staleNote = "should have been renewed by "

// turned reports whether the list has grown stale since it was read.
func (t *trust) turned(now time.Time) bool {
	return t.auth != nil && !t.auth.stale.IsZero() && now.After(t.auth.stale) && !slices.ContainsFunc(t.problems, func(p Problem) bool { return p.Kind == Noted })
}

func (t *trust) checkStale(now time.Time) {
	if t.auth != nil && !t.auth.stale.IsZero() && now.After(t.auth.stale) {
		t.problems = append(t.problems, Problem{At: []any{"clients", "crl"}, File: t.of.CRL, Msg: staleNote + when(t.auth.stale), Kind: Noted})
	}
}

// load reads the files.
func (c *Clients) load() (*authorities, [32]byte, *Problem) {
	wrong := func(key, file string, err error) (*authorities, [32]byte, *Problem) {
		return nil, [32]byte{}, &Problem{At: []any{"clients", key}, File: file, Msg: err.Error(), lost: true}
	}
	ca, _, err := read(c.CA, MaxAuthorities)
	if err != nil {
		return wrong("ca", c.CA, err)
	}
	a, err := parseAuthorities(ca)
	if err != nil {
		return wrong("ca", c.CA, err)
	}
	var crl []byte
	if c.CRL != "" {
		if crl, _, err = read(c.CRL, MaxCRL); err == nil {
			err = a.addCRL(crl)
		}
		if err != nil {
			return wrong("crl", c.CRL, err)
		}
	}
	return a, sumOf(ca, crl), nil
}
