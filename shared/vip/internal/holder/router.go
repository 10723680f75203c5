package holder

import (
	"net/netip"
	"time"

	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/trailer"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// router is a wire.Router and what has become of it.
type router struct {
	spec  wire.Router
	four  bool
	group *group
	iface *iface
	m     *vrrp.Machine

	primary  netip.Addr    // not valid: the machine has a placeholder
	port     *port         // adverts go out by it; nil: not open
	inner    *port         // on the macvlan, see openInner; nil: not open, or not wanted
	macvlan  nl.Link       // Index 0: not made, or not wanted
	trouble  string        // why it cannot take part
	priority vrrp.Priority // as tracking has it; the machine's

	swept   bool           // what an earlier life has left is removed, or adopted
	holding bool           // between DoAdd and DoRemove
	accept  bool           // of the last DoAdd
	added   []netip.Prefix // what we have put on the interface
	own     []netip.Prefix // an owner's, which the system has put there
	missing []netip.Prefix // found to be lost

	habit vrrp.Habit // multicast
	peers []peer     // unicast
	drain bool       // DoDrain was asked for

	advert   vrrp.Advert // received
	sending  vrrp.Packet
	last     arrival
	rejected bool // the machine did not take the advert
	hostile  hostility
	failing  [operations]string // what the system said last; "": it works
	habitAt  time.Duration      // when a change of habit was last told
	count    counters
}

// peer is a unicast peer.
type peer struct {
	addr   netip.Addr
	habit  vrrp.Habit
	window trailer.Window
}

// arrival is where an advert came in.
type arrival struct {
	src netip.Addr
	at  time.Duration
	by  *port
}

// counters are wire.Counters, to be counted without memory.
type counters struct {
	sent, sendFailed, received, announced  uint64
	activations, reasserted, readded, late uint64
	strangers, misdirected                 uint64
	dropped                                [vrrp.Reasons]uint64
	unauthentic                            [trailer.Verdicts]uint64
}

// routerKey says which router of a plan is the same as one that runs: a change of these makes another one.
type routerKey struct {
	iface   string
	four    bool
	vrid    vrrp.VRID
	version vrrp.Version
	vmac    bool
}

func keyOf(s *wire.Router) routerKey {
	return routerKey{s.Interface, isFour(s), s.Config.VRID, s.Config.Version, s.VMAC}
}

func isFour(s *wire.Router) bool { return s.Addresses[0].Addr().Is4() }

// newRouter returns a router whose machine is in Initialize.
func newRouter(s wire.Router) (*router, error) {
	r := &router{spec: s, four: isFour(&s), priority: s.Config.Priority, habitAt: -vrrp.Never / 2}
	m, err := vrrp.New(r.config())
	if err != nil {
		return nil, err
	}
	r.m = m
	r.configurePeers()
	return r, nil
}

// config returns the machine's configuration. Until there is an address to send from a placeholder keeps its place: the
// router is at fault so long, and sends nothing.
func (r *router) config() vrrp.Config {
	c := r.spec.Config
	c.Priority = r.priority
	c.Addrs = make([]netip.Addr, len(r.spec.Addresses))
	for i, p := range r.spec.Addresses {
		c.Addrs[i] = p.Addr()
	}
	c.Primary = r.primary
	switch {
	case r.primary.IsValid():
	case r.four:
		c.Primary = netip.AddrFrom4([4]byte{0, 0, 0, 1})
	default:
		c.Primary = netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: 1})
	}
	return c
}

// configurePeers keeps what is known of peers that stay.
func (r *router) configurePeers() {
	r.habit.Fixed = r.spec.Checksum
	peers := make([]peer, 0, len(r.spec.Peers))
	for _, a := range r.spec.Peers {
		p := peer{addr: a}
		if old := r.peer(a); old != nil {
			p = *old
		}
		p.habit.Fixed = r.spec.Checksum
		peers = append(peers, p)
	}
	r.peers = peers
}

// peer returns the unicast peer of an address, nil if it is none.
func (r *router) peer(a netip.Addr) *peer {
	for i := range r.peers {
		if r.peers[i].addr == a {
			return &r.peers[i]
		}
	}
	return nil
}

// multicast reports whether adverts go to the group of all routers.
func (r *router) multicast() bool { return len(r.spec.Peers) == 0 }

// device returns the index of the interface that has the addresses, 0 if there is none.
func (r *router) device() int {
	switch {
	case r.spec.VMAC:
		return r.macvlan.Index
	case r.iface.there:
		return r.iface.link.Index
	}
	return 0
}

// owner reports whether the addresses are the host's own.
func (r *router) owner() bool { return r.spec.Config.Priority == vrrp.PriorityOwner }

// family returns 4 or 6.
func (r *router) family() int {
	if r.four {
		return 4
	}
	return 6
}
