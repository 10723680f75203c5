package certs

import (
	"fmt"
	"strings"
	"time"

	"github.com/everup/everup/shared/health"
)

// The kinds of events.
const (
	Replaced = "certificate-replaced" // new files are in force
	Unusable = "certificate-unusable" // files cannot be used; what was there before stays in force
	Expiring = "certificate-expiring" // one of Options.Expiry has been passed
	Expired  = "certificate-expired"
)

// Event is something that happened to a certificate.
type Event struct {
	Kind    string
	Section string    // of the configuration: "tls.web", "pools.api.tls"
	Name    string    // first name of the certificate; "" if there is none
	File    string    // of the chain, or the one that is at fault
	Detail  string    // for people
	Until   time.Time // end of the certificate; zero: it is not known
}

// stageOf returns how many of the times before its end a certificate has passed, one more once it has ended. Where it was issued for a short
// time, a third of that counts for what is longer: who renews in time hears nothing.
func stageOf(p *pair, expiry []time.Duration, now time.Time) int {
	left := p.leaf.NotAfter.Sub(now)
	if left <= 0 {
		return len(expiry) + 1
	}
	third := p.leaf.NotAfter.Sub(p.leaf.NotBefore) / 3
	n := 0
	for _, before := range expiry {
		if left <= min(before, third) {
			n++
		}
	}
	return n
}

// replaced tells of pairs that stand in place of others.
func replaced(name string, old, next *state) (out []Event) {
	before := make(map[string]*pair, len(old.entries))
	for _, e := range old.entries {
		before[e.id()] = e.pair
	}
	for _, e := range next.entries {
		if was := before[e.id()]; e.pair != nil && was != e.pair {
			out = append(out, e.event(Replaced, "tls."+name, "good until "+when(e.pair.leaf.NotAfter)))
		}
	}
	return out
}

func (e *entry) event(kind, section, detail string) Event {
	out := Event{Kind: kind, Section: section, File: e.Cert, Detail: detail}
	if e.pair != nil {
		out.Until = e.pair.leaf.NotAfter
		if len(e.pair.names) > 0 {
			out.Name = e.pair.names[0]
		}
	}
	return out
}

// events returns what is to be told now, and marks it as told.
func (s *state) events(name string, now time.Time) (out []Event) {
	section := "tls." + name
	for _, e := range s.entries {
		out = append(out, e.due(section, s.o.Expiry, now)...)
	}
	if s.trust != nil {
		out = append(out, s.trust.due(section, now)...)
	}
	return out
}

func (s *backState) events(pool string, now time.Time) (out []Event) {
	section := "pools." + pool + ".tls"
	if s.entry != nil {
		out = append(out, s.entry.due(section, backExpiry(), now)...)
	}
	if s.trust != nil {
		out = append(out, s.trust.due(section, now)...)
	}
	return out
}

// backExpiry is when the end of a certificate for members is told.
func backExpiry() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{30 * day, 7 * day, day}
}

// due returns what is to be told of the entry.
func (e *entry) due(section string, expiry []time.Duration, now time.Time) (out []Event) {
	if p := firstLost(e.problems); p != nil && !e.told && now.Sub(e.since) >= settle {
		e.told = true
		ev := e.event(Unusable, section, p.String()+e.stays())
		ev.File = p.File
		out = append(out, ev)
	}
	if e.pair == nil {
		return out
	}
	stage := stageOf(e.pair, expiry, now)
	switch {
	case stage <= e.stage:
	case stage > len(expiry):
		out = append(out, e.event(Expired, section, "since "+when(e.pair.leaf.NotAfter)))
	default:
		out = append(out, e.event(Expiring, section, left(e.pair, now)))
	}
	e.stage = stage
	return out
}

// stays says what serves in place of files that cannot be used.
func (e *entry) stays() string {
	if e.pair == nil {
		return ""
	}
	return "; what was there before stays in force"
}

func (t *trust) due(section string, now time.Time) []Event {
	p := firstLost(t.problems)
	if p == nil || t.told || now.Sub(t.since) < settle {
		return nil
	}
	t.told = true
	return []Event{{Kind: Unusable, Section: section, File: p.File, Detail: p.String() + "; what was there before stays in force"}}
}

func firstLost(all []Problem) *Problem {
	for i := range all {
		if all[i].lost {
			return &all[i]
		}
	}
	return nil
}

