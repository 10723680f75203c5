package certs

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Status is a certificate as people see it.
type Status struct {
	Section     string    `json:"section"` // of the configuration: "tls.web", "pools.api.tls"
	Names       []string  `json:"names"`
	File        string    `json:"file"`
	Key         string    `json:"key,omitempty"` // its kind: "ecdsa P-256"
	Issuer      string    `json:"issuer,omitempty"`
	Serial      string    `json:"serial,omitempty"`      // hexadecimal
	Fingerprint string    `json:"fingerprint,omitempty"` // SHA-256, hexadecimal
	From        time.Time `json:"from,omitzero"`
	Until       time.Time `json:"until,omitzero"`
	Left        string    `json:"left,omitempty"`
	Stapled     bool      `json:"stapled"`           // with an OCSP answer
	Default     bool      `json:"default,omitempty"` // shown for names that there is no certificate for
	Problem     string    `json:"problem,omitempty"`
}

// Status returns all certificates, of each section those first that end first.
func (k *Keeper) Status(now time.Time) []Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := []Status{}
	for _, name := range slices.Sorted(maps.Keys(k.fronts)) {
		s := k.fronts[name].state
		out = append(out, statuses("tls."+name, s.entries, s.now.fallback, now)...)
	}
	for _, pool := range slices.Sorted(maps.Keys(k.backs)) {
		if e := k.backs[pool].state.entry; e != nil {
			out = append(out, statuses("pools."+pool+".tls", []*entry{e}, nil, now)...)
		}
	}
	return out
}

func statuses(section string, entries []*entry, fallback []*shown, now time.Time) []Status {
	var out []Status
	for _, e := range entries {
		s := e.status(section, now)
		s.Default = e.pair != nil && slices.ContainsFunc(fallback, func(c *shown) bool { return c.cert.Leaf == e.pair.leaf })
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b Status) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.File, b.File)) })
	return out
}

func (e *entry) status(section string, now time.Time) Status {
	s := Status{Section: section, File: e.Cert, Stapled: e.stapled, Names: []string{}}
	if len(e.problems) > 0 {
		s.Problem = e.problems[0].String()
	}
	if e.pair == nil {
		return s
	}
	leaf := e.pair.leaf
	s.Names, s.Key, s.Issuer, s.Serial = e.pair.names, e.pair.keyName(), leaf.Issuer.String(), leaf.SerialNumber.Text(16)
	s.Fingerprint, s.From, s.Until, s.Left = e.pair.fingerprint(), leaf.NotBefore, leaf.NotAfter, left(e.pair, now)
	return s
}

// Ends calls f for each certificate with the time that is left of it, for a metric; of several with the same labels for the one that ends first.
func (k *Keeper) Ends(now time.Time, f func(section, name string, left time.Duration)) {
	type label struct{ section, name string }
	ends := map[label]time.Time{}
	add := func(section string, e *entry) {
		if e == nil || e.pair == nil {
			return
		}
		l, until := label{section, e.pair.label(e.Cert)}, e.pair.leaf.NotAfter
		if had, ok := ends[l]; !ok || until.Before(had) {
			ends[l] = until
		}
	}
	k.mu.Lock()
	for name, front := range k.fronts {
		for _, e := range front.state.entries {
			add("tls."+name, e)
		}
	}
	for pool, b := range k.backs {
		add("pools."+pool+".tls", b.state.entry)
	}
	k.mu.Unlock()
	for l, until := range ends {
		f(l.section, l.name, until.Sub(now))
	}
}
