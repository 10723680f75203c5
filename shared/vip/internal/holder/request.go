package holder

import (
	"fmt"
	"slices"
	"time"

	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// longest bounds what the daemon asks to wait for, so that sums of times stay in range.
const longest = 1000 * time.Hour

// maxTasks bounds the requests that have not ended.
const maxTasks = 64

// task is a wire.Do that has not ended.
type task struct {
	id     uint64
	verb   wire.Verb
	groups []*group
	by     time.Duration // when the addresses are dropped without a peer; Never: the machines' own bound
}

// onDo begins what is asked for.
func (h *holder) onDo(now time.Duration, d *wire.Do) {
	groups, why := h.asked(d)
	if why == "" && len(h.tasks) >= maxTasks {
		why = fmt.Sprintf("%d requests have not ended yet", len(h.tasks))
	}
	if why != "" {
		h.answer(d.ID, why)
		return
	}
	switch d.Verb {
	case wire.SwitchOver:
		h.switchOver(now, d, groups[0])
	case wire.TakeOver:
		h.takeOver(now, d, groups[0])
	case wire.Resume:
		h.resume(now, groups)
		h.answer(d.ID, "")
	case wire.Release, wire.Stop:
		h.release(now, d, groups)
	}
}

// asked returns the groups that a request is about, or why there are none.
func (h *holder) asked(d *wire.Do) (groups []*group, why string) {
	many := false
	switch d.Verb {
	case wire.SwitchOver, wire.TakeOver:
	case wire.Release, wire.Resume, wire.Stop:
		many = true
	default:
		return nil, fmt.Sprintf("%q is not known", d.Verb)
	}
	if d.Group == "" && many || d.Verb == wire.Stop {
		return slices.Clone(h.groups), ""
	}
	g := h.find(d.Group)
	if g == nil {
		return nil, fmt.Sprintf("there is no group %q", d.Group)
	}
	return []*group{g}, ""
}

func (h *holder) switchOver(now time.Duration, d *wire.Do, g *group) {
	if !g.active() {
		h.answer(d.ID, fmt.Sprintf("%s is not held by this host", g.name))
		return
	}
	g.kept = false
	h.stepAll(now, g, vrrp.Event{Kind: vrrp.EvSwitchOver})
	h.tasks = append(h.tasks, task{id: d.ID, verb: d.Verb, groups: []*group{g}, by: vrrp.Never})
}

func (h *holder) takeOver(now time.Duration, d *wire.Do, g *group) {
	g.refused = ""
	h.stepAll(now, g, vrrp.Event{Kind: vrrp.EvTakeOver})
	h.answer(d.ID, g.refused)
}

func (h *holder) resume(now time.Duration, groups []*group) {
	for _, g := range groups {
		if !g.released {
			continue
		}
		g.released = false
		h.changed = true
		if g.judged {
			h.stepAll(now, g, vrrp.Event{Kind: vrrp.EvStartup})
		}
	}
}

func (h *holder) release(now time.Duration, d *wire.Do, groups []*group) {
	by := vrrp.Never
	if d.Limit > 0 {
		by = now + min(d.Limit, longest)
	}
	for _, g := range groups {
		g.released = true
		if g.adoptBy != vrrp.Never {
			h.unadopt(g)
		}
		h.stepAll(now, g, vrrp.Event{Kind: vrrp.EvRelease})
	}
	if d.Verb == wire.Stop {
		groups = append(groups, h.retired...)
	}
	h.changed = true
	h.tasks = append(h.tasks, task{id: d.ID, verb: d.Verb, groups: groups, by: by})
}

// limitTasks drops the addresses of what may wait no longer.
func (h *holder) limitTasks(now time.Duration) {
	for i := range h.tasks {
		t := &h.tasks[i]
		if now < t.by {
			continue
		}
		t.by = vrrp.Never
		for _, g := range t.groups {
			if g.released {
				h.stepAll(now, g, vrrp.Event{Kind: vrrp.EvShutdown})
			}
		}
	}
}

// finishTasks answers what has ended.
func (h *holder) finishTasks() {
	h.tasks = slices.DeleteFunc(h.tasks, func(t task) bool {
		if slices.ContainsFunc(t.groups, func(g *group) bool { return t.waits(g) }) {
			return false
		}
		why := ""
		if t.verb == wire.SwitchOver && t.groups[0].active() {
			why = fmt.Sprintf("no peer has taken %s", t.groups[0].name)
		}
		if t.verb == wire.Stop {
			h.dismantleAll()
			h.stopped = true
		}
		h.answer(t.id, why)
		return true
	})
}

// waits reports whether a group has not done yet what the task asks for.
func (t *task) waits(g *group) bool {
	return slices.ContainsFunc(g.routers, func(r *router) bool {
		if t.verb == wire.SwitchOver {
			return r.m.Status().Leaving
		}
		return g.released && r.m.State() != vrrp.Initialize // a Resume ends a Release
	})
}

// active reports whether this host holds a group's addresses.
func (g *group) active() bool {
	return slices.ContainsFunc(g.routers, func(r *router) bool { return r.m.State() == vrrp.Active })
}

func (h *holder) answer(id uint64, why string) {
	h.daemon.Answer(&wire.Message{Done: &wire.Done{ID: id, Error: why}})
}

// shutdown gives all up at once: the daemon is dead. Adverts go first, for peers wait for nothing else.
func (h *holder) shutdown(now time.Duration) {
	sends := func(e vrrp.GroupEffect) bool { return e.Kind == vrrp.DoSend }
	h.each(func(g *group) {
		g.fx = g.machines.StepAll(now, vrrp.Event{Kind: vrrp.EvShutdown}, g.fx[:0])
		for _, e := range g.fx {
			if sends(e) {
				h.send(g.routers[e.Member], e.Effect)
			}
		}
	})
	h.each(func(g *group) {
		g.fx = slices.DeleteFunc(g.fx, sends)
		h.perform(now, g)
		if g.adoptBy != vrrp.Never {
			h.unadopt(g)
		}
	})
	h.dismantleAll()
}

// dismantleAll takes away all that routers have.
func (h *holder) dismantleAll() {
	for r := range h.routers() {
		h.dismantle(r)
	}
	for _, i := range h.ifaces {
		i.shut()
	}
	h.retired = nil
}
