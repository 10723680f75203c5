package daemon

import (
	"context"

	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
)

// eventer turns what the floor sees into events: alert-raised and alert-cleared from health items, member-up, -down and
// -left from gossip. Every daemon sees the same members, so only one of them speaks: the alive member with the smallest
// id. When a partition splits the fleet each side has one, which is right: each side's subscribers hear of it.
type eventer struct {
	f       *floor
	levels  map[string]health.Level
	members map[member.ID]member.Member
}

func newEventer(f *floor) *eventer {
	return &eventer{f: f, levels: map[string]health.Level{}, members: map[member.ID]member.Member{}}
}

func (e *eventer) run(ctx context.Context) error {
	items, stopItems := e.f.Health.Watch()
	defer stopItems()
	view, stopView := e.f.Fleet.Watch()
	defer stopView()
	e.compareMembers(e.f.Fleet.View()) // the first look is knowledge, not news
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-items:
			for _, ev := range e.compareHealth(e.f.Health.Snapshot()) {
				e.f.Bus.Emit(ev.kind, ev.object, ev.data)
			}
		case <-view:
			v := e.f.Fleet.View()
			news := e.compareMembers(v)
			if !speaks(v) {
				continue
			}
			for _, ev := range news {
				e.f.Bus.Emit(ev.kind, ev.object, ev.data)
			}
		}
	}
}

// news is an event to be emitted.
type news struct {
	kind, object string
	data         any
}

// compareHealth returns what changed since the last call. An item that vanished is cleared.
func (e *eventer) compareHealth(items []health.Status) []news {
	var out []news
	seen := make(map[string]bool, len(items))
	for _, it := range items {
		seen[it.ID] = true
		was := e.levels[it.ID]
		e.levels[it.ID] = it.Level
		switch {
		case it.Level == was:
		case it.Level == health.OK:
			out = append(out, news{"alert-cleared", it.ID, it})
		default:
			out = append(out, news{"alert-raised", it.ID, it})
		}
	}
	for id, was := range e.levels {
		if seen[id] {
			continue
		}
		delete(e.levels, id)
		if was != health.OK {
			out = append(out, news{"alert-cleared", id, nil})
		}
	}
	return out
}

// compareMembers returns who came, died or left since the last call.
func (e *eventer) compareMembers(v member.View) []news {
	var out []news
	seen := make(map[member.ID]bool, len(v.Members))
	for _, m := range v.Members {
		seen[m.ID] = true
		was, known := e.members[m.ID]
		e.members[m.ID] = m
		if m.ID == v.Self || known && was.State == m.State && was.Generation == m.Generation {
			continue
		}
		if kind := memberEvent(m.State); kind != "" && (known || m.State == member.Alive) {
			out = append(out, news{kind, string(m.ID), memberData(m)})
		}
	}
	for id := range e.members {
		if !seen[id] {
			delete(e.members, id)
		}
	}
	return out
}

func memberEvent(s member.State) string {
	switch s {
	case member.Alive:
		return "member-up"
	case member.Dead:
		return "member-down"
	case member.Left:
		return "member-left"
	}
	return ""
}

func memberData(m member.Member) any {
	return map[string]any{"node": m.Node, "service": m.Service, "addr": m.Addr, "version": m.Version, "generation": m.Generation}
}

// speaks reports whether this daemon is the one that tells of members.
func speaks(v member.View) bool {
	for _, m := range v.Members { // sorted by id
		if m.State == member.Alive {
			return m.ID == v.Self
		}
	}
	return false
}
