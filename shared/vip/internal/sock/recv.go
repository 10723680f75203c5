package sock

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/vrrp"
)

// Datagram is a received packet.
type Datagram struct {
	Src, Dst netip.Addr // without a zone
	TTL      uint8      // or hop limit
	Payload  []byte     // what follows the IP headers; until the next Recv
	At       time.Duration
}

const (
	// inMost is how much of a packet is taken. Beside the longest advert there is room for an IPv4 header (60 bytes) and an
	// authentication trailer, and some more, so that a packet that was cut is still too long.
	inMost = vrrp.MaxLen + 256
	// controlMost holds the time stamp, destination and hop limit, of 32, 40 and 24 bytes.
	controlMost = 128
	header4     = 20 // of IPv4 at least
	// queuedMost is how many errors in a row are passed over. Without IP_RECVERR the kernel keeps one.
	queuedMost = 16
)

// inbox is the memory that a packet is received into.
type inbox struct {
	head    unix.Msghdr
	part    unix.Iovec
	name    unix.RawSockaddrInet6
	control [controlMost]byte
	data    [inMost]byte
}

func (in *inbox) init(four bool) {
	in.part.Base = &in.data[0]
	in.part.SetLen(inMost)
	in.head.Iov, in.head.Control = &in.part, &in.control[0]
	in.head.SetIovlen(1)
	if !four {
		in.head.Name = rawName(&in.name)
	}
}

// receive receives the next packet. The kernel writes lengths into the header.
func (in *inbox) receive(fd int) (n int, errno unix.Errno) {
	in.head.SetControllen(controlMost)
	if in.head.Name != nil {
		in.head.Namelen = unix.SizeofSockaddrInet6
	}
	return recvmsg(fd, &in.head)
}

// Recv receives the next packet into d; ok is false if none is left. An error says that the socket is of no use any more.
func (s *Socket) Recv(d *Datagram) (ok bool, err error) {
	for range queuedMost {
		wall, now := time.Now().UnixNano(), Now()
		n, errno := s.in.receive(s.fd)
		switch {
		case errno == 0:
			s.in.fill(d, n, s.opt.Four)
			d.At = s.when.at(s.in.annotate(d), wall, now)
			return true, nil
		case errno == unix.EAGAIN:
			s.when.empty(now)
			return false, nil
		case !queued(errno):
			return false, s.last.err(errno, "receive", s.opt.Link.Name, netip.Addr{})
		}
	}
	return false, s.last.err(unix.EIO, "receive, error upon error,", s.opt.Link.Name, netip.Addr{})
}

// fill makes a datagram of n bytes of data. What the kernel would have to be wrong for leaves it without addresses, which
// is a family to vrrp.Packet.Parse.
func (in *inbox) fill(d *Datagram, n int, four bool) {
	*d = Datagram{}
	b := in.data[:min(n, inMost)]
	if !four {
		d.Src, d.Payload = netip.AddrFrom16(in.name.Addr), b
		return
	}
	if len(b) < header4 {
		return
	}
	header := int(b[0]&15) * 4
	if header < header4 || header > len(b) {
		return
	}
	d.TTL = b[8]
	d.Src, d.Dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	d.Payload = b[header:]
}

// annotate adds to a datagram what the kernel says beside it, and returns the time stamp, 0 if there is none.
func (in *inbox) annotate(d *Datagram) (stamp int64) {
	rest := in.control[:min(int(in.head.Controllen), controlMost)]
	for len(rest) >= unix.SizeofCmsghdr {
		h, data, after, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return stamp
		}
		rest = after
		switch {
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_TIMESTAMPNS_NEW && len(data) >= 16:
			stamp = int64(binary.NativeEndian.Uint64(data))*int64(time.Second) + int64(binary.NativeEndian.Uint64(data[8:]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			d.TTL = uint8(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= 16:
			d.Dst = netip.AddrFrom16([16]byte(data))
		}
	}
	return stamp
}
