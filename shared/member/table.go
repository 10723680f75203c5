package member

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// maxMembers bounds the members remembered, dead ones included. A new one beyond it takes the place of the one that
// is gone longest; with none gone it is dropped and counted.
const maxMembers = 4096

// table is what is known of the members: a pure state machine over what gossip reports. Its methods return whether
// anything changed. Not safe for concurrent use.
type table struct {
	self    ID
	members map[ID]Member
	leaving map[ID]uint64 // generation that a member said it will end on purpose
}

func newTable(self Member) *table {
	t := &table{self: self.ID, members: map[ID]Member{}, leaving: map[ID]uint64{}}
	t.members[self.ID] = self
	return t
}

// heard records that gossip holds a member alive with the given metadata; ok is false if there is no room.
func (t *table) heard(now time.Time, id ID, addr netip.AddrPort, m meta) (changed, ok bool) {
	old, had := t.members[id]
	if !had && !t.makeRoom() {
		return false, false
	}
	next := Member{
		ID: id, Zone: m.Zone, Version: m.Version, Addr: addr, State: Alive, Since: now,
		Generation: m.Generation, Announcement: m.Announcement,
	}
	next.Node, next.Service = id.split()
	if had && old.State == Alive && old.Generation == m.Generation {
		next.Since = old.Since
	}
	if m.Leaving {
		next.Draining = true
		t.intends(id, m.Generation)
	}
	t.members[id] = next
	return !had || !sameMember(old, next), true
}

// gone records that gossip holds a member for dead or left.
func (t *table) gone(now time.Time, id ID) bool {
	m, ok := t.members[id]
	if !ok || m.State != Alive {
		return false
	}
	m.State, m.Since = Dead, now
	if t.leaves(m) {
		m.State = Left
	}
	t.members[id] = m
	return true
}

// intends records that the process of the given generation ends on purpose, so that its end is not a failure,
// whichever of the two is heard first. A later process of the same ID is not concerned.
func (t *table) intends(id ID, generation uint64) bool {
	t.leaving[id] = max(t.leaving[id], generation)
	m, ok := t.members[id]
	if !ok || m.State != Dead || !t.leaves(m) {
		return false
	}
	m.State = Left
	t.members[id] = m
	return true
}

func (t *table) leaves(m Member) bool {
	g, ok := t.leaving[m.ID]
	return ok && g >= m.Generation
}

// expire forgets members that are gone for forgetTime.
func (t *table) expire(now time.Time) (changed bool) {
	for id, m := range t.members {
		if m.State != Alive && now.Sub(m.Since) > forgetTime {
			delete(t.members, id)
			delete(t.leaving, id)
			changed = true
		}
	}
	for id := range t.leaving {
		if _, ok := t.members[id]; !ok && len(t.leaving) > maxMembers {
			delete(t.leaving, id)
		}
	}
	return changed
}

func (t *table) makeRoom() bool {
	if len(t.members) < maxMembers {
		return true
	}
	var oldest Member
	for _, m := range t.members {
		if m.State != Alive && (oldest.ID == "" || m.Since.Before(oldest.Since)) {
			oldest = m
		}
	}
	delete(t.members, oldest.ID)
	return oldest.ID != ""
}

// view returns the members sorted by ID.
func (t *table) view() View {
	ms := slices.SortedFunc(maps.Values(t.members), func(a, b Member) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return View{Self: t.self, Members: ms}
}

func sameMember(a, b Member) bool {
	return a.equalScalars(b) && slices.Equal(a.Endpoints, b.Endpoints) && slices.Equal(a.Figures, b.Figures)
}

func (m Member) equalScalars(o Member) bool {
	return m.ID == o.ID && m.Zone == o.Zone && m.Version == o.Version && m.Addr == o.Addr && m.State == o.State &&
		m.Since.Equal(o.Since) && m.Generation == o.Generation && m.Health == o.Health && m.Draining == o.Draining &&
		m.Weight == o.Weight && m.Load == o.Load && m.Config == o.Config && m.Bus == o.Bus
}

// split returns the node and the service of an ID.
func (id ID) split() (node, service string) {
	node, service, _ = strings.Cut(string(id), "/")
	return node, service
}
