package vip

import (
	"slices"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// readdedShown is how long it shows that something else removed an address.
const readdedShown = 10 * time.Minute

// onMessage takes what the child says, from the goroutine that reads it. What is to be told is told when mu is free again.
func (m *Manager) onMessage(msg *wire.Message) {
	switch {
	case msg.Hello != nil:
		m.onHello(msg.Hello)
	case msg.Tell != nil:
		m.onTell(msg.Tell)
	case msg.Snapshot != nil:
		m.onSnapshot(msg.Snapshot)
	case msg.Done != nil:
		m.onDone(msg.Done)
	}
}

func (m *Manager) onHello(h *wire.Hello) {
	m.mu.Lock()
	m.hello = h
	m.mu.Unlock()
	m.log.Info().Bool("realtime", h.Realtime).Bool("locked", h.Locked).Strs("missing", h.Missing).Str("detail", h.Error).Msg("the VRRP process says what it may")
	m.healthOfChild()
}

func (m *Manager) onDone(d *wire.Done) {
	m.mu.Lock()
	answer := m.doing[d.ID]
	delete(m.doing, d.ID)
	m.mu.Unlock()
	if answer == nil {
		return // nobody waits any more
	}
	if d.Error != "" {
		answer <- fault.New(fault.Conflict, "vip: %s", d.Error)
		return
	}
	answer <- nil
}

// onTell takes what happened to a router.
func (m *Manager) onTell(t *wire.Tell) {
	m.mu.Lock()
	v, cfg := m.vips[t.Vip], m.cfg[conf.Name(t.Vip)]
	if v == nil || cfg == nil { // it has gone with a reload
		m.mu.Unlock()
		return
	}
	var c change
	changed := false
	switch t.Kind {
	case wire.TellState:
		c, changed = v.onState(t, cfg.familyCount())
	case wire.TellReadded:
		v.readded, v.readdedAt = t.Detail, time.Now()
	case wire.TellFailed:
		if v.failing[t.Family] = t.Detail; t.Gone {
			delete(v.failing, t.Family)
		}
	}
	n := m.noticeLocked(t.Vip, cfg, v)
	m.mu.Unlock()
	m.logTell(t)
	switch {
	case changed:
		m.announce(n, c)
	case t.Kind == wire.TellReasserted:
		m.reasserted(n, t)
	case t.Kind == wire.TellConflict:
		m.conflict(n, t)
	}
	m.healthOf(t.Vip)
}

// onSnapshot takes the child's whole state. It is what counts: a Tell may be lost.
func (m *Manager) onSnapshot(s *wire.Snapshot) {
	type step struct {
		notice
		change
	}
	var steps []step
	m.mu.Lock()
	m.snap = s
	young := time.Since(m.startedAt) < settleIn
	for i := range s.Groups {
		g := &s.Groups[i]
		for name, routers := range byVIP(g) {
			v, cfg := m.vips[name], m.cfg[conf.Name(name)]
			if v == nil || cfg == nil || len(routers) != cfg.familyCount() { // it is of an earlier plan
				continue
			}
			if c, changed := v.onStatus(s.At, g, routers, young); changed {
				steps = append(steps, step{m.noticeLocked(name, cfg, v), c})
			}
			if !v.readdedAt.IsZero() && time.Since(v.readdedAt) > readdedShown {
				v.readdedAt = time.Time{}
			}
		}
	}
	prune := m.pruneLocked(s)
	names := m.namesLocked()
	m.met.take(s, func(vip string) bool { return m.vips[vip] != nil })
	m.mu.Unlock()
	for _, st := range steps {
		m.announce(st.notice, st.change)
	}
	for _, name := range names {
		m.healthOf(name)
	}
	if prune != nil {
		prune()
	}
}

// byVIP returns a group's routers by VIP.
func byVIP(g *wire.GroupStatus) map[string][]*wire.RouterStatus {
	out := map[string][]*wire.RouterStatus{}
	for i := range g.Routers {
		r := &g.Routers[i]
		out[r.Vip] = append(out[r.Vip], r)
	}
	return out
}

// pruneLocked returns what forgets the places that the plan in force does not have, once they are surely gone; nil if there is
// nothing to forget.
func (m *Manager) pruneLocked(s *wire.Snapshot) func() {
	able := m.hello != nil && len(m.hello.Missing) == 0
	if s.Plan != m.planID || m.pruned == m.planID || !able || time.Since(m.plannedAt) < m.settle {
		return nil
	}
	m.pruned = m.planID
	places := m.places
	return func() {
		m.reloadMu.Lock() // a reload may be about to plan more
		defer m.reloadMu.Unlock()
		m.mu.Lock()
		stale := s.Plan != m.planID
		m.mu.Unlock()
		if stale {
			return
		}
		m.keeper.only(places)
		m.look() // nothing may be wanted any more
	}
}

func (m *Manager) namesLocked() []string {
	out := make([]string, 0, len(m.vips))
	for name := range m.vips {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// familyCount returns how many routers the VIP has.
func (v *VIP) familyCount() int {
	n := 0
	four, six := v.families()
	if len(four) > 0 {
		n++
	}
	if len(six) > 0 {
		n++
	}
	return n
}

// onVerdicts takes what tracking found.
func (m *Manager) onVerdicts(vs []wire.Verdict) {
	m.mu.Lock()
	out := make([]*wire.Message, 0, len(vs))
	for i := range vs {
		m.verdicts[vs[i].Group] = vs[i]
		out = append(out, &wire.Message{Verdict: &vs[i]})
	}
	if !m.left {
		m.sendLocked(out...)
	}
	m.mu.Unlock()
	for _, v := range vs {
		m.log.Info().Str("group", v.Group).Int("delta", v.Delta).Strs("faults", v.Faults).Msg("what the virtual addresses depend on has changed")
	}
}
