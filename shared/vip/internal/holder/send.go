package holder

import (
	"net/netip"

	"github.com/everup/everup/shared/vip/internal/frame"
	"github.com/everup/everup/shared/vip/internal/trailer"
	"github.com/everup/everup/shared/vrrp"
)

// send sends an advert: to each peer, or to the group of all routers.
func (h *holder) send(r *router, e vrrp.Effect) {
	r.m.Packet(e, &r.sending)
	if r.multicast() {
		h.sent(r, h.sendTo(r, e, allRouters(r.four), &r.habit))
		return
	}
	for i := range r.peers {
		h.sent(r, h.sendTo(r, e, r.peers[i].addr, &r.peers[i].habit))
	}
}

// allRouters is the group of RFC 9568 section 5.1.1.2 or 5.1.2.2.
func allRouters(four bool) netip.Addr {
	if four {
		return netip.AddrFrom4([4]byte{224, 0, 0, 18})
	}
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
}

func (h *holder) sendTo(r *router, e vrrp.Effect, dst netip.Addr, habit *vrrp.Habit) error {
	if r.port == nil || r.iface.wire == nil {
		return errClosed
	}
	r.sending.Checksum = habit.Send()
	b, err := r.sending.Append(h.packet[:0], r.primary, dst)
	if err != nil {
		return err
	}
	if r.spec.Authenticate {
		h.seq++
		b = h.keys.Append(b, trailer.Claim{
			Sender: h.sender, Epoch: h.epoch, Seq: h.seq, At: h.wall(),
			NoPreempt: !r.spec.Config.Preempt, Tenure: e.Tenure,
		}, r.primary, dst)
	}
	h.packet = b
	if r.spec.VMAC && r.multicast() {
		h.frame = frame.Advert(h.frame[:0], frame.VirtualMAC(r.four, r.spec.Config.VRID), r.primary, dst, b)
		return r.iface.wire.Send(h.frame)
	}
	return r.port.socket.Send(dst, b)
}

// sent counts an advert. What fails on an interface that is known to carry nothing is no news.
func (h *holder) sent(r *router, err error) {
	switch {
	case err == nil:
		r.count.sent++
		h.failed(r, opSend, nil)
	case r.trouble != "":
		r.count.sendFailed++
	default:
		r.count.sendFailed++
		h.failed(r, opSend, err)
	}
}
