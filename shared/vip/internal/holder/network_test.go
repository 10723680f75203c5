package holder_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

var fleetSecret = []byte("thirty-two bytes of fleet secret")

// byUnicast is one router that speaks to its peer alone, authenticated.
func byUnicast(_, peer *labtest.Host, p vrrp.Priority) wire.Router {
	r := spec(51, p, vip)
	r.Peers, r.Authenticate = []netip.Addr{peer.Addr()}, true
	return r
}

// TestUnicast: authenticated adverts between two hosts; a third that knows the VRID but no secret changes nothing.
func TestUnicast(t *testing.T) {
	lab := labtest.New(t)
	ha, hb, hc := lab.Host("a"), lab.Host("b"), lab.Host("c")
	a, b := start(t, ha), start(t, hb)
	for i, n := range []*node{a, b} {
		p := planOf(uint64(i+1), byUnicast(nil, []*labtest.Host{hb, ha}[i], []vrrp.Priority{200, 150}[i]))
		p.Secrets = [][]byte{fleetSecret}
		n.plan(p)
		n.wait([]string{"Active", "Backup"}[i])
	}
	// The stranger claims the highest priority, from the peer's address.
	pk := vrrp.Packet{Version: vrrp.V3, VRID: 51, Priority: 255, Interval: interval, Addrs: []netip.Addr{netip.MustParseAddr(vipIP)}}
	payload, err := pk.Append(nil, hb.Addr(), ha.Addr())
	if err != nil {
		t.Fatal(err)
	}
	inject(t, hc, hb.Addr(), ha.Addr(), 20, func(int) []byte { return payload })
	a.heard(wire.TellConflict, "trailer")
	inject(t, hc, hc.Addr(), ha.Addr(), 5, func(int) []byte { return payload })
	labtest.Eventually(t, patience, "a counts what it drops", func() error {
		if d := a.router(0).Counters.Dropped; d["auth_missing"] != 20 || d["peer"] != 5 {
			return fmt.Errorf("dropped %v", d)
		}
		return nil
	})
	if st := a.router(0); st.State != "Active" || st.Counters.Activations != 1 {
		t.Errorf("a is %s, %d times Active", st.State, st.Counters.Activations)
	}
	if why := a.ask(wire.SwitchOver, "g"); why != "" {
		t.Error(why)
	}
	b.wait("Active")
}

// TestOtherSecret: two hosts that do not believe each other are both Active: each says why.
func TestOtherSecret(t *testing.T) {
	lab := labtest.New(t)
	ha, hb := lab.Host("a"), lab.Host("b")
	a, b := start(t, ha), start(t, hb)
	for i, n := range []*node{a, b} {
		p := planOf(uint64(i+1), byUnicast(nil, []*labtest.Host{hb, ha}[i], 150))
		secret := append([]byte{byte(i)}, fleetSecret...)
		p.Secrets = [][]byte{secret}
		n.plan(p)
	}
	a.wait("Active")
	b.wait("Active")
	a.heard(wire.TellConflict, "secret")
	b.heard(wire.TellConflict, "secret")
	labtest.Eventually(t, patience, "the status names the peer", func() error {
		st := a.router(0)
		if len(st.Conflicts) != 1 || !strings.Contains(st.Conflicts[0], hb.Addr().String()) || st.Counters.Dropped["auth_forged"] == 0 {
			return fmt.Errorf("conflicts %v, dropped %v", st.Conflicts, st.Counters.Dropped)
		}
		return nil
	})
}

// TestVMAC: the address has the virtual MAC, and takes it along.
func TestVMAC(t *testing.T) {
	s := newTrio(t, func(_, _ *labtest.Host, p vrrp.Priority) []wire.Router {
		r := spec(51, p, vip)
		r.VMAC = true
		return []wire.Router{r}
	})
	const mac = "00:00:5e:00:01:33"
	neighbourAfterPing(t, s.client, vipIP, mac)
	e := echoes(t, s.client, vipIP, func() {
		pass(t, s.client, 100*ms)
		if why := s.a.ask(wire.SwitchOver, "g"); why != "" {
			t.Error(why)
		}
		s.b.wait("Active")
		pass(t, s.client, 100*ms)
	})
	t.Logf("%d echoes sent, %d received, longest gap %v", e.sent, e.received, e.gap)
	if lost := e.sent - e.received; lost > 1 {
		t.Errorf("%d echoes are lost", lost)
	}
	neighbour(t, s.client, vipIP, mac)
	name := fmt.Sprintf("ev4.51.%s", strings.Split(s.a.host.Run("ip", "-o", "link", "show", "eth0"), ":")[0])
	if out := s.a.host.Run("ip", "-o", "link", "show", name); strings.Contains(out, ",UP") || strings.Contains(out, "<UP") {
		t.Errorf("the Backup's macvlan is up: %s", out)
	}
	s.a.ask(wire.Stop, "")
	s.a.proc.Wait(patience)
	if out := s.a.host.Run("ip", "-o", "link", "show", "type", "macvlan"); out != "" {
		t.Errorf("left: %s", out)
	}
}

