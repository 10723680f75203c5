package memnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Endpoint is one address on a Net: it sends and receives packets, accepts and opens streams. Safe for concurrent use.
type Endpoint struct {
	net     *Net
	addr    netip.AddrPort
	packets chan packet
	accepts chan *Conn
	closed  chan struct{}
	once    sync.Once

	mu    sync.Mutex
	conns map[*Conn]struct{}
}

type packet struct {
	b    []byte
	from netip.AddrPort
}

func newEndpoint(n *Net, addr netip.AddrPort) *Endpoint {
	return &Endpoint{
		net: n, addr: addr, packets: make(chan packet, maxQueue), accepts: make(chan *Conn, 128),
		closed: make(chan struct{}), conns: map[*Conn]struct{}{},
	}
}

// LocalAddr returns the endpoint's address.
func (e *Endpoint) LocalAddr() netip.AddrPort { return e.addr }

// WriteTo sends a packet, which may get lost without a word.
func (e *Endpoint) WriteTo(p []byte, to netip.AddrPort) error {
	if e.isClosed() {
		return net.ErrClosed
	}
	if len(p) > maxPacket {
		return errors.New("memnet: packet too long")
	}
	delay, ok := e.net.send(e.addr.Addr(), to.Addr())
	if !ok {
		return nil
	}
	b := append([]byte(nil), p...)
	time.AfterFunc(delay, func() {
		if dst := e.net.lookup(to); dst != nil {
			dst.put(packet{b, e.addr})
		}
	})
	return nil
}

func (e *Endpoint) put(p packet) {
	select {
	case e.packets <- p:
	default:
	}
}

// ReadFrom blocks for a packet; after Close it returns net.ErrClosed.
func (e *Endpoint) ReadFrom(p []byte) (int, netip.AddrPort, error) {
	select {
	case in := <-e.packets:
		return copy(p, in.b), in.from, nil
	case <-e.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

// Accept blocks for a stream; after Close it returns net.ErrClosed.
func (e *Endpoint) Accept() (net.Conn, error) {
	select {
	case c := <-e.accepts:
		return c, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// Addr makes an Endpoint a net.Listener.
func (e *Endpoint) Addr() net.Addr { return net.TCPAddrFromAddrPort(e.addr) }

// Dial opens a stream. While the link is cut it tries again after 1, 3, 7 … seconds, as TCP does, until ctx ends; where
// nobody listens it is refused.
func (e *Endpoint) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	for pause := firstRetry; !e.reaches(to.Addr()); pause *= 2 {
		if err := e.wait(ctx, pause); err != nil {
			return nil, dialError(to, err)
		}
	}
	rtt := e.net.segment(e.addr.Addr(), to.Addr()) + e.net.segment(to.Addr(), e.addr.Addr())
	if err := e.wait(ctx, rtt); err != nil {
		return nil, dialError(to, err)
	}
	dst := e.net.lookup(to)
	if dst == nil {
		return nil, dialError(to, syscall.ECONNREFUSED)
	}
	return e.connect(dst)
}

// reaches reports whether both ways to a host are whole.
func (e *Endpoint) reaches(host netip.Addr) bool {
	there, _ := e.net.up(e.addr.Addr(), host)
	back, _ := e.net.up(host, e.addr.Addr())
	return there && back
}

func (e *Endpoint) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.closed:
		return net.ErrClosed
	}
}

func (e *Endpoint) connect(dst *Endpoint) (net.Conn, error) {
	ours, theirs := newPair(e, dst)
	if !e.keep(ours) || !dst.keep(theirs) {
		ours.reset()
		return nil, dialError(dst.addr, syscall.ECONNREFUSED)
	}
	select {
	case dst.accepts <- theirs:
		return ours, nil
	default:
		ours.reset()
		return nil, dialError(dst.addr, syscall.ECONNREFUSED)
	}
}

func dialError(to netip.AddrPort, err error) error {
	return &net.OpError{Op: "dial", Net: "mem", Addr: net.TCPAddrFromAddrPort(to), Err: err}
}

// keep remembers a stream, so that Close breaks it.
func (e *Endpoint) keep(c *Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.isClosed() {
		return false
	}
	e.conns[c] = struct{}{}
	return true
}

func (e *Endpoint) drop(c *Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.conns, c)
}

func (e *Endpoint) isClosed() bool {
	select {
	case <-e.closed:
		return true
	default:
		return false
	}
}

// Close ends the endpoint as the end of its process would: streams are reset, the address is free again.
func (e *Endpoint) Close() error {
	e.once.Do(func() {
		e.net.mu.Lock()
		delete(e.net.endpoints, e.addr)
		e.net.mu.Unlock()
		e.mu.Lock()
		close(e.closed)
		conns := e.conns
		e.conns = map[*Conn]struct{}{}
		e.mu.Unlock()
		for c := range conns {
			c.reset()
		}
	})
	return nil
}
