package holder

import (
	"net/netip"
	"slices"
	"time"

	"github.com/everup/everup/shared/vip/internal/trailer"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// onPlan puts a plan in force. One that is ill is told, and the one before stays.
func (h *holder) onPlan(now time.Duration, p *wire.Plan) {
	if !h.planned {
		h.planned = true
		hello := h.hello
		h.daemon.Answer(&wire.Message{Hello: &hello})
	}
	h.onBeat(now)
	if err := check(p); err != nil {
		h.tell(wire.Tell{Kind: wire.TellFailed, Detail: err.Error()})
		return
	}
	d := diff(h.groups, p.Groups)
	joined := h.regroup(now, p, &d)
	h.plan, h.sender, h.epoch, h.lifeline = p.ID, p.Sender, p.Epoch, min(p.Lifeline, longest)
	h.keys = nil
	if len(p.Secrets) > 0 {
		h.keys = trailer.NewKeys(p.Secrets)
	}
	h.virtual = virtual(p)
	for r := range h.routers() {
		r.iface.dirty = true
	}
	h.dirty = true
	h.settle(now) // now that all is in place: interfaces, sockets, then faults and priorities
	h.clearLeftovers(p.Leftovers)
	h.admit(now, joined)
	h.changed, h.snapshotAt = true, now
}

// virtual returns the addresses that no adverts are sent from.
func virtual(p *wire.Plan) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, g := range p.Groups {
		for _, r := range g.Routers {
			for _, a := range r.Addresses {
				out[a.Addr()] = true
			}
		}
	}
	for _, l := range p.Leftovers {
		out[l.Prefix.Addr()] = true
	}
	return out
}

// regroup makes the groups of a plan of those that run, and has what is not planned leave. It returns the routers that are new
// in a group which runs.
func (h *holder) regroup(now time.Duration, p *wire.Plan, d *difference) (joined []*router) {
	h.retire(now, d.ended)
	groups := make([]*group, 0, len(d.groups))
	for i := range d.groups {
		gd := &d.groups[i]
		g := gd.from
		if !gd.same {
			g = h.form(gd)
		}
		g.name, g.links = gd.spec.Name, gd.spec.Links
		for k := range gd.spec.Routers {
			spec := gd.spec.Routers[k]
			if gd.kept[k] != nil {
				h.reconfigure(now, g, k, spec)
				continue
			}
			if g.judged {
				joined = append(joined, g.routers[k])
			} else if spec.Adopt {
				g.adoptBy = max(now, min(g.adoptBy, now+g.routers[k].m.Status().Down))
			}
		}
		groups = append(groups, g)
	}
	h.groups = groups
	for r := range h.routers() {
		r.iface = h.iface(r.spec.Interface)
	}
	for _, g := range h.groups {
		for _, l := range g.links {
			h.iface(l.Interface)
		}
	}
	h.forgetIfaces()
	return joined
}

// form makes a group. What is known of the one it goes on from is kept.
func (h *holder) form(gd *groupDifference) *group {
	g := &group{name: gd.spec.Name, adoptBy: vrrp.Never, retryAt: vrrp.Never}
	if f := gd.from; f != nil {
		g.judged, g.delta, g.verdict, g.released = f.judged, f.delta, f.verdict, f.released
		g.faults, g.retryAt, g.retryGap = f.faults, f.retryAt, f.retryGap
	}
	machines := make([]*vrrp.Machine, len(gd.kept))
	for i, r := range gd.kept {
		if r == nil {
			r, _ = newRouter(gd.spec.Routers[i]) // check has found no error
			r.group = g
		}
		if r.group != nil {
			g.faulty = g.faulty || r.group.faulty // one that it comes from
		}
		r.group = g
		g.routers = append(g.routers, r)
		machines[i] = r.m
	}
	g.machines = vrrp.NewGroup(machines...)
	return g
}

