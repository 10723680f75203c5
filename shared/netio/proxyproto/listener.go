package proxyproto

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
)

// defaultTimeout is how long a peer has for its header.
const defaultTimeout = 5 * time.Second

// Listener hands out connections whose addresses are those in the peer's header. Accept does not wait for the header: it
// is read by the first Read, RemoteAddr, LocalAddr or Header of the connection.
type Listener struct {
	net.Listener

	// Trusted are the peers that must send a header; a trusted peer without one gets an error. To all others the
	// connection is left as it is, so that a header of theirs reaches the application as data.
	Trusted []netip.Prefix

	TrustUnix bool          // peers on a unix socket are trusted
	Timeout   time.Duration // for the header, from its first read; 0 means 5 s
}

// Accept returns a *Conn for a trusted peer, and the bare connection for another.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || !l.trusts(c.RemoteAddr()) {
		return c, err
	}
	return NewConn(c, l.Timeout), nil
}

func (l *Listener) trusts(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		ip := a.AddrPort().Addr().Unmap().WithZone("")
		return slices.ContainsFunc(l.Trusted, func(p netip.Prefix) bool { return p.Contains(ip) })
	case *net.UnixAddr:
		return l.TrustUnix
	}
	return false
}

// Conn is a connection that begins with a header. Its methods may be called as those of a net.Conn.
type Conn struct {
	net.Conn
	timeout time.Duration

	once   sync.Once
	header Header
	err    error
	rest   []byte // read after the header, not given out yet; only the reader touches it after once

	mu       sync.Mutex
	reading  bool      // the header is being read
	limit    time.Time // for the header
	deadline time.Time // that the user set for reading
}

// NewConn returns c as a connection that begins with a header, which must come within timeout of the first use;
// 0 means 5 s.
func NewConn(c net.Conn, timeout time.Duration) *Conn {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &Conn{Conn: c, timeout: timeout}
}

// Header reads the header where that is still to be done, and returns it. The error is that of Parse, or of reading.
func (c *Conn) Header() (Header, error) {
	c.once.Do(c.read)
	return c.header, c.err
}

// NetConn returns the connection below. What was read from it already is lost to its reader.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read returns the client's bytes, or the error of the header.
func (c *Conn) Read(b []byte) (int, error) {
	if _, err := c.Header(); err != nil {
		return 0, err
	}
	if len(c.rest) > 0 {
		n := copy(b, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// RemoteAddr returns the client's address from the header, and the peer's where the header carries none or is bad.
func (c *Conn) RemoteAddr() net.Addr {
	h, _ := c.Header() // Read tells the error
	if a := h.RemoteAddr(); a != nil {
		return a
	}
	return c.Conn.RemoteAddr()
}

// LocalAddr returns the address that the client connected to, from the header, else the connection's own.
func (c *Conn) LocalAddr() net.Addr {
	h, _ := c.Header()
	if a := h.LocalAddr(); a != nil {
		return a
	}
	return c.Conn.LocalAddr()
}

// PeerAddr returns the address of the proxy. It does not wait.
func (c *Conn) PeerAddr() net.Addr { return c.Conn.RemoteAddr() }

// SetDeadline sets both deadlines. While the header is read, the earlier of the deadline and the header's time-out holds.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline is as for SetDeadline.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.applyLocked()
}

func (c *Conn) applyLocked() error {
	t := c.deadline
	if c.reading && (t.IsZero() || c.limit.Before(t)) {
		t = c.limit
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *Conn) setReading(on bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = on
	c.limit = time.Now().Add(c.timeout)
	return c.applyLocked()
}

func (c *Conn) read() {
	if c.err = c.setReading(true); c.err != nil {
		return
	}
	c.err = c.readHeader()
	if err := c.setReading(false); c.err == nil {
		c.err = err
	}
}

func (c *Conn) readHeader() error {
	buf := make([]byte, 0, 256)
	for {
		n, err := c.Conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		h, used, parseErr := Parse(buf)
		switch {
		case n > 0 && parseErr == nil:
			c.header, c.rest = h, buf[used:]
			return nil
		case !errors.Is(parseErr, ErrShort):
			return parseErr
		case err != nil:
			return fault.Wrap(fault.Of(err), err, "proxyproto: read header from %s", c.Conn.RemoteAddr())
		case len(buf) == cap(buf): // Parse asks for no more than MaxLen
			buf = append(make([]byte, 0, MaxLen), buf...)
		}
	}
}
