package sock

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// outbox is what the kernel is told of a packet to send: source and interface are the same for all.
type outbox struct {
	head    unix.Msghdr
	part    unix.Iovec
	name4   unix.RawSockaddrInet4
	name6   unix.RawSockaddrInet6
	index   uint32
	control []byte
}

func (out *outbox) init(o *Options) {
	out.index = uint32(o.Link.Index)
	if o.Four {
		out.control = unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: int32(o.Link.Index), Spec_dst: o.Source.As4()})
	} else {
		out.control = unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: out.index, Addr: o.Source.As16()})
	}
	out.head.Iov, out.head.Control = &out.part, &out.control[0]
	out.head.SetIovlen(1)
}

// Send sends a payload, which it does not keep, to the group or a peer. An error concerns this packet: fault.Unavailable
// while the link is down, the source address is not there or a queue is full; it is not one of no peer at the other end.
func (s *Socket) Send(dst netip.Addr, payload []byte) error {
	if len(payload) == 0 || !dst.IsValid() || dst.Is4() != s.opt.Four || dst.Is4In6() {
		return fault.New(fault.Invalid, "sock: send %d bytes from %v to %v", len(payload), s.opt.Source, dst)
	}
	s.out.address(dst)
	errno := s.out.send(s.fd, payload)
	if errno != 0 {
		return s.last.err(errno, "send", s.opt.Link.Name, dst)
	}
	return nil
}

func (out *outbox) address(dst netip.Addr) {
	if dst.Is4() {
		out.name4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: dst.As4()}
		out.head.Name, out.head.Namelen = rawName(&out.name4), unix.SizeofSockaddrInet4
		return
	}
	out.name6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: dst.As16(), Scope_id: out.index}
	out.head.Name, out.head.Namelen = rawName(&out.name6), unix.SizeofSockaddrInet6
}

func (out *outbox) send(fd int, payload []byte) unix.Errno {
	out.part.Base = &payload[0]
	out.part.SetLen(len(payload))
	out.head.SetControllen(len(out.control))
	errno := sendmsg(fd, &out.head)
	out.part.Base = nil
	return errno
}