// retire has routers leave that are no longer planned. They do so each for itself, in the group's name.
func (h *holder) retire(now time.Duration, ended []*router) {
	for _, r := range ended {
		g := &group{name: r.group.name, routers: []*router{r}, adoptBy: vrrp.Never, retryAt: vrrp.Never, judged: true, released: true}
		g.machines = vrrp.NewGroup(r.m)
		r.group = g
		h.retired = append(h.retired, g)
		h.stepAll(now, g, vrrp.Event{Kind: vrrp.EvRelease})
	}
}

// bury forgets routers that have left.
func (h *holder) bury() {
	h.retired = slices.DeleteFunc(h.retired, func(g *group) bool {
		r := g.routers[0]
		if r.m.State() != vrrp.Initialize {
			return false
		}
		h.dismantle(r)
		return true
	})
}

// dismantle takes away all that a router has.
func (h *holder) dismantle(r *router) {
	h.remove(r)
	h.closePort(r)
	if r.macvlan.Index != 0 && !h.shared(r) {
		h.failed(r, opMacvlan, h.sys.RemoveLink(r.macvlan.Index))
	}
	r.macvlan.Index = 0
}

// shared reports whether another router has the same macvlan.
func (h *holder) shared(r *router) bool {
	for other := range h.routers() {
		if other != r && other.macvlan.Index == r.macvlan.Index {
			return true
		}
	}
	return false
}

// reconfigure gives a router that runs its new configuration. What depends on interfaces follows in prepare.
func (h *holder) reconfigure(now time.Duration, g *group, member int, spec wire.Router) {
	r := g.routers[member]
	if spec.Source.IsValid() && spec.Source != r.spec.Source {
		r.primary = spec.Source // if it is not there, that is a fault
		h.closePort(r)
	}
	if (len(spec.Peers) == 0) != r.multicast() {
		h.closePort(r)
	}
	r.spec = spec
	r.configurePeers()
	h.reconfigureMachine(now, g, member)
	if r.holding && !slices.Equal(r.added, r.wanted()) {
		h.add(r, r.accept) // other lengths of networks
	}
}

func (h *holder) reconfigureMachine(now time.Duration, g *group, member int) {
	r := g.routers[member]
	r.priority = prioritized(r.spec.Config.Priority, g.delta+h.weights(g))
	fx, err := r.m.Reconfigure(now, r.config(), nil)
	if h.failed(r, opConfigure, err) {
		return
	}
	g.fx = g.fx[:0]
	for _, e := range fx {
		g.fx = append(g.fx, vrrp.GroupEffect{Member: member, Effect: e})
	}
	h.perform(now, g)
}

// admit starts routers that are new in a group which runs. Where the group is Active they are so at once.
func (h *holder) admit(now time.Duration, joined []*router) {
	for _, r := range joined {
		g := r.group
		if g.released {
			continue
		}
		ev := vrrp.Event{Kind: vrrp.EvStartup}
		if slices.ContainsFunc(g.routers, func(o *router) bool { return o.m.State() == vrrp.Active && !o.m.Status().Leaving }) {
			ev.Kind = vrrp.EvAdopt
		}
		h.step(now, g, slices.Index(g.routers, r), ev)
	}
}

// iface returns an interface by its name.
func (h *holder) iface(name string) *iface {
	i := h.ifaces[name]
	if i == nil {
		i = &iface{name: name, dirty: true}
		h.ifaces[name] = i
		h.dirty = true
	}
	return i
}

// forgetIfaces lets go of interfaces that nothing names.
func (h *holder) forgetIfaces() {
	used := map[string]bool{}
	for r := range h.routers() {
		used[r.spec.Interface] = true
	}
	h.each(func(g *group) {
		for _, l := range g.links {
			used[l.Interface] = true
		}
	})
	for name, i := range h.ifaces {
		if !used[name] {
			i.shut()
			delete(h.ifaces, name)
		}
	}
}
