package load

import (
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// dialLimit bounds one connect(2).
const dialLimit = 10 * time.Second

// target is where to connect to.
type target struct {
	family int
	addr   unix.Sockaddr
}

func resolve(network, address string) (target, error) {
	switch network {
	case "unix":
		return target{unix.AF_UNIX, &unix.SockaddrUnix{Name: address}}, nil
	case "tcp":
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			return target{}, fault.Wrap(fault.Invalid, err, "load: %s", address)
		}
		if ip := a.IP.To4(); ip != nil {
			return target{unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}}, nil
		}
		return target{unix.AF_INET6, &unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())}}, nil
	}
	return target{}, fault.New(fault.Invalid, "load: network %q", network)
}

// connect returns a connected socket that does not block.
func connect(to target) (fd int, err error) {
	fd, err = unix.Socket(to.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	// A connect that blocks waits its turn while the server's backlog is full; the time limit is that of sends (socket(7)).
	limit := unix.NsecToTimeval(dialLimit.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return -1, err
	}
	if err := retry(func() error { return unix.Connect(fd, to.addr) }); err != nil {
		return -1, err
	}
	if to.family != unix.AF_UNIX {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return -1, err
		}
	}
	return fd, unix.SetNonblock(fd, true)
}

// retry calls f again while a signal interrupts it, as the Go runtime's own signals do.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
