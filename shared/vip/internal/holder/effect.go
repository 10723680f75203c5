package holder

import (
	"fmt"
	"time"

	"github.com/everup/everup/shared/vip/internal/frame"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// step gives an event to a group's member and does what it has to be done. It is not called while effects are done.
func (h *holder) step(now time.Duration, g *group, member int, ev vrrp.Event) {
	g.fx = g.machines.Step(now, member, ev, g.fx[:0])
	h.perform(now, g)
}

// stepAll gives an event to all members.
func (h *holder) stepAll(now time.Duration, g *group, ev vrrp.Event) {
	g.fx = g.machines.StepAll(now, ev, g.fx[:0])
	h.perform(now, g)
}

// perform does the effects of a step in order.
func (h *holder) perform(now time.Duration, g *group) {
	for i := range g.fx {
		h.do(now, g.routers[g.fx[i].Member], &g.fx[i].Effect)
	}
}

// do does an effect.
func (h *holder) do(now time.Duration, r *router, e *vrrp.Effect) {
	switch e.Kind {
	case vrrp.DoSend:
		h.send(r, *e)
	case vrrp.DoAdd:
		h.add(r, e.Accept)
	case vrrp.DoRemove:
		h.remove(r)
	case vrrp.DoAnnounce:
		h.announce(r)
	case vrrp.DoDrain:
		r.drain = true
	case vrrp.TellDropped:
		r.rejected = true
		r.count.dropped[e.Reason]++
	default:
		h.report(now, r, e)
	}
}

// report tells what a machine says.
func (h *holder) report(now time.Duration, r *router, e *vrrp.Effect) {
	switch e.Kind {
	case vrrp.TellState:
		if e.State == vrrp.Active {
			r.count.activations++
		}
		h.tellOf(r, wire.Tell{Kind: wire.TellState, State: e.State.String(), Cause: e.Cause.String(), Peer: e.Peer})
	case vrrp.TellReasserted:
		r.count.reasserted++
		h.tellOf(r, wire.Tell{Kind: wire.TellReasserted, Peer: e.Peer})
	case vrrp.TellConflict:
		h.tellOf(r, wire.Tell{
			Kind: wire.TellConflict, Conflict: e.Conflict.Kind.String(), Peer: e.Conflict.Peer, Gone: e.Gone, Detail: sentence(&e.Conflict),
		})
	case vrrp.TellLate:
		r.count.late++
		h.tellOf(r, wire.Tell{Kind: wire.TellLate, Late: e.Late})
	case vrrp.TellKept:
		r.group.kept = true
		h.tellOf(r, wire.Tell{Kind: wire.TellKept})
	case vrrp.TellRefused:
		r.group.refused = refusal(r, e)
		h.tellOf(r, wire.Tell{Kind: wire.TellRefused, Peer: e.Peer, Detail: r.group.refused})
	}
}

// refusal says why a take-over was refused.
func refusal(r *router, e *vrrp.Effect) string {
	switch {
	case r.m.State() == vrrp.Initialize:
		return fmt.Sprintf("%s takes no part", r.spec.Vip)
	case e.Peer.IsValid():
		return fmt.Sprintf("%v holds %s with priority %d, which cannot be exceeded", e.Peer, r.spec.Vip, e.Priority)
	}
	return fmt.Sprintf("%s is being given away", r.spec.Vip)
}

// announce sends a gratuitous ARP or an unsolicited neighbour advertisement for each address.
func (h *holder) announce(r *router) {
	w := r.iface.wire
	if w == nil {
		return
	}
	mac := r.iface.link.MAC
	if r.spec.VMAC {
		mac = frame.VirtualMAC(r.four, r.spec.Config.VRID)
	}
	var failure error
	for _, p := range r.spec.Addresses {
		if r.four {
			h.frame = frame.GratuitousARP(h.frame[:0], mac, p.Addr())
		} else {
			h.frame = frame.NeighborAdvertisement(h.frame[:0], mac, p.Addr())
		}
		if err := w.Send(h.frame); err != nil {
			r.count.sendFailed++
			failure = err
			continue
		}
		r.count.announced++
	}
	h.failed(r, opAnnounce, failure)
}

// operation is something the system may refuse a router. Of each the failure that stands is told once, and its end.
type operation uint8

const (
	opSend operation = iota
	opAnnounce
	opAdd
	opRemove
	opMacvlan
	opReceive
	opConfigure

	operations
)

// failed reports whether err is one, and tells of one that was not there before and of the end of one.
func (h *holder) failed(r *router, op operation, err error) bool {
	if err == nil {
		if r.failing[op] != "" {
			h.tellOf(r, wire.Tell{Kind: wire.TellFailed, Detail: r.failing[op], Gone: true})
			r.failing[op] = ""
		}
		return false
	}
	if text := err.Error(); r.failing[op] != text {
		r.failing[op] = text
		h.tellOf(r, wire.Tell{Kind: wire.TellFailed, Detail: text})
	}
	return true
}
