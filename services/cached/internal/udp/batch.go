package udp

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe" // to hand the kernel the array of headers, in the last two functions

	"golang.org/x/sys/unix"
)

const (
	// inBatch and outBatch are how many datagrams one system call receives and sends at most.
	inBatch, outBatch = 32, 64
	// inMost is the longest datagram that is taken: longer ones do not exist.
	inMost = 64 << 10
	// nameLen is the length of the longest address.
	nameLen = unix.SizeofSockaddrInet6
)

// inbox is the memory that datagrams are received into. The kernel gives pages to what is written only.
type inbox struct {
	heads [inBatch]unix.Mmsghdr
	parts [inBatch]unix.Iovec
	names [inBatch][nameLen]byte
	data  [inBatch][inMost]byte
}

func newInbox() *inbox {
	in := new(inbox)
	for i := range in.heads {
		in.parts[i].Base = &in.data[i][0]
		in.parts[i].SetLen(inMost)
		h := &in.heads[i].Hdr
		h.Name, h.Iov = &in.names[i][0], &in.parts[i]
		h.SetIovlen(1)
	}
	return in
}

// reset makes the inbox ready to receive: the kernel has written lengths into it.
func (in *inbox) reset() {
	for i := range in.heads {
		in.heads[i].Hdr.Namelen = nameLen
	}
}

// datagram is the i-th one received and its source; whole is false when its end is missing.
func (in *inbox) datagram(i int) (d []byte, from netip.Addr, whole bool) {
	h := &in.heads[i]
	return in.data[i][:min(h.Len, inMost)], source(in.name(i)), h.Hdr.Flags&unix.MSG_TRUNC == 0
}

// name is the i-th one's source as the kernel writes it.
func (in *inbox) name(i int) []byte { return in.names[i][:min(in.heads[i].Hdr.Namelen, nameLen)] }

// source is the address in a sockaddr, without port and zone; the zero Addr for what is none. Addresses of IPv4 come as such on any socket.
func source(name []byte) netip.Addr {
	if len(name) < 2 {
		return netip.Addr{}
	}
	switch family := binary.NativeEndian.Uint16(name); {
	case family == unix.AF_INET && len(name) >= unix.SizeofSockaddrInet4:
		return netip.AddrFrom4([4]byte(name[4:8]))
	case family == unix.AF_INET6 && len(name) >= unix.SizeofSockaddrInet6:
		return netip.AddrFrom16([16]byte(name[8:24])).Unmap()
	}
	return netip.Addr{}
}

// outbox is the memory that datagrams are sent from; those from sent up to filled wait.
type outbox struct {
	sent, filled int
	heads        [outBatch]unix.Mmsghdr
	parts        [outBatch]unix.Iovec
	names        [outBatch][nameLen]byte
	data         [outBatch][datagram]byte
}

func newOutbox() *outbox {
	out := new(outbox)
	for i := range out.heads {
		out.parts[i].Base = &out.data[i][0]
		h := &out.heads[i].Hdr
		h.Name, h.Iov = &out.names[i][0], &out.parts[i]
		h.SetIovlen(1)
	}
	return out
}

func (out *outbox) full() bool { return out.filled == outBatch }

// add puts a datagram of f and part, which is at most payload long, behind the others.
func (out *outbox) add(name []byte, f Frame, part []byte) {
	i := out.filled
	out.filled++
	out.heads[i].Hdr.Namelen = uint32(copy(out.names[i][:], name))
	f.put((*[frameLen]byte)(out.data[i][:frameLen]))
	out.parts[i].SetLen(frameLen + copy(out.data[i][frameLen:], part))
}

// recvmmsg receives datagrams into heads as far as there are any; EAGAIN when there are none.
func recvmmsg(fd uintptr, heads []unix.Mmsghdr) (int, syscall.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&heads[0])), uintptr(len(heads)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// sendmmsg sends the datagrams of heads, of which there is one at least, as far as there is room.
func sendmmsg(fd uintptr, heads []unix.Mmsghdr) (int, syscall.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&heads[0])), uintptr(len(heads)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}
