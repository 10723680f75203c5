package sock

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	// bufferSize is what the kernel keeps for a socket at least, in bytes of its own accounting: some 800 bytes for a small
	// packet. 16 routers with an interval of 10 ms fill it in 0.4 s, with 100 ms in 4 s.
	bufferSize = 256 << 10

	ttl = 255
	// tos is precedence "internetwork control", and priority the same for the interface's queue (TC_PRIO_CONTROL): adverts
	// are not to wait behind the service's own traffic.
	tos      = 0xc0
	priority = 7
)

// setting is a socket option.
type setting struct {
	name        string
	level, what int
	value       int
}

// commonSettings are those of both families.
func commonSettings(index int) []setting {
	return []setting{
		{"SO_BINDTOIFINDEX", unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index},
		{"SO_RCVBUFFORCE", unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize},
		{"SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, 1},
	}
}

// familySettings are those of one. Source, destination and TTL of what is received are in IPv4's header, which raw sockets
// get; IPv6 gives them beside the payload. IP_TOS sets the priority too, so that comes after it. IPV6_CHECKSUM, by which
// the kernel would compute and check what is package vrrp's, is off unless set.
func familySettings(four bool) []setting {
	if four {
		return []setting{
			{"IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, ttl},
			{"IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, tos},
			{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, priority},
			{"IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, ttl},
			{"IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0},
			{"IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
		}
	}
	return []setting{
		{"IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl},
		{"IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos},
		{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, priority},
		{"IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, ttl},
		{"IPV6_MULTICAST_LOOP", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0},
		{"IPV6_RECVHOPLIMIT", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
		{"IPV6_RECVPKTINFO", unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
	}
}

func (s *Socket) set(settings []setting) error {
	for _, o := range settings {
		if err := unix.SetsockoptInt(s.fd, o.level, o.what, o.value); err != nil {
			return refused(err, "sock: open on %s: %s", s.opt.Link.Name, o.name)
		}
	}
	return nil
}

// Group returns the multicast group of VRRP: RFC 9568 sections 5.1.1.2 and 5.1.2.2.
func Group(four bool) netip.Addr {
	if four {
		return netip.AddrFrom4([4]byte{224, 0, 0, 18})
	}
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
}

func (s *Socket) join() error { return s.member(unix.IP_ADD_MEMBERSHIP, unix.IPV6_JOIN_GROUP, "join") }

// Rejoin joins the group anew, which is needed after the interface had an MTU too small for IPv6, and makes switches learn the
// membership anew. For an instant adverts are not received. Without Multicast it does nothing.
func (s *Socket) Rejoin() error {
	if !s.opt.Multicast {
		return nil
	}
	// An error says that the kernel has forgotten the membership, as is to be expected here.
	_ = s.member(unix.IP_DROP_MEMBERSHIP, unix.IPV6_LEAVE_GROUP, "leave")
	return s.join()
}

func (s *Socket) member(what4, what6 int, verb string) error {
	group := Group(s.opt.Four)
	var err error
	if s.opt.Four {
		err = unix.SetsockoptIPMreqn(s.fd, unix.IPPROTO_IP, what4, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(s.opt.Link.Index)})
	} else {
		err = unix.SetsockoptIPv6Mreq(s.fd, unix.IPPROTO_IPV6, what6, &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(s.opt.Link.Index)})
	}
	if err != nil {
		return refused(err, "sock: %s %v on %s", verb, group, s.opt.Link.Name)
	}
	return nil
}
