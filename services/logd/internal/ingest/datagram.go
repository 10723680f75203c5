package ingest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/services/logd/internal/record"
	"github.com/everup/everup/shared/fault"
)

// lastCall is how long a receiver that is told to stop still reads what has already arrived.
const lastCall = 100 * time.Millisecond

// lastCallMost bounds that for a stream, whose buffered bytes may have to wait for room in the queue.
const lastCallMost = 3 * time.Second

// receiveBuffer is asked of the kernel for a datagram socket, in bytes; the kernel may grant less.
const receiveBuffer = 4 << 20

// maxDatagram is more than any datagram holds.
const maxDatagram = 64<<10 + 1

// ServePackets receives from conn until stop ends; it closes conn. One datagram is one message.
func (s *Sink) ServePackets(stop context.Context, conn net.PacketConn, via record.Transport) error {
	defer conn.Close()
	if b, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		_ = b.SetReadBuffer(receiveBuffer) // a wish
	}
	defer context.AfterFunc(stop, func() { conn.SetReadDeadline(time.Now().Add(lastCall)) })()
	p := &parse.Parser{Location: s.Location}
	buf := make([]byte, maxDatagram)
	for {
		n, peer, err := readFrom(conn, buf)
		switch {
		case err == nil:
		case stop.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		default:
			return fault.Wrap(fault.Of(err), err, "ingest: receive on %s", conn.LocalAddr())
		}
		if n == 0 {
			continue
		}
		limit := s.limits.Load().Message
		s.accept(stop, p, buf[:min(n, limit)], n > limit, false, via, peer)
	}
}

// readFrom reads one datagram; for UDP it does so without allocating the peer's address.
func readFrom(conn net.PacketConn, buf []byte) (n int, peer netip.Addr, err error) {
	if u, ok := conn.(*net.UDPConn); ok {
		n, from, err := u.ReadFromUDPAddrPort(buf)
		return n, from.Addr().Unmap(), err
	}
	n, _, err = conn.ReadFrom(buf)
	return n, netip.Addr{}, err
}
