// Package nl speaks rtnetlink (rtnetlink(7)) as far as virtual addresses need it: links, their addresses, macvlans, the
// IPv4 settings of a link, the question whether a route is there, and what changes of all that.
//
// # Requests
//
// A Conn is a socket in the network namespace of the thread that opened it. A request is one write and, but for lists, one
// read: the kernel has answered before the write returns. Hence requests are blocking system calls, which wait for the
// kernel's rtnl lock at most; an answer that does not come in 5 s is fault.Timeout. Nothing is allocated for a request
// that succeeds but for what it returns (names; lists, unless AppendAddrs has room), as the process that holds virtual
// addresses runs without garbage collection. A Conn starts no goroutine and is for one goroutine at a time.
//
// What makes something be so or not be so is idempotent: an address that is there already is added, and one that is not
// there removed, without an error. Errors name the operation and the object, hold the kernel's own explanation, and wrap the
// unix.Errno. Their classes:
//
//	Denied       EPERM, EACCES: no CAP_NET_ADMIN in the namespace
//	NotFound     no such link
//	Conflict     there already in another form, or the kernel holds it in use
//	Unsupported  this kernel cannot, or has the protocol switched off
//	Invalid      an argument that the kernel or this package does not take
//	Unavailable  the link below is down; or a list changed again and again while it was read
//
// # Events
//
// A Watch is a second, non-blocking socket, which the owner polls (Watch.Fd) and reads. Its queue is the kernel's, bounded
// by WatchOptions.ReceiveBuffer; when it is full the kernel discards, and Read tells Overrun: all must be looked at anew.
// Events are hints of a state that may have changed again; the state is what a Conn answers.
//
// Messages come from the kernel alone, as both sockets are connected to it. Even so no length in them is trusted.
package nl

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// MAC is an Ethernet address.
type MAC [6]byte

// String returns the address as "00:00:5e:00:01:33".
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

const (
	answerTimeout = 5 // seconds
	// bufferLen bounds an answer. The kernel fills up to 32 KiB of it with a list's messages.
	bufferLen = 64 << 10
)

// Conn makes requests. It is for one goroutine at a time.
type Conn struct {
	fd  int
	seq uint32
	out request // in a buffer that is used again
	in  []byte  // an answer
}

// Open opens a socket in the calling thread's network namespace. No capability is needed for it, nor for looking.
func Open() (*Conn, error) {
	fd, err := dial(0, 0)
	if err != nil {
		return nil, fail(err, "open a socket")
	}
	c := &Conn{fd: fd, out: request{make([]byte, 0, 512)}, in: make([]byte, bufferLen)}
	if err := c.prepare(); err != nil {
		unix.Close(fd)
		return nil, fail(err, "prepare a socket")
	}
	return c, nil
}

// prepare sets the socket's options.
func (c *Conn) prepare() error {
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: answerTimeout}); err != nil {
		return err
	}
	// Explanations of errors, without the request; and lists of one link or table only. Older kernels have neither: then
	// errors are bare and lists are sieved here, as they are in any case.
	for _, o := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_CAP_ACK, unix.NETLINK_GET_STRICT_CHK} {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, o, 1); err != nil && err != unix.ENOPROTOOPT {
			return err
		}
	}
	return nil
}

// dial opens a socket of the given further type bits that hears the multicast groups of the mask, and otherwise the kernel
// only.
func dial(flags int, groups uint32) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|flags, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, err
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups})
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Close closes the socket.
func (c *Conn) Close() error {
	if err := unix.Close(c.fd); err != nil {
		return fault.Wrap(fault.Internal, err, "nl: close")
	}
	return nil
}
