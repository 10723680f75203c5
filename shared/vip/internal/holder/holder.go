package holder

import (
	"net/netip"
	"time"

	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/sock"
	"github.com/everup/everup/shared/vip/internal/trailer"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// turnPackets is how many packets of a socket are taken before others have their turn.
const turnPackets = 64

// holder is all that the child knows. Its methods are called from one goroutine, with the time on CLOCK_MONOTONIC.
type holder struct {
	sys    system
	daemon daemon
	hello  wire.Hello
	wall   func() time.Time

	planned  bool
	plan     uint64 // ID of the one in force
	sender   uint64
	epoch    uint64
	seq      uint64 // of the last authenticated advert
	keys     *trailer.Keys
	lifeline time.Duration
	beatAt   time.Duration // when the daemon was last known to live
	stuck    bool

	groups  []*group
	retired []*group // no longer planned; they leave
	ifaces  map[string]*iface
	ports   []*port
	virtual map[netip.Addr]bool // addresses that no adverts are sent from

	tasks   []task
	stopID  uint64
	stopped bool // all that Stop asks for is done

	lookAt     time.Duration // of the second's look
	snapshotAt time.Duration // the earliest time of the next
	changed    bool          // a Snapshot is due
	dirty      bool          // an interface is to be read anew

	datagram sock.Datagram
	packet   []byte // an advert to be sent
	frame    []byte
	scratch  []nl.Addr
}

// iface is an interface that routers or groups name.
type iface struct {
	name  string
	link  nl.Link
	there bool
	dirty bool
	addrs []nl.Addr
	stale bool        // addrs are of before we changed them
	wire  transmitter // nil: not opened
}

// group is a wire.Group and what has become of it.
type group struct {
	name     string
	routers  []*router // as the machines' members
	links    []wire.LinkTrack
	machines *vrrp.Group

	judged   bool // there has been a Verdict
	delta    int
	verdict  []string // the Verdict's faults
	faults   []string // all that stand
	faulty   bool
	released bool
	adoptBy  time.Duration // until when addresses to be adopted stay; Never: nothing is to be adopted
	refused  string        // TellRefused of the last step
	kept     bool          // TellKept likewise

	barren   bool          // an address could not be added just now
	retryAt  time.Duration // when that is tried again; Never: it has not failed
	retryGap time.Duration

	fx []vrrp.GroupEffect
}

// newHolder returns a holder of nothing.
func newHolder(sys system, d daemon, hello wire.Hello, wall func() time.Time, now time.Duration) *holder {
	return &holder{
		sys: sys, daemon: d, hello: hello, wall: wall,
		// Greater than in an earlier life that was given the same epoch.
		seq:    uint64(max(wall().UnixNano(), 0)),
		ifaces: map[string]*iface{}, virtual: map[netip.Addr]bool{},
		lookAt: now + lookEvery, beatAt: now,
		packet: make([]byte, 0, vrrp.MaxLen+trailer.Len), frame: make([]byte, 0, vrrp.MaxLen+trailer.Len+128),
	}
}

// take does what the daemon says. An error means that the stream is of no use.
func (h *holder) take(now time.Duration, m *wire.Message) error {
	switch {
	case m.Plan != nil:
		h.onPlan(now, m.Plan)
	case m.Verdict != nil:
		h.onVerdict(now, m.Verdict)
	case m.Do != nil:
		h.onDo(now, m.Do)
	case m.Beat != nil:
		h.onBeat(now)
	}
	return nil
}

// event takes the kernel's news. What they mean is read when the last of them has been taken: settle.
func (h *holder) event(e nl.Event) {
	switch e.Kind {
	case nl.Overrun:
		for _, i := range h.ifaces {
			i.dirty = true
		}
		h.dirty = true
	case nl.LinkChanged, nl.LinkGone:
		h.mark(e.Link.Index, e.Link.Name)
	case nl.AddrAdded:
		if r := h.ours(e.Addr); r == nil {
			h.mark(e.Addr.Index, "")
		}
	case nl.AddrGone:
		if r := h.ours(e.Addr); r == nil || r.holding {
			h.mark(e.Addr.Index, "")
		}
	}
}

// mark has an interface read anew: the one of the index, also if it is a router's macvlan, or of the name.
func (h *holder) mark(index int, name string) {
	for _, i := range h.ifaces {
		if i.name == name || i.there && i.link.Index == index {
			i.dirty, h.dirty = true, true
		}
	}
	for r := range h.routers() {
		if r.macvlan.Index != 0 && r.macvlan.Index == index {
			r.iface.dirty, h.dirty = true, true
		}
	}
}

// routers yields all routers, those that leave too.
func (h *holder) routers() func(yield func(*router) bool) {
	return func(yield func(*router) bool) {
		for _, all := range [...][]*group{h.groups, h.retired} {
			for _, g := range all {
				for _, r := range g.routers {
					if !yield(r) {
						return
					}
				}
			}
		}
	}
}

// each calls f for all groups, those that leave too.
func (h *holder) each(f func(g *group)) {
	for _, g := range h.groups {
		f(g)
	}
	for _, g := range h.retired {
		f(g)
	}
}

// find returns a planned group, nil if there is none of the name.
func (h *holder) find(name string) *group {
	for _, g := range h.groups {
		if g.name == name {
			return g
		}
	}
	return nil
}
