package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// dialer opens a check's connections from the configured source, interface and mark.
type dialer struct {
	source netip.Addr
	iface  string
	mark   uint32
	reset  bool // close with RST
}

// dial connects to t over "tcp" or "udp". The connection obeys ctx in every read and write; the caller
// closes it.
func (d dialer) dial(ctx context.Context, network string, t Target) (*conn, error) {
	nd := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return d.control(c) }, KeepAlive: -1}
	nd.SetMultipathTCP(false)
	if d.source.IsValid() {
		nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.source, 0))
		if network == "udp" {
			nd.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(d.source, 0))
		}
	}
	nc, err := nd.DialContext(ctx, network, t.String())
	if err != nil {
		return nil, fault.Wrap(classOf(ctx, err), err, "connect")
	}
	if tc, ok := nc.(*net.TCPConn); ok && d.reset {
		_ = tc.SetLinger(0) // only how it closes: no reason to fail the check
	}
	return newConn(ctx, nc), nil
}

func (d dialer) control(c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = d.setOptions(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

func (d dialer) setOptions(fd int) error {
	if d.iface != "" {
		if err := unix.BindToDevice(fd, d.iface); err != nil {
			return fmt.Errorf("bind to interface %s: %w", d.iface, err)
		}
	}
	if d.mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(d.mark)); err != nil {
			return fmt.Errorf("set mark %d: %w", d.mark, err)
		}
	}
	return nil
}

// conn is a connection whose reads and writes end with a context.
type conn struct {
	net.Conn
	stop func() bool
}

func newConn(ctx context.Context, nc net.Conn) *conn {
	if t, ok := ctx.Deadline(); ok {
		_ = nc.SetDeadline(t) // an error shows in the next read
	}
	return &conn{nc, context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })}
}

// Close closes the connection and lets go of the context.
func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// maxReply bounds what the line protocols (tcp, redis, memcached, smtp) read in one check.
const maxReply = 64 << 10

// lines reads a server's answer line by line, at most maxReply bytes in all.
type lines struct{ r *bufio.Reader }

func newLines(r io.Reader) lines {
	return lines{bufio.NewReaderSize(io.LimitReader(r, maxReply), 4096)}
}

// next returns the next line without its CRLF or LF. A line above 4 KiB is fault.Corrupt.
func (l lines) next() (string, error) {
	b, err := l.r.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return "", fault.New(fault.Corrupt, "line of more than %d bytes", l.r.Size())
	case err == io.EOF && len(b) > 0:
		return "", fault.New(fault.Corrupt, "connection closed within a line")
	case err == io.EOF:
		return "", fault.New(fault.Unavailable, "connection closed without an answer")
	case err != nil:
		return "", err
	}
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return string(b), nil
}
