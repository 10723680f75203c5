package holder

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/frame"
	"github.com/everup/everup/shared/vip/internal/sock"
	"github.com/everup/everup/shared/vrrp"
)

// port is a socket and the routers that use it.
type port struct {
	key     portKey
	socket  socket
	routers []*router
}

type portKey struct {
	index     int
	source    netip.Addr
	multicast bool
}

// settle reads interfaces of which there was news, and puts all that depends on them in order.
func (h *holder) settle(now time.Duration) {
	if !h.dirty {
		return
	}
	h.dirty = false
	fresh := map[*iface]bool{}
	for _, i := range h.ifaces {
		if i.dirty {
			i.dirty = false
			fresh[i] = true
			h.read(i)
		}
	}
	h.each(func(g *group) {
		for k, r := range g.routers {
			if fresh[r.iface] {
				h.prepare(now, g, k)
			}
		}
	})
	h.assessAll(now)
	for r := range h.routers() {
		if fresh[r.iface] {
			h.look(now, r)
		}
	}
}

// read reads an interface's state and addresses.
func (h *holder) read(i *iface) {
	link, err := h.sys.Link(i.name)
	if err != nil {
		h.lose(i)
		if !errors.Is(err, fault.NotFound) {
			i.dirty, h.changed = true, true // the next look tries again
		}
		return
	}
	if i.there && link.Index != i.link.Index {
		h.lose(i)
	}
	if i.there && (link.MTU != i.link.MTU || link.Up && !i.link.Up) {
		h.rejoin(link.Index)
	}
	i.link, i.there = link, true
	h.readAddrs(i)
}

// rejoin has the sockets of an interface join their groups anew: with an MTU too small for IPv6 the kernel forgets them, and
// switches may have.
func (h *holder) rejoin(index int) {
	for _, p := range h.ports {
		if p.key.index == index {
			h.failed(p.routers[0], opReceive, p.socket.Rejoin())
		}
	}
}

func (h *holder) readAddrs(i *iface) {
	addrs, err := h.sys.AppendAddrs(i.addrs[:0], i.link.Index)
	if i.stale = err != nil; !i.stale {
		i.addrs = addrs
	}
}

// lose lets go of what an interface had.
func (h *holder) lose(i *iface) {
	i.there, i.addrs = false, nil
	i.shut()
	for r := range h.routers() {
		if r.iface == i {
			h.closePort(r)
			r.macvlan.Index = 0
		}
	}
}

func (i *iface) shut() {
	if i.wire != nil {
		i.wire.Close()
		i.wire = nil
	}
}

// prepare brings a router as far as its interface allows; trouble says what is missing.
func (h *holder) prepare(now time.Duration, g *group, member int) {
	r := g.routers[member]
	r.trouble = r.iface.silent()
	if !r.iface.there {
		return
	}
	moved := false
	if source := h.source(r); !source.IsValid() {
		r.trouble = fmt.Sprintf("interface %s has no IPv%d address to send from", r.iface.name, r.family())
		if r.spec.Source.IsValid() {
			r.trouble = fmt.Sprintf("interface %s does not have the source %v", r.iface.name, r.spec.Source)
		}
	} else if source != r.primary {
		r.primary = source
		h.closePort(r)
		moved = true
	}
	for _, err := range []error{h.openWire(r), h.openMacvlan(r), h.openPort(r), h.openInner(r)} {
		if err != nil && r.trouble == "" {
			r.trouble = err.Error()
		}
	}
	if moved {
		h.reconfigureMachine(now, g, member)
	}
}

// source returns the address that adverts are sent from: the configured one if it is there, else the interface's first that
// is not virtual. An owner may have no other than the virtual one. An address that is in use stays.
func (h *holder) source(r *router) netip.Addr {
	fit := func(a nl.Addr) bool {
		addr := a.Prefix.Addr()
		return addr.Is4() == r.four && !a.Tentative && !a.Failed && (r.four || addr.IsLinkLocalUnicast())
	}
	var first, own netip.Addr
	for _, a := range r.iface.addrs {
		addr := a.Prefix.Addr()
		virtual := h.virtual[addr]
		switch {
		case !fit(a):
		case r.spec.Source.IsValid():
			if addr == r.spec.Source {
				return addr
			}
		case !virtual && addr == r.primary:
			return addr
		case !virtual && !first.IsValid():
			first = addr
		case virtual && r.owner() && !own.IsValid() && !slices.Contains(r.added, a.Prefix):
			own = addr
		}
	}
	if first.IsValid() {
		return first
	}
	return own
}