// TestVMACSplit: two holders with the same MAC hear each other once the split heals; the client's way leads to one. IPv6.
func TestVMACSplit(t *testing.T) {
	s := newTrio(t, func(_, _ *labtest.Host, p vrrp.Priority) []wire.Router {
		r := spec(51, p, "fe80::51/64", vip6)
		r.VMAC = true
		return []wire.Router{r}
	})
	s.lab.Cut(s.a.host, s.b.host)
	s.b.wait("Active")
	s.lab.Heal(s.a.host, s.b.host)
	s.b.wait("Backup")
	s.a.wait("Active")
	hasEventually(t, s.b.host, vip6, false)
	neighbourAfterPing(t, s.client, vip6IP, "00:00:5e:00:02:33")
	if !s.client.Ping(vip6IP) {
		t.Error("the address does not answer")
	}
}

// TestIPv6: the neighbour table of a client follows.
func TestIPv6(t *testing.T) {
	s := newTrio(t, func(_, _ *labtest.Host, p vrrp.Priority) []wire.Router {
		return []wire.Router{spec(51, p, "fe80::51/64", vip6)}
	})
	neighbourAfterPing(t, s.client, vip6IP, macOf(s.a.host, "eth0"))
	if why := s.a.ask(wire.SwitchOver, "g"); why != "" {
		t.Error(why)
	}
	s.b.wait("Active")
	neighbour(t, s.client, vip6IP, macOf(s.b.host, "eth0"))
	hasEventually(t, s.a.host, "fe80::51/64", false)
	hasEventually(t, s.a.host, vip6, false)
}

// TestGroup: IPv4 and IPv6 of one service move together: a fault of one network moves both.
func TestGroup(t *testing.T) {
	lab := labtest.New(t)
	second := lab.Network()
	both := []*labtest.Network{lab.Default(), second}
	ha, hb := lab.Host("a", both...), lab.Host("b", both...)
	a, b := start(t, ha), start(t, hb)
	routers := func(p vrrp.Priority) []wire.Router {
		inner := spec(52, p, "fe80::52/64", "fd77:0:0:1::100/128")
		inner.Interface = "eth1"
		return []wire.Router{spec(51, p, vip), inner}
	}
	a.plan(planOf(1, routers(200)...))
	a.wait("Active")
	b.plan(planOf(2, routers(150)...))
	b.wait("Backup")
	lab.Switch().Run("ip", "link", "set", ha.Port(second), "down")
	a.wait("Initialize")
	b.wait("Active")
	hasEventually(t, ha, vip, false)
	lab.Switch().Run("ip", "link", "set", ha.Port(second), "up")
	a.wait("Active")
	b.wait("Backup")
}

// TestFlood: 10 000 packets of our VRID that are no adverts neither delay adverts nor move the address.
func TestFlood(t *testing.T) {
	s := newTrio(t, plain)
	began := time.Now()
	const packets = 10000
	junk := make([]byte, 40)
	inject(t, s.client, s.client.Addr(), netip.MustParseAddr("224.0.0.18"), packets, func(i int) []byte {
		binary.BigEndian.PutUint32(junk[8:], uint32(i))
		junk[0], junk[1], junk[3] = 0x31, 51, 2
		return junk
	})
	pass(t, s.client, 4*interval)
	for _, n := range []*node{s.a, s.b} {
		labtest.Eventually(t, patience, n.host.Name+" counts junk", func() error {
			d := n.router(0).Counters.Dropped
			var sum uint64
			for _, k := range d {
				sum += k
			}
			if sum < packets/10 { // the kernel drops what the socket's buffer does not hold
				return fmt.Errorf("dropped %v", d)
			}
			t.Logf("%s dropped %v", n.host.Name, d)
			return nil
		})
	}
	if at, moved := s.seen.since(began, "b", true); moved {
		t.Errorf("b took the address %v after the flood began", at.Sub(began))
	}
	if late := s.a.router(0).Counters.Late; late != 0 {
		t.Errorf("%d timers were late", late)
	}
}

// TestLeftovers: of a configuration that is no more.
func TestLeftovers(t *testing.T) {
	lab := labtest.New(t)
	h := lab.Host("a")
	h.Run("ip", "addr", "add", "10.77.0.111/32", "dev", "eth0")
	n := start(t, h)
	p := planOf(1, spec(51, 100, vip))
	p.Leftovers = []wire.Place{{Interface: "eth0", Prefix: netip.MustParsePrefix("10.77.0.111/32")}}
	n.plan(p)
	hasEventually(t, h, "10.77.0.111/32", false)
	n.wait("Active")
	if n.hello == nil || len(n.hello.Missing) > 0 {
		t.Errorf("hello is %+v", n.hello)
	}
}

// inject sends packets of protocol 112 with any source from a host.
func inject(t *testing.T, h *labtest.Host, src, dst netip.Addr, count int, payload func(i int) []byte) {
	t.Helper()
	err := h.In(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "eth0"); err != nil {
			return err
		}
		s, d := src.As4(), dst.As4()
		for i := range count {
			body := payload(i)
			b := []byte{0x45, 0xc0, 0, 0, 0, 0, 0, 0, 255, vrrp.Protocol, 0, 0}
			b = append(append(append(b, s[:]...), d[:]...), body...)
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
			for err = unix.EAGAIN; err == unix.EAGAIN || err == unix.ENOBUFS; {
				err = unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: d})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
