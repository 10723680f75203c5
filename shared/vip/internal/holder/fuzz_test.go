package holder

import (
	"net/netip"
	"testing"

	"github.com/everup/everup/shared/vip/internal/sock"
	"github.com/everup/everup/shared/vip/internal/trailer"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// FuzzDatagram: whatever comes from the network, a holder that does not know the secret's bytes in it stays as it was.
func FuzzDatagram(f *testing.F) {
	_, advert := unicast(true)
	good := advert(same)
	f.Add(good.Payload, byte(255), true)
	f.Add(sign(good, secret[1:], trailer.Claim{Sender: 9, Epoch: 1, Seq: 1}).Payload, byte(255), true)
	f.Add([]byte{0x31, 51}, byte(1), false)
	f.Fuzz(func(t *testing.T, payload []byte, ttl byte, fromPeer bool) {
		r := newRig(t)
		plan, _ := unicast(true)
		r.say(wire.Message{Plan: &plan})
		r.judge("g", 0)
		r.run(400 * ms)
		src := netip.AddrFrom4([4]byte{10, 77, 0, 8})
		if fromPeer {
			src = netipMust("10.77.0.9")
		}
		r.inject(sock.Datagram{Src: src, Dst: netipMust("10.77.0.1"), TTL: ttl, Payload: payload, At: r.now})
		r.hear()
		if m := r.groups[0].routers[0].m; m.State() != vrrp.Active {
			t.Errorf("it is %v by %v", m.State(), m.Status().Cause)
		}
	})
}

// FuzzControl: whatever the socket to the daemon gives, the holder does it or refuses it.
func FuzzControl(f *testing.F) {
	plan, _ := unicast(true)
	for _, m := range []wire.Message{
		{Plan: &plan}, {Plan: &wire.Plan{ID: 2, Groups: []wire.Group{group1("g", spec(51, addr), spec(52, "fe80::52/64"))}}},
		{Verdict: &wire.Verdict{Group: "g", Delta: -5}}, {Do: &wire.Do{ID: 3, Verb: wire.Release, Limit: ms}}, {Beat: &wire.Beat{}},
	} {
		b, err := wire.Append(nil, &m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRig(t)
		r.activate(spec(51, addr))
		var reader wire.Reader
		if reader.Feed(b, func(m *wire.Message) error { return r.take(r.now, m) }) != nil {
			return
		}
		r.finish(r.now)
		r.run(2000 * ms)
		r.shutdown(r.now)
		for _, a := range r.lab.addrs {
			if a.Prefix == prefix(addr) {
				t.Error("the address is left")
			}
		}
	})
}