// left tells how long a certificate is good.
func left(p *pair, now time.Time) string {
	d := p.leaf.NotAfter.Sub(now)
	switch {
	case d <= 0:
		return "has ended " + when(p.leaf.NotAfter)
	case d >= 48*time.Hour:
		return fmt.Sprintf("ends in %d days", d/(24*time.Hour))
	}
	return "ends in " + d.Round(time.Minute).String()
}

// What the health items are about, by the beginnings of their ids.
const (
	itemUnusable = "lbd.tls.unusable."
	itemExpiry   = "lbd.tls.expiry."
	itemExposed  = "lbd.tls.exposed-key."
	itemStaple   = "lbd.tls.stapling."
	itemNote     = "lbd.tls.note."
)

func frontItems(name string) []string {
	return []string{itemUnusable + name, itemExpiry + name, itemExposed + name, itemStaple + name, itemNote + name}
}

func backItems(pool string) []string {
	return []string{itemUnusable + "pool." + pool, itemExpiry + "pool." + pool, itemExposed + "pool." + pool, itemNote + "pool." + pool}
}

func (k *Keeper) forget(ids []string) {
	for _, id := range ids {
		k.env.Health.Remove(id)
	}
}

func (k *Keeper) frontHealth(name string, s *state, now time.Time) {
	about := "of tls." + name
	all := s.problems()
	k.troubles(name, about, all)
	k.trouble(itemStaple+name, "an OCSP answer "+about+" cannot be sent", health.Warn, pick(all, Unstapled), "fetch it anew: openssl ocsp -respout")
	k.expiry(itemExpiry+name, about, s.entries, s.o.Expiry, now)
}

func (k *Keeper) backHealth(pool string, s *backState, now time.Time) {
	about := "of pools." + pool + ".tls"
	k.troubles("pool."+pool, about, s.problems())
	var entries []*entry
	if s.entry != nil {
		entries = []*entry{s.entry}
	}
	k.expiry(itemExpiry+"pool."+pool, about, entries, backExpiry(), now)
}

// troubles sets the items that both sides have.
func (k *Keeper) troubles(name, about string, all []Problem) {
	k.trouble(itemUnusable+name, "files "+about+" cannot be used", health.Fail, pick(all, Broken, Skipped), "mend them; what was there before stays in force, and new files are taken without a reload")
	k.trouble(itemExposed+name, "a key "+about+" may be read by others", health.Warn, pick(all, Exposed), "chmod 600, or 640 for a group of its own")
	k.trouble(itemNote+name, "a file "+about+" is not as it should be", health.Warn, pick(all, Noted), "")
}

// trouble sets an item, which exists from its first trouble on.
func (k *Keeper) trouble(id, title string, level health.Level, found []Problem, hint string) {
	item := k.env.Health.Item(id, health.Options{Title: title, Visible: settle})
	if len(found) == 0 {
		item.OK()
		return
	}
	item.Set(level, some(found, Problem.String), hint)
}

// expiry sets the item of certificates that end. The last of the times before the end makes it fail.
func (k *Keeper) expiry(id, about string, entries []*entry, expiry []time.Duration, now time.Time) {
	item := k.env.Health.Item(id, health.Options{Title: "certificates " + about + " end soon"})
	var near []*entry
	worst := 0
	for _, e := range entries {
		if e.pair == nil {
			continue
		}
		if stage := stageOf(e.pair, expiry, now); stage > 0 {
			near, worst = append(near, e), max(worst, stage)
		}
	}
	if worst == 0 {
		item.OK()
		return
	}
	level := health.Warn
	if worst > len(expiry) || worst > 1 && worst == len(expiry) {
		level = health.Fail
	}
	item.Set(level, some(near, func(e *entry) string { return e.pair.label(e.Cert) + " " + left(e.pair, now) + " (" + e.Cert + ")" }),
		"renew them; new files are taken without a reload")
}

func pick(all []Problem, kinds ...Kind) (out []Problem) {
	for _, p := range all {
		for _, k := range kinds {
			if p.Kind == k {
				out = append(out, p)
			}
		}
	}
	return out
}

const maxTold = 3

// some joins the first few.
func some[T any](all []T, text func(T) string) string {
	var parts []string
	for i, v := range all {
		if i == maxTold {
			parts = append(parts, fmt.Sprintf("and %d more", len(all)-maxTold))
			break
		}
		parts = append(parts, text(v))
	}
	return strings.Join(parts, "; ")
}
