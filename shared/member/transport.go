package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/netio"
)

// Transport moves gossip: packets that may get lost and streams that do not. UDP with TCP on one port is the
// real one, memnet.Endpoint the one of tests. Its owner is the Fleet it is given to, which closes it.
// Methods are called concurrently.
type Transport interface {
	// LocalAddr is the address bound, which may be a wildcard.
	LocalAddr() netip.AddrPort
	// ReadFrom blocks for one packet; after Close it fails with an error that wraps net.ErrClosed.
	ReadFrom(p []byte) (n int, from netip.AddrPort, err error)
	// WriteTo sends one packet, and does not wait until it arrives.
	WriteTo(p []byte, to netip.AddrPort) error
	// Accept blocks for one stream; after Close it fails with an error that wraps net.ErrClosed.
	Accept() (net.Conn, error)
	// Dial opens a stream.
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// Close ends ReadFrom and Accept. Streams live on.
	Close() error
}

// netTransport is UDP and TCP on one address.
type netTransport struct {
	udp *net.UDPConn
	tcp *net.TCPListener
}

// udpReceiveBuffer holds the packets of a burst while the process waits for a CPU.
const udpReceiveBuffer = 1 << 20

// portTries bounds how often a port chosen by the kernel for TCP may be taken for UDP.
const portTries = 10

func listenNet(addr netip.AddrPort) (*netTransport, error) {
	tries := 1
	if addr.Port() == 0 {
		tries = portTries
	}
	var err error
	for range tries {
		var t *netTransport
		if t, err = listenBoth(addr); err == nil {
			return t, nil
		}
	}
	return nil, err
}

func listenBoth(addr netip.AddrPort) (*netTransport, error) {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
	if err != nil {
		return nil, listenError(err, "tcp", addr)
	}
	bound := netip.AddrPortFrom(addr.Addr(), uint16(tcp.Addr().(*net.TCPAddr).Port))
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(bound))
	if err != nil {
		return nil, errors.Join(listenError(err, "udp", bound), tcp.Close())
	}
	// A smaller buffer than asked for is the kernel's limit and no error of ours: losses are what gossip expects.
	_ = udp.SetReadBuffer(udpReceiveBuffer)
	return &netTransport{udp: udp, tcp: tcp}, nil
}

func (t *netTransport) LocalAddr() netip.AddrPort { return t.tcp.Addr().(*net.TCPAddr).AddrPort() }

func (t *netTransport) ReadFrom(p []byte) (int, netip.AddrPort, error) {
	n, from, err := t.udp.ReadFromUDPAddrPort(p)
	return n, unmap(from), err
}

func (t *netTransport) WriteTo(p []byte, to netip.AddrPort) error {
	_, err := t.udp.WriteToUDPAddrPort(p, to)
	return err
}

func (t *netTransport) Accept() (net.Conn, error) { return t.tcp.Accept() }

func (t *netTransport) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 15 * time.Second}
	return d.DialContext(ctx, "tcp", to.String())
}

func (t *netTransport) Close() error { return errors.Join(t.tcp.Close(), t.udp.Close()) }

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// listenError classes an error of listen and names the process that has the port.
func listenError(err error, network string, addr netip.AddrPort) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fault.Wrap(fault.Unavailable, err, "member: listen on %s %s", network, addr)
	}
	holder := ""
	if pid, command, ok := netio.Holder(network, addr.String()); ok {
		holder = fmt.Sprintf(" (held by %s, process %d)", command, pid)
	}
	return fault.Wrap(fault.Conflict, err, "member: listen on %s %s%s", network, addr, holder)
}
