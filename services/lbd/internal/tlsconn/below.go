package tlsconn

import (
	"io"
	"net"
	"time"
)

// below is a Conn as crypto/tls sees it from above: the connection that records travel on.
type below Conn

var _ net.Conn = (*below)(nil)

// Read reads what the wire has. In a handshake it waits for more by suspending the coroutine.
func (b *below) Read(p []byte) (int, error) {
	for {
		n, err := b.wire.Read(p)
		switch {
		case err == nil:
			if s := b.shake; s != nil {
				if s.read += n; s.read > MaxHandshake {
					return 0, ErrHandshake
				}
			}
			return n, nil
		case err == io.EOF:
			return 0, ErrTruncated
		case err != ErrAgain || b.shake == nil:
			return 0, err
		case !b.shake.yield(struct{}{}):
			return 0, errAbandoned
		}
	}
}

// Write keeps p for Flush.
func (b *below) Write(p []byte) (int, error) {
	if len(b.out)+len(p) > MaxPending {
		b.failed = errPending // crypto/tls does not tell of it while it reads
		return 0, errPending
	}
	if b.out == nil {
		b.out = b.env.take()
	}
	b.out = append(b.out, p...)
	return len(p), nil
}

// Close does nothing: the wire is closed by who has opened it.
func (b *below) Close() error { return nil }

// LocalAddr returns the wire's, if it knows it.
func (b *below) LocalAddr() net.Addr {
	if w, ok := b.wire.(interface{ LocalAddr() net.Addr }); ok {
		return w.LocalAddr()
	}
	return noAddr{}
}

// RemoteAddr returns the wire's, if it knows it.
func (b *below) RemoteAddr() net.Addr {
	if w, ok := b.wire.(interface{ RemoteAddr() net.Addr }); ok {
		return w.RemoteAddr()
	}
	return noAddr{}
}

// Deadlines are the loop's.

func (b *below) SetDeadline(time.Time) error      { return nil }
func (b *below) SetReadDeadline(time.Time) error  { return nil }
func (b *below) SetWriteDeadline(time.Time) error { return nil }

type noAddr struct{}

func (noAddr) Network() string { return "tcp" }
func (noAddr) String() string  { return "unknown" }
