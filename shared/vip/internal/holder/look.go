package holder

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// lookAll compares the system with what is to be. News may be lost, and an interface may have been busy.
func (h *holder) lookAll(now time.Duration) {
	for _, i := range h.ifaces {
		i.dirty = true
	}
	h.dirty, h.changed = true, true
	h.settle(now)
	h.each(func(g *group) {
		for _, r := range g.routers {
			r.hostile.expire(h, now, r)
		}
	})
}

// look compares a router's addresses with those on its device.
func (h *holder) look(now time.Duration, r *router) {
	there := h.present(r)
	switch {
	case r.group.adoptBy != vrrp.Never:
		// What is there is to be adopted.
	case r.holding:
		h.lookForLost(now, r, there)
	case r.owner() && !r.spec.VMAC:
		r.own = r.own[:0]
		for _, p := range r.spec.Addresses {
			if contains(there, p) && !h.put(r.device(), p) {
				r.own = append(r.own, p)
			}
		}
	case !r.swept:
		h.sweep(r)
	default:
		h.lookForForeign(r, there)
	}
}

// lookForLost has the machine add again what is not there any more.
func (h *holder) lookForLost(now time.Duration, r *router, there []nl.Addr) {
	if r.device() == 0 || r.group.faulty {
		return // there is nothing to add them to
	}
	r.missing = r.missing[:0]
	for _, p := range r.wanted() {
		if !contains(there, p) {
			r.missing = append(r.missing, p)
		}
	}
	if len(r.missing) > 0 {
		h.step(now, r.group, slices.Index(r.group.routers, r), vrrp.Event{Kind: vrrp.EvAddressLost})
	}
}

// lookForForeign removes what a router that is not Active is not to have.
func (h *holder) lookForForeign(r *router, there []nl.Addr) {
	for _, p := range r.spec.Addresses {
		if contains(there, p) && h.detach(r, r.device(), p) {
			h.tellOf(r, wire.Tell{Kind: wire.TellRemoved, Detail: fmt.Sprintf("%v was on %s while this host is not to have it", p, r.spec.Interface)})
		}
	}
}

// readded tells of an address that was lost and is there again.
func (h *holder) readded(r *router, p netip.Prefix) {
	if slices.Contains(r.missing, p) {
		r.count.readded++
		h.tellOf(r, wire.Tell{Kind: wire.TellReadded, Detail: fmt.Sprintf("%v had been removed from %s by something else", p, r.spec.Interface)})
	}
}

func contains(addrs []nl.Addr, p netip.Prefix) bool {
	return slices.ContainsFunc(addrs, func(a nl.Addr) bool { return a.Prefix == p })
}
