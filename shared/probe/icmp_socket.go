package probe

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// pinger is a socket for echo requests, connected to one address: the kernel then drops what others send and
// hands on errors (no route, host unreachable).
type pinger struct {
	file *os.File
	v6   bool
	raw  bool   // a raw socket: every process's replies arrive, so the id must match
	id   uint16 // ours on a raw socket; on the other kind the kernel writes its own
}

// Close closes the socket.
func (p *pinger) Close() error { return p.file.Close() }

// openPing opens the unprivileged kind of socket (net.ipv4.ping_group_range allows it), else a raw one
// (CAP_NET_RAW).
func openPing(d dialer, addr netip.Addr) (*pinger, error) {
	p, err := openPingKind(d, addr, unix.SOCK_DGRAM)
	if err == nil || !isDenied(err) {
		return p, err
	}
	raw, rawErr := openPingKind(d, addr, unix.SOCK_RAW)
	if rawErr != nil && isDenied(rawErr) {
		return nil, errNoPing(err, rawErr)
	}
	return raw, rawErr
}

func isDenied(err error) bool {
	e, ok := err.(*os.SyscallError)
	return ok && e.Syscall == "socket" && (e.Err == unix.EACCES || e.Err == unix.EPERM)
}

func openPingKind(d dialer, addr netip.Addr, kind int) (*pinger, error) {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	if addr.Is6() {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := connectPing(d, fd, addr); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &pinger{os.NewFile(uintptr(fd), "icmp"), addr.Is6(), kind == unix.SOCK_RAW, uint16(rand.Uint32())}, nil
}

func connectPing(d dialer, fd int, addr netip.Addr) error {
	if err := d.setOptions(fd); err != nil {
		return err
	}
	if err := reportErrors(fd, addr.Is6()); err != nil {
		return err
	}
	if d.source.IsValid() {
		if d.source.Is6() != addr.Is6() {
			return fmt.Errorf("source %s and target %s are of different families", d.source, addr)
		}
		sa, err := sockaddr(d.source)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, sa); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	sa, err := sockaddr(addr)
	if err != nil {
		return err
	}
	return os.NewSyscallError("connect", unix.Connect(fd, sa))
}

// reportErrors makes reads fail when a message says that the host cannot be reached; without it only errors
// that the kernel holds for final come through, and an address where nobody is costs the whole timeout.
func reportErrors(fd int, v6 bool) error {
	if v6 {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1))
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1))
}

func sockaddr(addr netip.Addr) (unix.Sockaddr, error) {
	if addr.Is4() {
		return &unix.SockaddrInet4{Addr: addr.As4()}, nil
	}
	zone, err := zoneID(addr)
	return &unix.SockaddrInet6{Addr: addr.As16(), ZoneId: zone}, err
}
