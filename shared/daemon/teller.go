package daemon

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/member"
)

// The kinds of the events of members.
const (
	memberUp   = "member-up"
	memberDown = "member-down"
	memberLeft = "member-left"
)

// tellWithin is how long news may wait for someone to tell it: longer than a speaker's death takes to be noticed, with
// the timing "calm" too.
const tellWithin = 15 * time.Second

// teller decides which news of members this daemon tells. Every daemon sees the same, so only one speaks of a member: the
// living one with the smallest id, other than the member itself. The others keep the news until they hear it told; one
// that becomes the speaker meanwhile, because the speaker died, tells what was not. Where a partition splits the
// fleet each side has its own, which is right: each side's subscribers hear of it.
//
// It is a pure state machine: explicit time, no I/O, one caller at a time. Its memory is bounded by the members, which
// package member bounds, and by tellWithin.
type teller struct {
	members map[member.ID]member.Member
	untold  map[newsKey]pending
	told    map[newsKey]time.Time // heard, when
}

// newsKey names news; a restarted member is of another generation.
type newsKey struct {
	kind       string
	id         member.ID
	generation uint64
}

type pending struct {
	news
	since time.Time
}

// maxTold bounds what is remembered of others' events, which a hostile process could invent.
const maxTold = 4096

func newTeller() *teller {
	return &teller{members: map[member.ID]member.Member{}, untold: map[newsKey]pending{}, told: map[newsKey]time.Time{}}
}

// look takes the fleet as it is now and returns what is to be told.
func (t *teller) look(now time.Time, v member.View) []news {
	t.forget(now)
	for _, m := range t.changed(v) {
		k := newsKey{memberEvent(m.State), m.ID, m.Generation}
		if _, told := t.told[k]; !told && k.kind != "" {
			t.untold[k] = pending{news{k.kind, string(m.ID), memberData(m)}, now}
		}
	}
	var out []news
	for _, k := range slices.SortedFunc(maps.Keys(t.untold), newsKey.compare) {
		if speaks(v, k.id) {
			out = append(out, t.untold[k].news)
			delete(t.untold, k)
		}
	}
	return out
}

// hear takes an event that someone told.
func (t *teller) hear(now time.Time, e bus.Event) {
	var data struct {
		Generation uint64 `json:"generation,string"`
	}
	if json.Unmarshal(e.Data, &data) != nil {
		return
	}
	k := newsKey{e.Kind, member.ID(e.Object), data.Generation}
	delete(t.untold, k)
	if len(t.told) < maxTold {
		t.told[k] = now
	}
}

func (t *teller) forget(now time.Time) {
	maps.DeleteFunc(t.untold, func(_ newsKey, p pending) bool { return now.Sub(p.since) > tellWithin })
	maps.DeleteFunc(t.told, func(_ newsKey, at time.Time) bool { return now.Sub(at) > tellWithin })
}

// changed returns the members that came, died or left since the last look. A member met for the first time is news only if
// it started after this daemon: those that were there before are what a newcomer learns, not what happened.
func (t *teller) changed(v member.View) []member.Member {
	var out []member.Member
	next := make(map[member.ID]member.Member, len(v.Members))
	own := ownGeneration(v)
	for _, m := range v.Members {
		next[m.ID] = m
		was, known := t.members[m.ID]
		switch {
		case m.ID == v.Self:
		case known && (was.State != m.State || was.Generation != m.Generation),
			!known && m.State == member.Alive && m.Generation > own:
			out = append(out, m)
		}
	}
	t.members = next
	return out
}

func ownGeneration(v member.View) uint64 {
	for _, m := range v.Members {
		if m.ID == v.Self {
			return m.Generation
		}
	}
	return 0
}

func memberEvent(s member.State) string {
	switch s {
	case member.Alive:
		return memberUp
	case member.Dead:
		return memberDown
	case member.Left:
		return memberLeft
	}
	return ""
}

// memberEventData is the data of the events of members.
type memberEventData struct {
	Node       string `json:"node"`
	Service    string `json:"service"`
	Addr       string `json:"addr"`
	Version    string `json:"version"`
	Generation uint64 `json:"generation,string"` // a string: it is above 2^53
}

func memberData(m member.Member) memberEventData {
	return memberEventData{m.Node, m.Service, m.Addr.String(), m.Version, m.Generation}
}

// speaks reports whether this daemon is the one that tells of the member about.
func speaks(v member.View, about member.ID) bool {
	for _, m := range v.Members { // sorted by id
		if m.State == member.Alive && m.ID != about {
			return m.ID == v.Self
		}
	}
	return false
}

func (k newsKey) compare(o newsKey) int {
	return cmp.Or(cmp.Compare(k.id, o.id), cmp.Compare(k.generation, o.generation), cmp.Compare(k.kind, o.kind))
}
