package frame

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vrrp"
)

const waitTime = 5 * time.Second

// sender returns a function that puts frames on the host's wire as they are.
func sender(t *testing.T, h *labtest.Host) func([]byte) {
	t.Helper()
	var fd int
	to := &unix.SockaddrLinklayer{Halen: 6}
	err := h.In(func() error {
		c, err := nl.Open()
		if err != nil {
			return err
		}
		defer c.Close()
		l, err := c.Link("eth0")
		if err != nil {
			return err
		}
		to.Ifindex = l.Index
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return func(frame []byte) {
		t.Helper()
		copy(to.Addr[:], frame)
		if err := unix.Sendto(fd, frame, 0, to); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNeighbours: the table of a host that knows an address at another MAC address follows the announcement.
func TestNeighbours(t *testing.T) {
	lab := labtest.New(t)
	a, b := lab.Host("a"), lab.Host("b")
	send := sender(t, a)
	at := func(addr netip.Addr) string {
		for _, word := range strings.Fields(b.Run("ip", "neigh", "show", addr.String(), "dev", "eth0")) {
			if strings.Count(word, ":") == 5 {
				return word
			}
		}
		return "unknown"
	}
	f := func(frame []byte, addr netip.Addr, mac nl.MAC) {
		t.Helper()
		send(frame)
		labtest.Eventually(t, waitTime, "the neighbour has learnt of "+addr.String(), func() error {
			if got := at(addr); got != mac.String() {
				return fmt.Errorf("it is at %s", got)
			}
			return nil
		})
	}
	mine := nl.MAC{2, 0, 0, 0, 0, 9}
	for _, addr := range []netip.Addr{vip4, vip6, local6} {
		b.Run("ip", "neigh", "add", addr.String(), "lladdr", "02:00:00:00:00:77", "dev", "eth0", "nud", "reachable")
	}
	// A wrong checksum is not taken: the right ones are what is taken below.
	wrong := NeighborAdvertisement(nil, nl.MAC{2, 6, 6, 6, 6, 6}, vip6)
	wrong[57] ^= 1
	send(wrong)
	f(NeighborAdvertisement(nil, mac6, local6), local6, mac6)
	if got := at(vip6); got != "02:00:00:00:00:77" {
		t.Errorf("a wrong checksum moved it to %s", got)
	}
	f(NeighborAdvertisement(nil, mac6, vip6), vip6, mac6)
	f(NeighborAdvertisement(nil, mine, vip6), vip6, mine)
	f(GratuitousARP(nil, mac4, vip4), vip4, mac4)
	f(GratuitousARP(nil, mine, vip4), vip4, mine)
}

// TestAdvertArrives: a raw socket that has joined the group takes the adverts, and the packets in them are good.
func TestAdvertArrives(t *testing.T) {
	lab := labtest.New(t)
	a, b := lab.Host("a"), lab.Host("b")
	send := sender(t, a)
	f := func(fd int, frame []byte, src, dst netip.Addr, head int) {
		t.Helper()
		send(frame)
		buf := make([]byte, 512)
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			t.Fatal(err)
		}
		var got netip.Addr
		switch from := from.(type) {
		case *unix.SockaddrInet4:
			got = netip.AddrFrom4(from.Addr)
		case *unix.SockaddrInet6:
			got = netip.AddrFrom16(from.Addr)
		}
		var p vrrp.Packet
		reason := p.Parse(buf[head:n], vrrp.Envelope{Src: got, Dst: dst, TTL: 255})
		if got != src || reason != vrrp.Accepted {
			t.Errorf("from %s: %v", got, reason)
		}
		if head > 0 && (buf[1] != classCS6 || buf[8] != hops) {
			t.Errorf("header %x", buf[:head])
		}
	}
	f(joined(t, b, group4), Advert(nil, mac4, src4, group4, packet(t, src4)), src4, group4, 20)
	f(joined(t, b, group6), Advert(nil, mac6, src6, group6, packet(t, src6)), src6, group6, 0)
}

// joined returns a raw socket of the host that hears VRRP of a group, with a bound on waiting.
func joined(t *testing.T, h *labtest.Host, group netip.Addr) (fd int) {
	t.Helper()
	err := h.In(func() error {
		family := unix.AF_INET6
		if group.Is4() {
			family = unix.AF_INET
		}
		var err error
		if fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, vrrp.Protocol); err != nil {
			return err
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(waitTime / time.Second)}); err != nil {
			return err
		}
		c, err := nl.Open()
		if err != nil {
			return err
		}
		defer c.Close()
		l, err := c.Link("eth0")
		if err != nil {
			return err
		}
		if group.Is4() {
			return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(l.Index)})
		}
		return unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(l.Index)})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}
