// Package memnet is a network in memory for tests in virtual time (testing/synctest): packets and streams between
// endpoints, with latency, loss, cut links and links that drop one way. An Endpoint is what member.Transport asks for; its
// Listener and Dial serve any other test that wants a network that can be broken.
//
// Whether a packet is lost follows from the seed, the two addresses and the packet's number on its way, so that a run
// can be repeated as far as the program under test repeats itself.
//
// What is cut behaves as a pulled cable does: packets vanish, what is written to a stream arrives when the link is whole
// again, dialling hangs until its context ends. An endpoint that is closed behaves as a killed process on a living host:
// its streams break and dialling it is refused. Loss delays streams by a retransmission for each segment lost.
package memnet

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds and figures of the network.
const (
	maxQueue   = 4096                   // packets that wait in one endpoint; further ones are lost
	retransmit = 200 * time.Millisecond // delay of a stream's segment that was lost
	firstRetry = time.Second            // before dialling is tried again
	maxPacket  = 65507                  // bytes
)

// Net is a network. Safe for concurrent use.
type Net struct {
	seed uint64

	mu        sync.Mutex
	endpoints map[netip.AddrPort]*Endpoint
	latency   time.Duration
	loss      float64
	cut       map[way]bool
	sent      map[way]uint64
	changed   chan struct{} // closed and replaced when a link changes
	next      uint16        // port for Listen with port 0
}

// way is one direction between two hosts.
type way struct{ from, to netip.Addr }

// New returns a network with a latency of 200 µs and no loss.
func New(seed uint64) *Net {
	return &Net{
		seed: seed, endpoints: map[netip.AddrPort]*Endpoint{}, latency: 200 * time.Microsecond,
		cut: map[way]bool{}, sent: map[way]uint64{}, changed: make(chan struct{}), next: 32768,
	}
}

// SetLatency sets the time each packet and each write to a stream takes.
func (n *Net) SetLatency(d time.Duration) { n.change(func() { n.latency = d }) }

// SetLoss sets the share of packets, 0 to 1, that get lost on every link.
func (n *Net) SetLoss(share float64) { n.change(func() { n.loss = share }) }

// Drop loses all that goes from one host to another; the other direction works.
func (n *Net) Drop(from, to netip.Addr) { n.change(func() { n.cut[way{from, to}] = true }) }

// Cut loses all between two hosts.
func (n *Net) Cut(a, b netip.Addr) {
	n.change(func() { n.cut[way{a, b}], n.cut[way{b, a}] = true, true })
}

// Heal mends both directions between two hosts.
func (n *Net) Heal(a, b netip.Addr) {
	n.change(func() { delete(n.cut, way{a, b}); delete(n.cut, way{b, a}) })
}

// Partition cuts all links between hosts of different groups.
func (n *Net) Partition(groups ...[]netip.Addr) {
	n.change(func() {
		for i, g := range groups {
			for _, h := range groups[:i] {
				n.cutGroupsLocked(g, h)
			}
		}
	})
}

func (n *Net) cutGroupsLocked(g, h []netip.Addr) {
	for _, a := range g {
		for _, b := range h {
			n.cut[way{a, b}], n.cut[way{b, a}] = true, true
		}
	}
}

// Isolate cuts a host from all that have endpoints now.
func (n *Net) Isolate(a netip.Addr) {
	n.change(func() {
		for other := range n.endpoints {
			if other.Addr() != a {
				n.cutGroupsLocked([]netip.Addr{a}, []netip.Addr{other.Addr()})
			}
		}
	})
}

// HealAll mends all links.
func (n *Net) HealAll() { n.change(func() { clear(n.cut) }) }

func (n *Net) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.changed)
	n.changed = make(chan struct{})
}

// Listen opens an endpoint at addr; port 0 takes a free one. An address in use is an error.
func (n *Net) Listen(addr netip.AddrPort) (*Endpoint, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for addr.Port() == 0 || (n.endpoints[addr] != nil && n.next == addr.Port()) {
		n.next++
		addr = netip.AddrPortFrom(addr.Addr(), n.next)
	}
	if n.endpoints[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "mem", Err: errors.New("address already in use")}
	}
	e := newEndpoint(n, addr)
	n.endpoints[addr] = e
	return e, nil
}

// send returns when a packet arrives, or that it does not.
func (n *Net) send(from, to netip.Addr) (delay time.Duration, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := way{from, to}
	n.sent[w]++
	return n.latency, !n.cut[w] && !n.lostLocked(w, n.sent[w])
}

// segment returns when a stream's segment arrives, if the link is whole by then.
func (n *Net) segment(from, to netip.Addr) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := way{from, to}
	delay := n.latency
	for n.sent[w]++; n.lostLocked(w, n.sent[w]); n.sent[w]++ {
		delay += retransmit
	}
	return delay
}

// up reports whether a way is whole, and a channel that is closed when that may have changed.
func (n *Net) up(from, to netip.Addr) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cut[way{from, to}], n.changed
}

// lostLocked decides on the k-th packet of a way.
func (n *Net) lostLocked(w way, k uint64) bool {
	if n.loss <= 0 {
		return false
	}
	x := n.seed ^ mixAddr(w.from) ^ 3*mixAddr(w.to) ^ mix(k)
	return float64(mix(x)>>11)/(1<<53) < n.loss
}

func (n *Net) lookup(a netip.AddrPort) *Endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.endpoints[a]
}

func mixAddr(a netip.Addr) uint64 {
	b := a.As16()
	var x uint64
	for _, c := range b {
		x = mix(x ^ uint64(c))
	}
	return x
}

// mix is the finalizer of SplitMix64: a bijection that spreads every bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
