package labtest

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// FreePort returns a port of 127.0.0.1 that is free for TCP and UDP. Until the test ends the kernel gives the TCP port
// to nobody who asks for any port, yet a program that sets SO_REUSEADDR before it binds, as Go's listeners and nearly
// all servers do, can listen on it: the port is held by a socket that is bound and does not listen.
func FreePort(t testing.TB) int {
	t.Helper()
	var errs []error
	for range 20 { // the UDP port of the same number may be taken
		fd, port, err := holdPort()
		if err == nil {
			t.Cleanup(func() { unix.Close(fd) })
			return port
		}
		errs = append(errs, err)
	}
	t.Fatalf("labtest: no free port: %v", errors.Join(errs...))
	return 0
}

// FreeAddr returns "127.0.0.1:port" with a port from FreePort.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(FreePort(t))).String()
}

func holdPort() (fd, port int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return 0, 0, err
	}
	if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, 0, err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, 0, err
	}
	port = sa.(*unix.SockaddrInet4).Port
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return 0, 0, err
	}
	return fd, port, udp.Close()
}
