// Package sock is how VRRP adverts come in and go out: raw sockets of protocol 112 for IPv4 and IPv6 (Socket), and a socket
// for whole Ethernet frames, out only (Wire). All are non-blocking. There is no goroutine; a value is for one goroutine at a
// time. Receiving and sending allocate nothing, and neither does the repetition of an error, since the process that uses
// this may have no garbage collection. Linux 5.1 is needed.
//
// # What is received
//
// A Socket belongs to one interface (its index: a new interface of the same name needs a new Socket) and one family. It
// gets the adverts of its VRIDs that come in there, to the multicast group if it joined it, and to any address of the host;
// which one it was, is in Datagram.Dst. The kernel drops other VRIDs by a filter. Nothing else is judged here: other
// versions, TTLs and lengths are delivered, so that vrrp.Packet.Parse names and the caller counts what is wrong. A payload
// longer than any that is right is cut, but is then still longer than its address count says, which is what Parse
// finds. What was sent by the host itself is not received.
//
// The receive buffer is bounded (bufferSize) and filled before the process was late for seconds only; what does not fit is
// dropped by the kernel.
//
// # When
//
// Datagram.At is when the kernel got the packet, on CLOCK_MONOTONIC. The kernel's stamp is one of the time of day, which
// may be set meanwhile. Two bounds hold whatever is done to it: At is not after Recv was called, and not before the queue was
// last seen empty, or the Socket opened. Packets that lay in the queue while the time of day was set may have any At between.
//
// # Faults
//
// Errors that the kernel queues on a socket (the link went down, a peer's host refuses protocol 112) concern packets
// sent earlier: Recv passes over them, and Send does not meet them. Memberships of multicast groups outlive a link that goes
// down and comes back. That of IPv6 does not outlive an MTU below 1280, with which the kernel forgets all that the family knew
// of the interface: Rejoin is for afterwards.
package sock

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vrrp"
)

// Options say which adverts a Socket is for.
type Options struct {
	Link nl.Link // its Index counts; the Name is for messages
	Four bool    // IPv4, else IPv6
	// Source is the address that is sent from: one of the interface's, in IPv6 a link-local one if Multicast is set. That
	// it is there is not asked before the first Send.
	Source netip.Addr
	// Multicast joins the group of VRRP. Without it adverts to the group are not received.
	Multicast bool
	VRIDs     []vrrp.VRID // those that are received, see Filter
}

// Socket receives and sends adverts. Close must be called.
type Socket struct {
	fd   int
	opt  Options
	when stamps
	in   inbox
	out  outbox
	last refusal
}

// Open opens a socket in the caller's network namespace. It needs CAP_NET_RAW and CAP_NET_ADMIN: without them the error is
// fault.Denied. Without the interface it is fault.NotFound.
func Open(o Options) (*Socket, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(o.family(), unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, vrrp.Protocol)
	if err != nil {
		return nil, refused(err, "sock: open a raw socket on %s", o.Link.Name)
	}
	s := &Socket{fd: fd, opt: o}
	if err := s.prepare(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return s, nil
}

func (o *Options) check() error {
	switch {
	case o.Link.Index <= 0:
		return fault.New(fault.Invalid, "sock: open: interface %q has no index", o.Link.Name)
	case !o.Source.IsValid() || o.Source.Is4In6() || o.Source.Is4() != o.Four || o.Source.IsMulticast() || o.Source.IsUnspecified():
		return fault.New(fault.Invalid, "sock: open on %s: %v is not a source", o.Link.Name, o.Source)
	case o.Multicast && !o.Four && !o.Source.IsLinkLocalUnicast():
		return fault.New(fault.Invalid, "sock: open on %s: IPv6 adverts to the group are sent from a link-local address, not %v", o.Link.Name, o.Source)
	}
	return nil
}

func (o *Options) family() int {
	if o.Four {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// prepare makes a new socket what it is to be. From its first moment it receives what comes in on any interface: hence the
// filter that takes nothing comes first, then what is there already goes, and the filter that is wanted comes last.
func (s *Socket) prepare() error {
	if err := s.Filter(nil); err != nil {
		return err
	}
	discard(s.fd)
	s.when.empty(Now())
	s.in.init(s.opt.Four)
	s.out.init(&s.opt)
	if err := s.set(commonSettings(s.opt.Link.Index)); err != nil {
		return err
	}
	if err := s.set(familySettings(s.opt.Four)); err != nil {
		return err
	}
	if s.opt.Multicast {
		if err := s.join(); err != nil {
			return err
		}
	}
	return s.Filter(s.opt.VRIDs)
}

// Fd returns the descriptor, for a poll. It stays the Socket's.
func (s *Socket) Fd() int { return s.fd }

// Close closes the socket.
func (s *Socket) Close() error {
	if err := unix.Close(s.fd); err != nil {
		return refused(err, "sock: close the socket on %s", s.opt.Link.Name)
	}
	return nil
}