func (h *holder) openWire(r *router) error {
	if r.iface.wire != nil {
		return nil
	}
	w, err := h.sys.Transmit(r.iface.link.Index)
	if err == nil {
		r.iface.wire = w
	}
	return err
}

// openMacvlan makes the router's macvlan, down and without addresses, or uses the one of an earlier life.
func (h *holder) openMacvlan(r *router) error {
	if !r.spec.VMAC {
		return nil
	}
	if r.macvlan.Index != 0 {
		link, err := h.sys.Link(r.macvlan.Name)
		if err == nil && link.Index == r.macvlan.Index {
			return nil
		}
		r.macvlan.Index = 0
		h.part(r, r.inner)
		r.inner = nil
	}
	parent := r.iface.link.Index
	if err := h.sys.SetIPv4Conf(parent, parentConf()); err != nil {
		return err
	}
	want := nl.Macvlan{Name: macvlanName(r), Parent: parent, MAC: frame.VirtualMAC(r.four, r.spec.Config.VRID)}
	if link, err := h.sys.Link(want.Name); err == nil {
		if link.Kind == "macvlan" && link.Parent == want.Parent && link.MAC == want.MAC {
			r.macvlan = link
			return nil
		}
		if err := h.sys.RemoveLink(link.Index); err != nil {
			return err
		}
	}
	link, err := h.sys.AddMacvlan(want)
	if err == nil {
		r.macvlan = link
	}
	return err
}

// parentConf has a macvlan's parent answer no ARP for the macvlan's addresses, nor name them as senders of its own requests,
// from which neighbours would learn the parent's MAC for them.
func parentConf() map[int]int {
	return map[int]int{nl.ARPFilter: 1, nl.ARPIgnore: 1, nl.ARPAnnounce: 2}
}

// macvlanName is unique in a network namespace; an interface's name has at most 15 bytes.
func macvlanName(r *router) string {
	return fmt.Sprintf("ev%d.%d.%d", r.family(), r.spec.Config.VRID, r.iface.link.Index)
}

// openPort gives the router its socket.
func (h *holder) openPort(r *router) (err error) {
	if r.port == nil && r.primary.IsValid() {
		r.port, err = h.join(r, r.iface.link)
	}
	return err
}

// openInner gives a router with a macvlan a second socket there. While the macvlan is up the kernel passes what comes with the
// virtual MAC as its source to it, and not to its parent: those are the adverts of another Active router.
func (h *holder) openInner(r *router) (err error) {
	if r.inner == nil && r.macvlan.Index != 0 && r.primary.IsValid() && r.multicast() {
		r.inner, err = h.join(r, r.macvlan)
	}
	return err
}

// join returns a socket on a link, which routers share that send from the same address.
func (h *holder) join(r *router, on nl.Link) (*port, error) {
	key := portKey{on.Index, r.primary, r.multicast()}
	for _, p := range h.ports {
		if p.key == key {
			p.routers = append(p.routers, r)
			return p, p.socket.Filter(p.vrids())
		}
	}
	p := &port{key: key, routers: []*router{r}}
	s, err := h.sys.Listen(sock.Options{Link: on, Four: r.four, Source: r.primary, Multicast: key.multicast, VRIDs: p.vrids()})
	if err != nil {
		return nil, err
	}
	p.socket = s
	h.ports = append(h.ports, p)
	return p, nil
}

// closePort takes the router's sockets away.
func (h *holder) closePort(r *router) {
	h.part(r, r.port)
	h.part(r, r.inner)
	r.port, r.inner = nil, nil
}

// part closes a socket if no other router uses it.
func (h *holder) part(r *router, p *port) {
	if p == nil {
		return
	}
	p.routers = slices.DeleteFunc(p.routers, func(o *router) bool { return o == r })
	if len(p.routers) > 0 {
		h.failed(r, opReceive, p.socket.Filter(p.vrids()))
		return
	}
	h.ports = slices.DeleteFunc(h.ports, func(o *port) bool { return o == p })
	p.socket.Close()
}

// portOf returns the port of a socket, nil if it is closed by now.
func (h *holder) portOf(s socket) *port {
	for _, p := range h.ports {
		if p.socket == s {
			return p
		}
	}
	return nil
}

func (p *port) vrids() []vrrp.VRID {
	var ids []vrrp.VRID
	for _, r := range p.routers {
		if !slices.Contains(ids, r.spec.Config.VRID) {
			ids = append(ids, r.spec.Config.VRID)
		}
	}
	return ids
}
