package sock

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/vrrp"
)

// TestExchange: an advert arrives as it was sent, and says where from, where to, with what TTL and when.
func TestExchange(t *testing.T) {
	ways(t, func(t *testing.T, four, multicast bool) {
		a, b := two(t)
		from, at := a.open(four, multicast), b.open(four, multicast)
		dst := to(b, four, multicast)
		packet := advert(t, 51, a.addr(four), dst, 1)
		before := Now()
		send(t, from, dst, packet)
		d := recv(t, at)
		if d.At < before || d.At > Now() {
			t.Errorf("received at %v, but sent between %v and %v", d.At, before, Now())
		}
		if d.Src != a.addr(four) || d.Dst != dst || d.TTL != 255 || !bytes.Equal(d.Payload, packet) {
			t.Errorf("sent %x to %v, received %+v", packet, dst, d)
		}
		if _, r := parse(d); r != vrrp.Accepted {
			t.Errorf("refused: %v", r)
		}
		none(t, at)
		none(t, from)
	})
}

// TestFrame looks at the frame of an advert: TTL, class of traffic, and addresses.
func TestFrame(t *testing.T) {
	ways(t, func(t *testing.T, four, multicast bool) {
		a, b := two(t)
		from, tap := a.open(four, multicast), b.tap()
		dst := to(b, four, multicast)
		packet := advert(t, 51, a.addr(four), dst, 1)
		send(t, from, dst, packet)

		ethertype, next, ttl, addrs, payload := uint16(unix.ETH_P_IPV6), 6, 7, 8, 40
		if four {
			ethertype, next, ttl, addrs, payload = unix.ETH_P_IP, 9, 8, 12, 20
		}
		f := frame(t, tap, ethertype, func(f []byte) bool { return f[headerEther+next] == vrrp.Protocol })
		mac := b.link.MAC[:]
		if multicast && four {
			mac = []byte{0x01, 0x00, 0x5e, 0x00, 0x00, 0x12}
		} else if multicast {
			mac = []byte{0x33, 0x33, 0x00, 0x00, 0x00, 0x12}
		}
		if !bytes.Equal(f[:6], mac) || !bytes.Equal(f[6:12], a.link.MAC[:]) {
			t.Errorf("from %x to %x", f[6:12], f[:6])
		}
		ip := f[headerEther:]
		class := ip[1]
		if !four {
			class = ip[0]<<4 | ip[1]>>4
		}
		if class != 0xc0 {
			t.Errorf("class of traffic %#x", class)
		}
		if ip[ttl] != 255 {
			t.Errorf("TTL %d", ip[ttl])
		}
		want := slices.Concat(a.addr(four).AsSlice(), dst.AsSlice())
		if !bytes.Equal(ip[addrs:payload], want) {
			t.Errorf("addresses %x, want %x", ip[addrs:payload], want)
		}
		if rest := ip[payload:]; !bytes.HasPrefix(rest, packet) {
			t.Errorf("payload %x, want %x", rest, packet)
		}
	})
}

// TestForeignTTL: a packet that has passed a router is delivered with its TTL, for the caller to count and drop.
func TestForeignTTL(t *testing.T) {
	ways(t, func(t *testing.T, four, multicast bool) {
		a, b := two(t)
		from, at := a.open(four, multicast), b.open(four, multicast)
		hops := []setting{
			{"", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 64}, {"", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 64},
		}
		if four {
			hops = []setting{{"", unix.IPPROTO_IP, unix.IP_TTL, 64}, {"", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 64}}
		}
		if err := from.set(hops); err != nil {
			t.Fatal(err)
		}
		dst := to(b, four, multicast)
		send(t, from, dst, advert(t, 51, a.addr(four), dst, 1))
		d := recv(t, at)
		if _, r := parse(d); d.TTL != 64 || r != vrrp.ReasonTTL {
			t.Errorf("TTL %d, %v", d.TTL, r)
		}
	})
}

// TestForeignVRID: the kernel drops VRIDs that are not asked for, and takes another filter while packets come.
func TestForeignVRID(t *testing.T) {
	ways(t, func(t *testing.T, four, multicast bool) {
		a, b := two(t)
		from, at := a.open(four, multicast), b.open(four, multicast)
		dst := to(b, four, multicast)
		f := func(sent []vrrp.VRID, want ...vrrp.VRID) {
			t.Helper()
			for _, id := range sent {
				send(t, from, dst, advert(t, id, a.addr(four), dst, 1))
			}
			for _, id := range want {
				if p, r := parse(recv(t, at)); r != vrrp.Accepted || p.VRID != id {
					t.Errorf("VRID %d, %v; want %d", p.VRID, r, id)
				}
			}
			none(t, at)
		}
		f([]vrrp.VRID{52, 50, 255, 51}, 51)
		if err := at.Filter([]vrrp.VRID{255, 52, 52}); err != nil {
			t.Fatal(err)
		}
		f([]vrrp.VRID{51, 52, 50, 255}, 52, 255)
	})
}

