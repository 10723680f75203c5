package holder

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/shared/vip/internal/sock"
	"github.com/everup/everup/shared/vip/internal/trailer"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

var secret = []byte("a secret of thirty-two bytes ....")

// unicast returns a plan of one router with the peer 10.77.0.9, and an advert of that peer.
func unicast(authenticate bool) (wire.Plan, func(change func(d *sock.Datagram, p *vrrp.Packet)) sock.Datagram) {
	s := spec(51, addr)
	s.Peers, s.Authenticate = []netip.Addr{netipMust("10.77.0.9")}, authenticate
	plan := wire.Plan{ID: 1, Groups: []wire.Group{group1("g", s)}, Secrets: [][]byte{secret}, Sender: 1, Epoch: 1}
	make1 := func(change func(d *sock.Datagram, p *vrrp.Packet)) sock.Datagram {
		p := vrrp.Packet{Version: vrrp.V3, VRID: 51, Priority: 200, Interval: 100 * ms, Addrs: []netip.Addr{netipMust("10.77.0.100")}}
		d := sock.Datagram{Src: netipMust("10.77.0.9"), Dst: netipMust("10.77.0.1"), TTL: 255}
		change(&d, &p)
		b, err := p.Append(nil, d.Src, d.Dst)
		if err != nil {
			panic(err)
		}
		d.Payload = append(b, d.Payload...)
		return d
	}
	return plan, make1
}

// sign puts a trailer behind an advert.
func sign(d sock.Datagram, key []byte, c trailer.Claim) sock.Datagram {
	d.Payload = trailer.NewKeys([][]byte{key}).Append(d.Payload, c, d.Src, d.Dst)
	return d
}

func same(*sock.Datagram, *vrrp.Packet) {}

// counted hears a datagram and compares what was counted for it.
func (r *rig) counted(d sock.Datagram, want map[string]uint64, received uint64) {
	r.t.Helper()
	router := r.groups[0].routers[0]
	router.count = counters{}
	r.inject(d)
	r.hear()
	c := router.count.wire()
	if diff := cmp.Diff(want, c.Dropped); diff != "" || c.Received != received {
		r.t.Errorf("received %d, want %d; dropped (-want +got):\n%s", c.Received, received, diff)
	}
}

// TestUnicast: whose adverts are taken, and where to.
func TestUnicast(t *testing.T) {
	r := newRig(t)
	plan, advert := unicast(false)
	r.say(wire.Message{Plan: &plan})
	r.judge("g", 0)
	r.quiet()
	one := func(name string) map[string]uint64 { return map[string]uint64{name: 1} }
	r.counted(advert(same), map[string]uint64{}, 1)
	r.counted(advert(func(d *sock.Datagram, _ *vrrp.Packet) { d.Src = netipMust("10.77.0.8") }), one("peer"), 0)
	r.counted(advert(func(d *sock.Datagram, _ *vrrp.Packet) { d.Dst = allRouters(true) }), one("destination"), 0)
	r.counted(advert(func(d *sock.Datagram, _ *vrrp.Packet) { d.TTL = 254 }), one("ttl"), 0)
	r.counted(advert(func(d *sock.Datagram, _ *vrrp.Packet) { d.Payload = []byte{1} }), one("long"), 0)
	r.counted(advert(func(_ *sock.Datagram, p *vrrp.Packet) { p.VRID = 52 }), map[string]uint64{}, 0) // another's
	broken := advert(same)
	broken.Payload[2]++
	r.counted(broken, one("checksum"), 0)
	r.told()
	r.counted(sign(advert(same), secret, trailer.Claim{At: r.wall()}), one("long"), 0)
	r.told("v51 conflict trailer 10.77.0.9 authenticates its adverts, this host does not")
	r.counted(advert(func(_ *sock.Datagram, p *vrrp.Packet) { p.Checksum = vrrp.ChecksumPseudo }), map[string]uint64{}, 1)
	r.told("v51 checksum 10.77.0.9 sends checksums of the form pseudo")
}

// TestMulticast: a router that is configured for multicast takes nothing that was sent to it alone.
func TestMulticast(t *testing.T) {
	r := newRig(t)
	r.putPlan(group1("g", spec(51, addr)))
	r.judge("g", 0)
	_, advert := unicast(false)
	r.counted(advert(same), map[string]uint64{"destination": 1}, 0)
	r.counted(advert(func(d *sock.Datagram, _ *vrrp.Packet) { d.Dst = allRouters(true) }), map[string]uint64{}, 1)
}

// TestAuthentication: what is not authentic is counted, and told while it lasts.
func TestAuthentication(t *testing.T) {
	r := newRig(t)
	plan, advert := unicast(true)
	r.say(wire.Message{Plan: &plan})
	r.judge("g", 0)
	r.quiet()
	one := func(name string) map[string]uint64 { return map[string]uint64{name: 1} }
	claim := trailer.Claim{Sender: 9, Epoch: 1, Seq: 5, At: r.wall()}
	r.counted(sign(advert(same), secret, claim), map[string]uint64{}, 1)
	r.counted(sign(advert(same), secret, claim), one("auth_replayed"), 0)
	r.told()
	other := slices.Clone(secret)
	other[0]++
	r.counted(sign(advert(same), other, claim), one("auth_forged"), 0)
	r.counted(sign(advert(same), other, claim), one("auth_forged"), 0)
	r.told("v51 conflict secret adverts of 10.77.0.9 are authenticated with another secret than this host's")
	r.counted(advert(same), one("auth_missing"), 0)
	r.told("v51 conflict secret adverts of 10.77.0.9 are authenticated with another secret than this host's (gone)",
		"v51 conflict trailer 10.77.0.9 does not authenticate its adverts, this host demands it")
	claim.Seq++
	r.counted(sign(advert(same), secret, claim), map[string]uint64{}, 1)
	r.told("v51 conflict trailer 10.77.0.9 does not authenticate its adverts, this host demands it (gone)")

	stale := trailer.Claim{Sender: 10, Epoch: 1, Seq: 5, At: r.wall().Add(-time.Hour)}
	r.counted(sign(advert(same), secret, stale), one("auth_stale"), 0)
	r.quiet()
	r.run(hostilityTTL + 2*time.Second)
	if c := r.groups[0].routers[0].conflicts(); len(c) != 0 {
		t.Errorf("a silent peer is in conflict still: %v", c)
	}
}

