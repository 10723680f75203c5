package vrrp

import (
	"slices"
	"time"
)

// GroupEffect is what the shell is to do for a member of a Group.
type GroupEffect struct {
	Member int
	Effect
}

// Group is a sync group: machines that are Active together or not at all, as a router's inner and outer address, or one
// service's IPv4 and IPv6. It adds to what each machine does:
//
//   - A member whose Down timer has expired waits until all are Active or wait likewise; then all become Active. Where
//     only one link of several is cut, nothing moves.
//   - If a member yields to another router, those that are still Active send priority 0 and yield too.
//   - If a member is at fault, all leave; when none is, all start again.
//
// A switch-over, a take-over or a release is given to all by StepAll.
type Group struct {
	members []*Machine
	scratch []Effect
}

// NewGroup returns a group of machines, which belong to it from then on: they are stepped by it alone. They may be in any
// state, and come from another group that is no longer used; what the new one demands of them is done with the next Step.
// A machine that is alone behaves as without a group.
func NewGroup(members ...*Machine) *Group {
	for _, m := range members {
		m.gated = len(members) > 1
	}
	return &Group{members: slices.Clone(members)}
}

// Member returns a machine, to be read.
func (g *Group) Member(i int) *Machine { return g.members[i] }

// Len returns the number of members.
func (g *Group) Len() int { return len(g.members) }

// Deadline returns when EvTimer is wanted, and of which member.
func (g *Group) Deadline() (at time.Duration, member int) {
	at = Never
	for i, m := range g.members {
		if d := m.Deadline(); d < at {
			at, member = d, i
		}
	}
	return at, member
}

// Step takes a member's event, as Machine.Step.
func (g *Group) Step(now time.Duration, member int, ev Event, out []GroupEffect) []GroupEffect {
	return g.settle(g.step(now, member, ev, out), now)
}

// StepAll takes an event that happens to all. EvTakeOver is refused if one member would refuse it.
func (g *Group) StepAll(now time.Duration, ev Event, out []GroupEffect) []GroupEffect {
	if i := slices.IndexFunc(g.members, (*Machine).refuses); ev.Kind == EvTakeOver && i >= 0 {
		return append(out, GroupEffect{i, g.members[i].refusal()})
	}
	for i := range g.members {
		out = g.step(now, i, ev, out)
	}
	return g.settle(out, now)
}

func (g *Group) step(now time.Duration, member int, ev Event, out []GroupEffect) []GroupEffect {
	g.scratch = g.members[member].Step(now, ev, g.scratch[:0])
	return g.collect(member, out)
}

func (g *Group) collect(member int, out []GroupEffect) []GroupEffect {
	for _, e := range g.scratch {
		out = append(out, GroupEffect{member, e})
	}
	return out
}

// settle has the members follow each other.
func (g *Group) settle(out []GroupEffect, now time.Duration) []GroupEffect {
	faulty := g.any(func(m *Machine) bool { return m.faulty })
	out = g.each(out, now, func(m *Machine, fx []Effect) []Effect {
		if faulty == m.outOfStep || m.faulty {
			return fx
		}
		m.outOfStep = faulty
		if faulty {
			return m.withdraw(ByGroup, fx)
		}
		return m.begin(fx)
	})
	switch {
	case !g.any((*Machine).unready):
		return g.each(out, now, func(m *Machine, fx []Effect) []Effect {
			if !m.backup.wants {
				return fx
			}
			return m.becomeActive(m.expiryCause(), fx)
		})
	case g.any(func(m *Machine) bool { return m.state == Backup }):
		return g.each(out, now, (*Machine).follow)
	}
	return out
}

// any reports whether a property holds for a member.
func (g *Group) any(is func(*Machine) bool) bool { return slices.ContainsFunc(g.members, is) }

// each has all members do something.
func (g *Group) each(out []GroupEffect, now time.Duration, do func(*Machine, []Effect) []Effect) []GroupEffect {
	for i, m := range g.members {
		m.now = max(m.now, now)
		g.scratch = do(m, g.scratch[:0])
		out = g.collect(i, out)
	}
	return out
}

// unready reports whether the machine keeps its group from being Active.
func (m *Machine) unready() bool { return m.state != Active && !m.backup.wants }

// follow yields because another member has.
func (m *Machine) follow(out []Effect) []Effect {
	if m.state != Active || m.active.leaving != staying {
		return out
	}
	out = append(out, Effect{Kind: DoSend, Priority: PriorityStop}, Effect{Kind: DoRemove})
	return m.becomeBackup(ByGroup, m.now, out)
}