// TestOptions: a header of IPv4 with options is longer.
func TestOptions(t *testing.T) {
	a, b := two(t)
	from, at := a.open(true, true), b.open(true, true)
	if err := unix.SetsockoptString(from.Fd(), unix.IPPROTO_IP, unix.IP_OPTIONS, "\x01\x01\x01\x01\x01\x01\x01\x00"); err != nil {
		t.Fatal(err)
	}
	send(t, from, Group(true), advert(t, 52, a.v4, Group(true), 1))
	packet := advert(t, 51, a.v4, Group(true), 1)
	send(t, from, Group(true), packet)
	d := recv(t, at)
	if header := at.in.data[0]; header != 0x47 {
		t.Fatalf("the header begins with %#x: no options", header)
	}
	if !bytes.Equal(d.Payload, packet) || d.Src != a.v4 || d.Dst != Group(true) || d.TTL != 255 {
		t.Errorf("received %+v", d)
	}
}

// TestLength: the longest advert is whole, a longer packet is found to be too long.
func TestLength(t *testing.T) {
	ways(t, func(t *testing.T, four, multicast bool) {
		a, b := two(t)
		from, at := a.open(four, multicast), b.open(four, multicast)
		dst := to(b, four, multicast)
		packet := advert(t, 51, a.addr(four), dst, vrrp.MaxAddrs)
		send(t, from, dst, packet)
		if p, r := parse(recv(t, at)); r != vrrp.Accepted || len(p.Addrs) != vrrp.MaxAddrs {
			t.Errorf("the longest advert: %v, %d addresses", r, len(p.Addrs))
		}
		send(t, from, dst, append(packet, make([]byte, 10_000)...))
		d := recv(t, at)
		if _, r := parse(d); r != vrrp.ReasonLong || len(d.Payload) < vrrp.MaxLen+100 {
			t.Errorf("a packet above all bounds: %v, of %d bytes", r, len(d.Payload))
		}
		send(t, from, dst, packet[:2])
		if _, r := parse(recv(t, at)); r != vrrp.ReasonShort {
			t.Errorf("two bytes: %v", r)
		}
		send(t, from, dst, packet[:1]) // has no VRID: the kernel drops it
		send(t, from, dst, packet)
		if _, r := parse(recv(t, at)); r != vrrp.Accepted {
			t.Errorf("after a packet without VRID: %v", r)
		}
	})
}

// TestLoop: what a host multicasts it does not receive.
func TestLoop(t *testing.T) {
	f := func(four bool, loop setting) {
		t.Helper()
		a, b := two(t)
		from, beside, at := a.open(four, true), a.open(four, true), b.open(four, true)
		packet := advert(t, 51, a.addr(four), Group(four), 1)
		send(t, from, Group(four), packet)
		recv(t, at)
		none(t, from)
		none(t, beside)
		if err := from.set([]setting{loop}); err != nil { // what would be without the option
			t.Fatal(err)
		}
		send(t, from, Group(four), packet)
		recv(t, beside)
	}
	f(true, setting{"", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 1})
	f(false, setting{"", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 1})
}

// TestModes: a socket for unicast does not get what another one on the host has joined the group for.
func TestModes(t *testing.T) {
	for _, four := range []bool{true, false} {
		a, b := two(t)
		from, group, peer := a.open(four, true), b.open(four, true), b.open(four, false)
		send(t, from, Group(four), advert(t, 51, a.addr(four), Group(four), 1))
		recv(t, group)
		send(t, from, b.addr(four), advert(t, 51, a.addr(four), b.addr(four), 1))
		if d := recv(t, peer); d.Dst != b.addr(four) {
			t.Errorf("got what was sent to %v", d.Dst)
		}
		none(t, peer)
	}
}

// TestOtherInterface: a socket belongs to its interface, whatever else the host has joined the group on, and by whichever
// way its address is reached.
func TestOtherInterface(t *testing.T) {
	lab := labtest.New(t)
	nets := []*labtest.Network{lab.Default(), lab.Network()}
	a, b := lab.Host("a", nets...), lab.Host("b", nets...)
	a0, a1, b0, b1 := newEnd(t, a, nets[0]), newEnd(t, a, nets[1]), newEnd(t, b, nets[0]), newEnd(t, b, nets[1])
	reach(a0, b0)
	reach(a1, b1)
	a.Run("ip", "route", "add", b0.v4.String()+"/32", "via", b1.v4.String(), "dev", a1.link.Name)
	f := func(four, multicast bool, dst netip.Addr) {
		t.Helper()
		other, from := a1.open(four, multicast), a0.open(four, multicast)
		at, beside := b0.open(four, multicast), b1.open(four, multicast)
		send(t, other, dst, advert(t, 51, a1.addr(four), dst, 1))
		recv(t, beside)
		send(t, from, dst, advert(t, 51, a0.addr(four), dst, 2))
		if p, r := parse(recv(t, at)); r != vrrp.Accepted || len(p.Addrs) != 2 {
			t.Errorf("to %v: %v, %v", dst, p.Addrs, r)
		}
		none(t, at)
		none(t, beside)
	}
	f(true, true, Group(true))
	f(false, true, Group(false))
	f(true, false, b0.v4)
}