// TestNoPreempt: the claim of one that holds and does not preempt is believed of an authenticated peer alone.
func TestNoPreempt(t *testing.T) {
	f := func(authenticate bool, want vrrp.State) {
		t.Helper()
		r := newRig(t)
		plan, advert := unicast(authenticate)
		plan.Groups[0].Routers[0].Config.Preempt = false
		plan.Groups[0].Routers[0].Config.Priority = 220
		r.say(wire.Message{Plan: &plan})
		r.judge("g", 0)
		r.run(350 * ms) // Active for less than Active_Down_Interval
		d := advert(same)
		if authenticate {
			d = sign(d, secret, trailer.Claim{Sender: 9, Epoch: 1, Seq: 1, At: r.wall(), NoPreempt: true, Tenure: vrrp.Incumbent})
		}
		r.inject(d)
		r.hear()
		if s := r.groups[0].routers[0].m.State(); s != want {
			t.Errorf("authenticated %v: it is %v, want %v", authenticate, s, want)
		}
	}
	f(true, vrrp.Backup)
	f(false, vrrp.Active)
}

// TestMacvlanCopies: adverts by either socket of a router with a macvlan are heard, and those by both once.
func TestMacvlanCopies(t *testing.T) {
	r := newRig(t)
	s := spec(51, addr)
	s.VMAC = true
	r.putPlan(group1("g", s))
	r.judge("g", 0)
	f := func(base, inner bool, want uint64) {
		t.Helper()
		r.now += 100 * ms
		for i, on := range []bool{base, inner} {
			if on {
				r.advert(s, 200, "10.77.0.9", r.now)
				if last := len(r.lab.sockets[0].inbox) - 1; i == 1 {
					r.lab.sockets[1].inbox = r.lab.sockets[0].inbox[last:]
					r.lab.sockets[0].inbox = r.lab.sockets[0].inbox[:last]
				}
			}
		}
		before := r.groups[0].routers[0].count.received
		r.hear()
		if n := r.groups[0].routers[0].count.received - before; n != want {
			t.Errorf("base %v, macvlan %v: heard %d times, want %d", base, inner, n, want)
		}
	}
	f(true, false, 1)
	f(false, true, 1)
	f(true, true, 1)
	f(false, true, 1)
}

// TestDrain: adverts that lie in the socket when the Down timer expires are heard before it is acted on; what comes while it
// is read does not hold it up.
func TestDrain(t *testing.T) {
	r := newRig(t)
	s := spec(51, addr)
	r.putPlan(group1("g", s))
	r.judge("g", 0)
	begin := r.now
	r.advert(s, 200, "10.77.0.9", begin+300*ms)
	r.now = begin + 365*ms
	r.turn()
	r.told("v51 state Backup startup")
	r.now = begin + 300*ms + 365*ms
	for range 1000 {
		r.advert(s, 50, "10.77.0.9", r.now+ms)
	}
	r.turn()
	r.told("v51 state Active preemption")
	if n := len(r.lab.sockets[0].inbox); n != 999 {
		t.Errorf("%d packets are left of 1000 that came while the first was read", n)
	}
}

// TestFloodIsBounded: a socket's turn has an end.
func TestFloodIsBounded(t *testing.T) {
	r := newRig(t)
	r.activate(spec(51, addr))
	for range 1000 {
		r.advert(spec(51, addr), 50, "10.77.0.9", r.now)
	}
	r.hear()
	if n := len(r.lab.sockets[0].inbox); n != 1000-turnPackets {
		t.Errorf("%d packets are left", n)
	}
}

// TestNoAllocation: adverts in and out need no memory.
func TestNoAllocation(t *testing.T) {
	r := newRig(t)
	plan, advert := unicast(true)
	r.say(wire.Message{Plan: &plan})
	r.judge("g", 0)
	d := advert(same)
	plain := len(d.Payload)
	keys := trailer.NewKeys([][]byte{secret})
	claim := trailer.Claim{Sender: 9, Epoch: 1, At: r.wall()}
	router := r.groups[0].routers[0]
	n := testing.AllocsPerRun(100, func() {
		claim.Seq++
		d.Payload = keys.Append(d.Payload[:plain], claim, d.Src, d.Dst)
		r.onDatagram(r.now, router, &d)
	})
	if n > 0 || router.count.received < 100 {
		t.Errorf("%v allocations for an advert received, %d received", n, router.count.received)
	}
	router.port = &port{socket: deaf{}}
	n = testing.AllocsPerRun(100, func() { r.send(router, vrrp.Effect{Kind: vrrp.DoSend, Priority: 100}) })
	if n > 0 || router.count.sent < 100 {
		t.Errorf("%v allocations for an advert sent, %d sent", n, router.count.sent)
	}
}

// deaf is a socket that logs nothing.
type deaf struct{ socket }

func (deaf) Send(netip.Addr, []byte) error { return nil }
