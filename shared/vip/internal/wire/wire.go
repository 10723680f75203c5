// Package wire is what a daemon and its VRRP child say to each other over one stream socket that both inherit: frames of a
// length (4 bytes, big endian) and a JSON object, which is a Message with one field set. It is pure: Append makes a frame,
// Reader takes bytes as they come and gives messages. A frame has at most MaxFrame bytes, so that neither end can make
// the other allocate without bound.
//
// The daemon speaks first, with a Plan; the child answers Hello. A later Plan replaces the earlier one. The child tells
// what happens as it happens (Tell) and sends a Snapshot once a second and after each change. Neither waits for the other:
// the child drops a Tell that the socket does not take, counts it in Snapshot.Lost and goes on, for adverts are due; what
// counts is in the next Snapshot. Whoever reads the end of the stream knows that the other is dead.
package wire

import (
	"net/netip"
	"time"

	"github.com/everup/everup/shared/vrrp"
)

// MaxFrame bounds a message in bytes, its length not counted: a Plan of MaxRouters routers with 64 addresses each fits.
const MaxFrame = 1 << 20

// Bounds of a Plan.
const (
	MaxGroups  = 64
	MaxRouters = 128
	MaxAddrs   = 64 // of a router
	MaxPeers   = 16 // of a router
)

// Message is one frame's content: exactly one field is set.
type Message struct {
	// From the daemon.
	Plan    *Plan    `json:"plan,omitempty"`
	Verdict *Verdict `json:"verdict,omitempty"`
	Do      *Do      `json:"do,omitempty"`
	Beat    *Beat    `json:"beat,omitempty"`

	// From the child.
	Hello    *Hello    `json:"hello,omitempty"`
	Tell     *Tell     `json:"tell,omitempty"`
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	Done     *Done     `json:"done,omitempty"`
}

// Plan is all that the child is to hold.
type Plan struct {
	// ID counts plans; the Snapshot says which is in force.
	ID     uint64  `json:"id"`
	Groups []Group `json:"groups"`
	// Leftovers are addresses that this daemon may have added in an earlier life. Those that no router of the plan has
	// are removed when the plan is taken.
	Leftovers []Place `json:"leftovers,omitempty"`
	// Secrets authenticate adverts between own nodes, the sender's first; none: no router may have Authenticate.
	Secrets [][]byte `json:"secrets,omitempty"`
	// Sender names this node in the trailer; Epoch is greater than in any earlier life of the node.
	Sender uint64 `json:"sender"`
	Epoch  uint64 `json:"epoch"`
	// Lifeline is how long the daemon may be silent (Beat) before it counts as stuck, which is a fault of all
	// groups; 0: for ever.
	Lifeline time.Duration `json:"lifeline"`
}

// Place is an address on an interface.
type Place struct {
	Interface string       `json:"interface"`
	Prefix    netip.Prefix `json:"prefix"`
}

// Group is a set of routers that are Active together or not at all. A VIP without a group of its own is a Group of one
// router, or of two if it has addresses of both families.
type Group struct {
	Name    string   `json:"name"` // unique
	Routers []Router `json:"routers"`
	// Links are interfaces whose carrier counts, beside the routers' own, whose loss is a fault.
	Links []LinkTrack `json:"links,omitempty"`
}

// LinkTrack is a tracked interface: Weight 0 makes the loss of its carrier a fault, another is added to the priority
// while the carrier is lost (below 0) or there (above 0).
type LinkTrack struct {
	Interface string `json:"interface"`
	Weight    int    `json:"weight"`
}

// Router is one virtual router.
type Router struct {
	Vip       string         `json:"vip"` // the name in the configuration
	Interface string         `json:"interface"`
	Addresses []netip.Prefix `json:"addresses"` // of one family, as they are to be added; IPv6's first is link-local
	// Source is the primary address; not valid: the interface's first that is no virtual one (IPv6: link-local).
	Source netip.Addr `json:"source"`
	// Config lacks Addrs and Primary, which the child fills from Addresses and Source.
	Config vrrp.Config `json:"config"`

	// Peers get the adverts by unicast, and only their adverts are taken; none: multicast.
	Peers        []netip.Addr  `json:"peers,omitempty"`
	MinTTL       uint8         `json:"min_ttl"`      // 0: 255
	Authenticate bool          `json:"authenticate"` // unicast: a trailer is sent and demanded
	Checksum     vrrp.Checksum `json:"checksum"`     // ChecksumMessage, ChecksumPseudo, or ChecksumFixed: learn
	VMAC         bool          `json:"vmac"`         // the addresses live on a macvlan with the virtual MAC

	// Adopt says that this daemon's earlier child died while it was Active: the addresses stay, and it is Active from
	// the start.
	Adopt bool `json:"adopt,omitempty"`
}

// Verdict is what the daemon's own tracking found for a group. Until the first one for it a group stays in Initialize.
type Verdict struct {
	Group string `json:"group"`
	// Delta is added to the configured priority of the group's routers; the sum is kept within 1 to 254, and that
	// of an owner (255) is not changed.
	Delta int `json:"delta"`
	// Faults say in a few words each what is missing to offer the service; none: no fault.
	Faults []string `json:"faults,omitempty"`
}

// Verb is what a Do asks for.
type Verb string

// The verbs.
const (
	SwitchOver Verb = "switch-over" // give the addresses to a peer and stay as Backup
	TakeOver   Verb = "take-over"   // become Active although a peer is
	Release    Verb = "release"     // give the addresses to a peer and leave the election
	Resume     Verb = "resume"      // take part again after Release
	Stop       Verb = "stop"        // as Release of all groups; then remove macvlans and exit 0
)

// Do asks for something. It is answered by a Done with the same ID: for SwitchOver, Release and Stop when it has ended, for
// the others when it was accepted.
type Do struct {
	ID    uint64 `json:"id"`
	Verb  Verb   `json:"verb"`
	Group string `json:"group"` // "" for all: Release, Resume, Stop
	// Limit is how long a Release or Stop may wait for a peer, before the addresses are dropped without one; 0: the
	// machine's own bound.
	Limit time.Duration `json:"limit,omitempty"`
}

// Done answers a Do.
type Done struct {
	ID    uint64 `json:"id"`
	Error string `json:"error,omitempty"` // a sentence: why it was not done
}

// Beat says that the daemon is alive and serves.
type Beat struct{}