// TestSource: of two addresses the one asked for is sent from.
func TestSource(t *testing.T) {
	a, b := two(t)
	second4, second6 := netip.MustParseAddr("10.77.0.150"), netip.MustParseAddr("fe80::150")
	a.host.Run("ip", "addr", "add", second4.String()+"/24", "dev", a.link.Name)
	a.host.Run("ip", "addr", "add", second6.String()+"/64", "dev", a.link.Name, "nodad")
	ways(t, func(t *testing.T, four, multicast bool) {
		src := second6
		if four {
			src = second4
		}
		from := a.openWith(Options{Link: a.link, Four: four, Source: src, Multicast: multicast})
		at := b.open(four, multicast)
		send(t, from, to(b, four, multicast), advert(t, 51, src, to(b, four, multicast), 1))
		if d := recv(t, at); d.Src != src {
			t.Errorf("from %v, want %v", d.Src, src)
		}
	})
	a.host.Run("ip", "addr", "del", second4.String()+"/24", "dev", a.link.Name)
	gone := a.openWith(Options{Link: a.link, Four: true, Source: second4, Multicast: true})
	if err := gone.Send(Group(true), []byte{0x31, 51}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("from an address that is not there: %v", err)
	}
}

// TestBefore: what a new socket got before its filter was in place is gone.
func TestBefore(t *testing.T) {
	a, b := two(t)
	s := &Socket{opt: Options{Link: b.link, Four: true, Source: b.v4, VRIDs: []vrrp.VRID{51}}}
	err := b.host.In(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, vrrp.Protocol)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	from := a.open(true, false)
	for range 3 {
		send(t, from, b.v4, advert(t, 51, a.v4, b.v4, 1))
	}
	poll(t, s.fd, unix.POLLIN)
	opened := Now()
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	if s.when.floor < opened {
		t.Errorf("packets may have come at %v, before %v, when the socket was opened", s.when.floor, opened)
	}
	seen := Now()
	none(t, s)
	if s.when.floor < seen {
		t.Errorf("packets may have come at %v, but none was there at %v", s.when.floor, seen)
	}
	send(t, from, b.v4, advert(t, 51, a.v4, b.v4, 1))
	if d := recv(t, s); d.At < seen {
		t.Errorf("received at %v, sent after %v", d.At, seen)
	}
}

// TestBuffer: bursts fit, and adverts do not wait behind other traffic.
func TestBuffer(t *testing.T) {
	a, b := two(t)
	for _, four := range []bool{true, false} {
		from, at := a.open(four, true), b.open(four, true)
		if n, err := unix.GetsockoptInt(at.Fd(), unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil || n < bufferSize {
			t.Errorf("a buffer of %d bytes, %v", n, err)
		}
		if n, err := unix.GetsockoptInt(at.Fd(), unix.SOL_SOCKET, unix.SO_PRIORITY); err != nil || n != priority {
			t.Errorf("priority %d, %v", n, err)
		}
		packet := advert(t, 51, a.addr(four), Group(four), 1)
		const burst = 200
		for range burst {
			send(t, from, Group(four), packet)
		}
		for range burst {
			recv(t, at)
		}
		none(t, at)
	}
}

func TestOpenRefuses(t *testing.T) {
	a, _ := two(t)
	f := func(want fault.Class, change func(o *Options)) {
		t.Helper()
		o := Options{Link: a.link, Four: true, Source: a.v4, Multicast: true}
		change(&o)
		err := a.host.In(func() error {
			s, err := Open(o)
			if err == nil {
				s.Close()
			}
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	f(fault.Invalid, func(o *Options) { o.Link.Index = 0 })
	f(fault.Invalid, func(o *Options) { o.Source = netip.Addr{} })
	f(fault.Invalid, func(o *Options) { o.Source = a.v6 })
	f(fault.Invalid, func(o *Options) { o.Source = Group(true) })
	f(fault.Invalid, func(o *Options) { o.Source = netip.IPv4Unspecified() })
	f(fault.Invalid, func(o *Options) { o.Four = false })
	f(fault.Invalid, func(o *Options) { o.Four, o.Source = false, netip.MustParseAddr("fd77::1") })
	f(fault.NotFound, func(o *Options) { o.Link.Index = 4711 })
	f(fault.NotFound, func(o *Options) { o.Link.Index, o.Four, o.Source = 4711, false, a.v6 })

	s := a.open(true, true)
	for _, dst := range []netip.Addr{{}, a.v6, netip.MustParseAddr("::ffff:10.77.0.2")} {
		if err := s.Send(dst, []byte{0x31, 51}); !errors.Is(err, fault.Invalid) {
			t.Errorf("to %v: %v", dst, err)
		}
	}
	if err := s.Send(Group(true), nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("nothing: %v", err)
	}
}
