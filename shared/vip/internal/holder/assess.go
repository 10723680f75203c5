package holder

import (
	"fmt"
	"slices"
	"time"

	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// onVerdict takes what the daemon's tracking found. The first for a group starts it.
func (h *holder) onVerdict(now time.Duration, v *wire.Verdict) {
	g := h.find(v.Group)
	if g == nil {
		return // of a plan before this one
	}
	first := !g.judged
	g.judged, g.delta, g.verdict = true, v.Delta, v.Faults
	h.assess(now, g)
	if g.released {
		return
	}
	kind := vrrp.EvStartup
	if first && g.adoptBy != vrrp.Never {
		kind = vrrp.EvAdopt
	}
	h.stepAll(now, g, vrrp.Event{Kind: kind})
	if g.adoptBy != vrrp.Never {
		h.unadopt(g)
	}
}

// unadopt ends the wait for the first Verdict: who is not Active by now does not keep the addresses.
func (h *holder) unadopt(g *group) {
	g.adoptBy = vrrp.Never
	for _, r := range g.routers {
		if r.m.State() != vrrp.Active {
			h.sweep(r)
		}
	}
}

// assessAll assesses all groups.
func (h *holder) assessAll(now time.Duration) {
	for _, g := range h.groups {
		h.assess(now, g)
	}
}

// assess makes events of what has changed about a group: its routers' priorities, and whether it is at fault.
func (h *holder) assess(now time.Duration, g *group) {
	faults := h.faultsOf(g)
	if !slices.Equal(faults, g.faults) {
		g.faults = faults
		h.changed = true
	}
	faulty := len(faults) > 0
	if faulty && !g.faulty {
		g.faulty = true
		h.stepAll(now, g, vrrp.Event{Kind: vrrp.EvFault})
	}
	delta := g.delta + h.weights(g)
	for i, r := range g.routers {
		p := prioritized(r.spec.Config.Priority, delta)
		if p != r.priority {
			r.priority = p
			h.step(now, g, i, vrrp.Event{Kind: vrrp.EvPriority, Priority: p})
		}
	}
	if !faulty && g.faulty {
		g.faulty = false
		h.stepAll(now, g, vrrp.Event{Kind: vrrp.EvFaultCleared})
	}
}

// prioritized returns a priority as tracking has it.
func prioritized(base vrrp.Priority, delta int) vrrp.Priority {
	if base == vrrp.PriorityOwner {
		return base
	}
	return vrrp.Priority(min(max(int(base)+delta, 1), int(vrrp.PriorityOwner)-1))
}

// weights returns what tracked links add to the priority.
func (h *holder) weights(g *group) int {
	sum := 0
	for _, l := range g.links {
		if (l.Weight > 0) == h.iface(l.Interface).carries() {
			sum += l.Weight
		}
	}
	return sum
}

// faultsOf returns why a group can take no part, each in a few words.
func (h *holder) faultsOf(g *group) []string {
	var out []string
	note := func(why string) {
		if why != "" && !slices.Contains(out, why) {
			out = append(out, why)
		}
	}
	if h.stuck {
		note(fmt.Sprintf("the daemon is stuck: it has not been heard for %v", h.lifeline))
	}
	for _, why := range g.verdict {
		note(why)
	}
	for _, l := range g.links {
		if l.Weight == 0 {
			note(h.iface(l.Interface).silent())
		}
	}
	for _, r := range g.routers {
		note(r.trouble)
		if g.retryAt != vrrp.Never {
			note(r.failing[opAdd])
		}
	}
	return out
}

// carries reports whether an interface is there and has a carrier.
func (i *iface) carries() bool { return i.silent() == "" }

// silent says why an interface carries nothing, "" if it does.
func (i *iface) silent() string {
	switch {
	case !i.there:
		return "interface " + i.name + " is not there"
	case !i.link.Up:
		return "interface " + i.name + " is down"
	case !i.link.Carrier:
		return "interface " + i.name + " has no carrier"
	}
	return ""
}
