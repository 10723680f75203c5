package holder

import (
	"fmt"
	"time"

	"github.com/everup/everup/shared/vip/internal/sock"
	"github.com/everup/everup/shared/vip/internal/trailer"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

const (
	// maxDrained bounds a drain; a socket's buffer holds fewer packets.
	maxDrained = 1 << 14
	// duplicate is how close two copies of an advert are to each other: closer than adverts of one router.
	duplicate = 2 * time.Millisecond
	// habitEvery is how often a change of a peer's checksum is told: two peers of a multicast group that differ change it
	// with each advert.
	habitEvery = time.Minute
)

// receive takes what a socket holds, so many packets as are a turn's.
func (h *holder) receive(now time.Duration, p *port) {
	for range turnPackets {
		if !h.receive1(now, p) {
			return
		}
	}
}

// drain takes all that the router's sockets held when it was called: until nothing is left, or what came later.
func (h *holder) drain(now time.Duration, r *router) {
	for _, p := range [...]*port{r.port, r.inner} {
		for range maxDrained {
			if p == nil || !h.receive1(now, p) || h.datagram.At > now {
				break
			}
		}
	}
}

// receive1 takes a packet; false: none was there.
func (h *holder) receive1(now time.Duration, p *port) bool {
	ok, err := p.socket.Recv(&h.datagram)
	if len(p.routers) > 0 {
		h.failed(p.routers[0], opReceive, err)
	}
	if !ok || err != nil {
		return false
	}
	d := &h.datagram
	if len(d.Payload) < 2 {
		return true // the socket's filter lets no such packet pass
	}
	for _, r := range p.routers {
		if byte(r.spec.Config.VRID) == d.Payload[1] && !r.twice(p, d) {
			h.onDatagram(now, r, d)
		}
	}
	return true
}

// twice reports whether an advert has come by the router's other socket too: the kernel gives a macvlan a copy of what its
// parent gets from other hosts' own MACs.
func (r *router) twice(by *port, d *sock.Datagram) bool {
	if r.inner == nil {
		return false
	}
	l := &r.last
	if l.by != by && l.src == d.Src && (d.At-l.at).Abs() < duplicate {
		return true
	}
	*l = arrival{d.Src, d.At, by}
	return false
}

// onDatagram makes the checks that are not the machine's and gives it the advert.
func (h *holder) onDatagram(now time.Duration, r *router, d *sock.Datagram) {
	from := r.peer(d.Src)
	switch {
	case r.multicast():
		if d.Dst != allRouters(r.four) {
			r.count.misdirected++
			return
		}
	case from == nil:
		r.count.strangers++
		return
	case d.Dst != r.primary:
		r.count.misdirected++
		return
	}
	payload, claim, authentic := h.authenticate(now, r, from, d)
	if !authentic {
		return
	}
	env := vrrp.Envelope{Src: d.Src, Dst: d.Dst, TTL: d.TTL, MinTTL: r.spec.MinTTL}
	if reason := r.advert.Packet.Parse(payload, env); reason != vrrp.Accepted {
		r.count.dropped[reason]++
		if reason == vrrp.ReasonLong && !r.spec.Authenticate {
			r.hostile.noteTrailer(h, now, r, d)
		}
		return
	}
	h.learn(now, r, from, d)
	r.advert.Src, r.advert.At = d.Src, d.At
	r.advert.NoPreempt, r.advert.Tenure = claim.NoPreempt, claim.Tenure
	r.rejected = false
	h.step(now, r.group, r.member(), vrrp.Event{Kind: vrrp.EvAdvert, Advert: &r.advert})
	if !r.rejected {
		r.count.received++
	}
}

// learn takes in the form of a checksum.
func (h *holder) learn(now time.Duration, r *router, from *peer, d *sock.Datagram) {
	habit := &r.habit
	if from != nil {
		habit = &from.habit
	}
	if form := r.advert.Checksum; habit.Learn(form) && now-r.habitAt >= habitEvery {
		r.habitAt = now
		h.tellOf(r, wire.Tell{Kind: wire.TellChecksum, Peer: d.Src, Detail: fmt.Sprintf("%v sends checksums of the form %v", d.Src, form)})
	}
}

// authenticate cuts off and judges the trailer of a router that has one.
func (h *holder) authenticate(now time.Duration, r *router, from *peer, d *sock.Datagram) (payload []byte, c trailer.Claim, ok bool) {
	if !r.spec.Authenticate {
		return d.Payload, c, true
	}
	payload, c, verdict := h.keys.Open(d.Payload, d.Src, d.Dst)
	if verdict == trailer.Accepted {
		verdict = from.window.Take(c, h.wall())
	}
	r.count.unauthentic[verdict]++ // the count of Accepted is not shown
	r.hostile.note(h, now, r, d.Src, verdict)
	return payload, c, verdict == trailer.Accepted
}

// member returns the router's place in its group.
func (r *router) member() int {
	for i, o := range r.group.routers {
		if o == r {
			return i
		}
	}
	return 0
}
