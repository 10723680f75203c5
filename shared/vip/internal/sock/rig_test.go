package sock

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vrrp"
)

// soon is how long something may take that happens at once.
const soon = 10 * time.Second

// end is one end of a conversation: a host's interface.
type end struct {
	t    *testing.T
	host *labtest.Host
	link nl.Link
	v4   netip.Addr
	v6   netip.Addr // link-local
}

// two returns a lab of two hosts.
func two(t *testing.T) (a, b end) {
	t.Helper()
	lab := labtest.New(t)
	a, b = newEnd(t, lab.Host("a"), lab.Default()), newEnd(t, lab.Host("b"), lab.Default())
	reach(a, b)
	return a, b
}

// reach waits until the switch lets frames pass both ways, which it does not at once.
func reach(a, b end) {
	a.t.Helper()
	labtest.Eventually(a.t, soon, a.host.Name+" reaches "+b.host.Name, func() error {
		if !a.host.Ping(b.v4.String()) {
			return errors.New("no answer to an echo")
		}
		return nil
	})
}

func newEnd(t *testing.T, h *labtest.Host, n *labtest.Network) end {
	t.Helper()
	e := end{t: t, host: h}
	e.v4, _ = h.AddrOn(n)
	labtest.Eventually(t, soon, h.Name+" has a link-local address", func() error {
		return h.In(func() error { return e.look(h.Device(n)) })
	})
	return e
}

// look finds index and addresses of an interface, in the namespace that it is called in.
func (e *end) look(name string) error {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	e.link = nl.Link{Index: dev.Index, Name: name, MAC: nl.MAC(dev.HardwareAddr)}
	addrs, err := dev.Addrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			e.v6 = p.Addr()
			return nil
		}
	}
	return fmt.Errorf("%s has only %v", name, addrs)
}

func (e *end) addr(four bool) netip.Addr {
	if four {
		return e.v4
	}
	return e.v6
}

// open opens a socket for VRID 51.
func (e *end) open(four, multicast bool) *Socket {
	e.t.Helper()
	return e.openWith(Options{Link: e.link, Four: four, Source: e.addr(four), Multicast: multicast, VRIDs: []vrrp.VRID{51}})
}

func (e *end) openWith(o Options) *Socket {
	e.t.Helper()
	var s *Socket
	err := e.host.In(func() (err error) { s, err = Open(o); return err })
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { s.Close() })
	return s
}

// tap is a socket that gets the frames that come in on the interface.
func (e *end) tap() int {
	e.t.Helper()
	fd := -1
	err := e.host.In(func() (err error) {
		all := int(bigEndian16(unix.ETH_P_ALL))
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: e.link.Index})
	})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func bigEndian16(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// frame returns the next frame that the tap has with the Ethernet type.
func frame(t *testing.T, tap int, ethertype uint16, wanted func([]byte) bool) []byte {
	t.Helper()
	f := frameWithin(t, soon, tap, ethertype, wanted)
	if f == nil {
		t.Fatalf("no frame of type %#x within %v", ethertype, soon)
	}
	return f
}

// frameWithin is frame, nil if none comes in time.
func frameWithin(t *testing.T, limit time.Duration, tap int, ethertype uint16, wanted func([]byte) bool) []byte {
	t.Helper()
	b := make([]byte, 1<<16)
	for until := time.Now().Add(limit); ; {
		n, from, err := unix.Recvfrom(tap, b, 0)
		switch {
		case err == unix.EAGAIN && polled(t, tap, unix.POLLIN, time.Until(until)):
			continue
		case err == unix.EAGAIN:
			return nil
		case err != nil:
			t.Fatal(err)
		}
		out := from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING
		if f := b[:n]; !out && n >= headerEther && binary.BigEndian.Uint16(f[12:]) == ethertype && wanted(f) {
			return bytes.Clone(f)
		}
	}
}

// poll waits for an event on the descriptor.
func poll(t *testing.T, fd int, event int16) {
	t.Helper()
	if !polled(t, fd, event, soon) {
		t.Fatalf("no event %#x within %v", event, soon)
	}
}

// polled reports whether an event comes in time.
func polled(t *testing.T, fd int, event int16, limit time.Duration) bool {
	t.Helper()
	until := time.Now().Add(limit)
	for {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: event}}
		n, err := unix.Poll(fds[:], int(max(0, time.Until(until)).Milliseconds()))
		switch {
		case err == unix.EINTR:
		case err != nil:
			t.Fatal(err)
		case n == 0:
			return false
		case fds[0].Revents&event != 0:
			return true
		default:
			t.Fatalf("events %#x while %#x is waited for", fds[0].Revents, event)
		}
	}
}

// recv returns the next datagram, whose payload stays.
func recv(t *testing.T, s *Socket) Datagram {
	t.Helper()
	poll(t, s.Fd(), unix.POLLIN)
	var d Datagram
	if ok, err := s.Recv(&d); err != nil || !ok {
		t.Fatalf("nothing to receive: %v, %v", ok, err)
	}
	d.Payload = bytes.Clone(d.Payload)
	return d
}

// none checks that nothing is left.
func none(t *testing.T, s *Socket) {
	t.Helper()
	var d Datagram
	if ok, err := s.Recv(&d); ok || err != nil {
		t.Errorf("received %+v, %v", d, err)
	}
}

func send(t *testing.T, s *Socket, dst netip.Addr, payload []byte) {
	t.Helper()
	if err := s.Send(dst, payload); err != nil {
		t.Fatal(err)
	}
}

// advert returns a packet of a VRID with so many addresses.
func advert(t *testing.T, id vrrp.VRID, src, dst netip.Addr, count int) []byte {
	t.Helper()
	p := vrrp.Packet{Version: vrrp.V3, VRID: id, Priority: 150, Interval: 100 * time.Millisecond}
	a := netip.MustParseAddr("10.77.0.100")
	if src.Is6() {
		a = netip.MustParseAddr("fd77::1:0")
	}
	for range count {
		p.Addrs = append(p.Addrs, a)
		a = a.Next()
	}
	b, err := p.Append(nil, src, dst)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parse says what vrrp finds wrong with a datagram.
func parse(d Datagram) (vrrp.Packet, vrrp.Reason) {
	var p vrrp.Packet
	r := p.Parse(d.Payload, vrrp.Envelope{Src: d.Src, Dst: d.Dst, TTL: d.TTL})
	return p, r
}

// ways runs a test for each family, by multicast and by unicast.
func ways(t *testing.T, f func(t *testing.T, four, multicast bool)) {
	for _, four := range []bool{true, false} {
		for _, multicast := range []bool{true, false} {
			name := map[bool]string{true: "ipv4", false: "ipv6"}[four] + map[bool]string{true: "_multicast", false: "_unicast"}[multicast]
			t.Run(name, func(t *testing.T) { f(t, four, multicast) })
		}
	}
}

// to returns where a sends to.
func to(b end, four, multicast bool) netip.Addr {
	if multicast {
		return Group(four)
	}
	return b.addr(four)
}
