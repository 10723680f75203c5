package holder

import (
	"net/netip"
	"slices"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// wanted returns what is to be on the interface while the router is Active.
func (r *router) wanted() []netip.Prefix {
	if !r.accept {
		return nil
	}
	return r.spec.Addresses
}

// add makes the interface have the router's addresses, and none that an earlier configuration had.
func (h *holder) add(r *router, accept bool) {
	r.holding, r.accept = true, accept
	r.iface.stale = true
	index := r.device()
	if index == 0 {
		h.failed(r, opAdd, fault.New(fault.NotFound, "vip: interface %s is not there", r.spec.Interface))
		r.group.barren = true
		return
	}
	var failure error
	if r.spec.VMAC {
		failure = h.sys.SetUp(index, true)
	}
	before := r.added
	r.added = nil
	for _, p := range before {
		if !slices.Contains(r.wanted(), p) {
			h.detach(r, index, p)
		}
	}
	for _, p := range r.wanted() {
		if slices.Contains(r.own, p) && !slices.Contains(r.missing, p) {
			continue
		}
		if err := h.sys.AddAddr(index, p); err != nil {
			failure = err
			continue
		}
		r.added = append(r.added, p)
		h.readded(r, p)
	}
	r.missing = r.missing[:0]
	if h.failed(r, opAdd, failure) {
		r.group.barren = true
	} else {
		r.group.retryGap = 0
	}
}

const (
	minRetry = 10 * time.Second
	maxRetry = 10 * time.Minute
)

// postpone puts groups at fault that could not add an address: a holder without it would be worse than none.
func (h *holder) postpone(now time.Duration) {
	for _, g := range h.groups {
		if g.barren {
			g.barren = false
			g.retryGap = min(max(2*g.retryGap, minRetry), maxRetry)
			g.retryAt = now + g.retryGap
			h.assess(now, g)
		}
	}
}

// remove makes the interface not have the addresses, but for an owner's own.
func (h *holder) remove(r *router) {
	if !r.holding {
		return
	}
	r.holding = false
	r.missing = r.missing[:0]
	index := r.device()
	for _, p := range r.added {
		h.detach(r, index, p)
	}
	r.added = r.added[:0]
	if r.spec.VMAC && index != 0 && !h.sharesDevice(r) {
		h.failed(r, opMacvlan, h.sys.SetUp(index, false))
	}
}

// detach takes an address away, unless another router that follows this one has it on the same interface.
func (h *holder) detach(r *router, index int, p netip.Prefix) (taken bool) {
	if index == 0 || h.put(index, p) {
		return false
	}
	r.iface.stale = true
	return !h.failed(r, opRemove, h.sys.RemoveAddr(index, p))
}

// put reports whether a router that is Active has added an address.
func (h *holder) put(index int, p netip.Prefix) bool {
	for r := range h.routers() {
		if r.holding && r.device() == index && slices.Contains(r.added, p) {
			return true
		}
	}
	return false
}

// sharesDevice reports whether another router that is Active has its addresses on the same macvlan.
func (h *holder) sharesDevice(r *router) bool {
	for other := range h.routers() {
		if other != r && other.holding && other.device() == r.device() {
			return true
		}
	}
	return false
}

// sweep removes what is left of an earlier life of a router that is not Active.
func (h *holder) sweep(r *router) {
	r.swept = true
	index := r.device()
	for _, a := range h.present(r) {
		if slices.Contains(r.spec.Addresses, a.Prefix) && !slices.Contains(r.own, a.Prefix) {
			h.detach(r, index, a.Prefix)
		}
	}
	if r.spec.VMAC && index != 0 && !h.sharesDevice(r) {
		h.failed(r, opMacvlan, h.sys.SetUp(index, false))
	}
}

// present returns the addresses on the router's device.
func (h *holder) present(r *router) []nl.Addr {
	if !r.spec.VMAC {
		if r.iface.there && r.iface.stale {
			h.readAddrs(r.iface)
		}
		return r.iface.addrs
	}
	if r.macvlan.Index == 0 {
		return nil
	}
	addrs, err := h.sys.AppendAddrs(h.scratch[:0], r.macvlan.Index)
	if err != nil {
		return nil // the next look will find out
	}
	h.scratch = addrs
	return addrs
}

// clearLeftovers removes addresses of earlier plans that this one does not have, with the macvlans they are on.
func (h *holder) clearLeftovers(left []wire.Place) {
	if len(left) == 0 {
		return
	}
	links, err := h.sys.Links()
	if err != nil {
		h.tell(wire.Tell{Kind: wire.TellFailed, Detail: err.Error()})
		return
	}
	for _, place := range left {
		if h.plannedAt(place) {
			continue
		}
		for _, l := range links {
			if l.Name == place.Interface {
				h.clear(l, place, links)
			}
		}
	}
}

// clear removes a leftover from an interface, or the macvlan of ours over it that has it.
func (h *holder) clear(l nl.Link, place wire.Place, links []nl.Link) {
	err := h.sys.RemoveAddr(l.Index, place.Prefix)
	for _, m := range links {
		if err != nil || m.Kind != "macvlan" || m.Parent != l.Index || !virtualMAC(m.MAC) || h.inUse(m.Index) {
			continue
		}
		addrs, e := h.sys.AppendAddrs(nil, m.Index)
		if err = e; slices.ContainsFunc(addrs, func(a nl.Addr) bool { return a.Prefix == place.Prefix }) {
			err = h.sys.RemoveLink(m.Index)
		}
	}
	if err != nil {
		h.tell(wire.Tell{Kind: wire.TellFailed, Detail: err.Error()})
	}
}

// plannedAt reports whether a router has the address on the interface.
func (h *holder) plannedAt(place wire.Place) bool {
	for r := range h.routers() {
		if r.spec.Interface == place.Interface && slices.Contains(r.spec.Addresses, place.Prefix) {
			return true
		}
	}
	return false
}

func (h *holder) inUse(macvlan int) bool {
	for r := range h.routers() {
		if r.macvlan.Index == macvlan {
			return true
		}
	}
	return false
}

// virtualMAC reports whether a MAC is one of RFC 9568 section 7.3.
func virtualMAC(m nl.MAC) bool {
	return m[0] == 0 && m[1] == 0 && m[2] == 0x5e && m[3] == 0 && (m[4] == 1 || m[4] == 2)
}

// ours returns the router whose address a is, nil if there is none.
func (h *holder) ours(a nl.Addr) *router {
	for r := range h.routers() {
		if r.device() == a.Index && slices.Contains(r.spec.Addresses, a.Prefix) {
			return r
		}
	}
	return nil
}
