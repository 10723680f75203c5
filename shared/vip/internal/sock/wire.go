package sock

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// Wire sends whole Ethernet frames out of an interface, past the host's own IP, and receives nothing. Close must be called.
type Wire struct {
	fd   int
	to   unix.RawSockaddrLinklayer
	head unix.Msghdr
	part unix.Iovec
	link string // for messages
	last refusal
}

const (
	headerEther = 14
	// frameMost is the longest frame that is sent, whatever the link's MTU.
	frameMost = headerEther + 1<<16
)

// OpenWire opens a socket for the interface, in the caller's network namespace. It needs CAP_NET_RAW and CAP_NET_ADMIN:
// without them the error is fault.Denied.
func OpenWire(index int) (*Wire, error) {
	if index <= 0 {
		return nil, fault.New(fault.Invalid, "sock: open a wire: %d is no interface", index)
	}
	// Protocol 0: the kernel hands it no frame, and the host's receiving is not slowed down.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, refused(err, "sock: open a packet socket")
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, priority); err != nil {
		unix.Close(fd)
		return nil, refused(err, "sock: open a packet socket: SO_PRIORITY")
	}
	w := &Wire{fd: fd, to: unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: int32(index)}, link: "interface " + strconv.Itoa(index)}
	w.head.Name, w.head.Namelen = rawName(&w.to), unix.SizeofSockaddrLinklayer
	w.head.Iov = &w.part
	w.head.SetIovlen(1)
	return w, nil
}

// Send sends a frame, which it does not keep. The socket is not bound to the interface: of one that is down, or gone, every
// Send tells, fault.Unavailable and fault.NotFound.
func (w *Wire) Send(frame []byte) error {
	if len(frame) < headerEther || len(frame) > frameMost {
		return fault.New(fault.Invalid, "sock: send a frame of %d bytes by %s", len(frame), w.link)
	}
	// Rules for the way out (nftables, tc) ask for the type, which not every kernel finds out by itself for every kind of link.
	w.to.Protocol = binary.NativeEndian.Uint16(frame[12:])
	w.part.Base = &frame[0]
	w.part.SetLen(len(frame))
	errno := sendmsg(w.fd, &w.head)
	w.part.Base = nil
	if errno != 0 {
		return w.last.err(errno, "send a frame", w.link, netip.Addr{})
	}
	return nil
}

// Close closes the socket.
func (w *Wire) Close() error {
	if err := unix.Close(w.fd); err != nil {
		return refused(err, "sock: close the wire of %s", w.link)
	}
	return nil
}
