package memnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is one end of a stream. Safe for concurrent use. Writes never block: a stream in memory has all the buffer it
// needs.
type Conn struct {
	owner         *Endpoint
	local, remote netip.AddrPort
	in, out       *half

	mu       sync.Mutex
	deadline time.Time
	moved    chan struct{} // closed and replaced when the deadline changes
	closed   bool
}

// half is one direction of a stream.
type half struct {
	net      *Net
	from, to netip.Addr

	mu     sync.Mutex
	queue  []segment
	err    error         // what a reader gets when the queue is empty
	broken bool          // reset: err counts at once
	more   chan struct{} // closed and replaced when something changes
}

type segment struct {
	b  []byte
	at time.Time
}

func newPair(a, b *Endpoint) (*Conn, *Conn) {
	ab := &half{net: a.net, from: a.addr.Addr(), to: b.addr.Addr(), more: make(chan struct{})}
	ba := &half{net: a.net, from: b.addr.Addr(), to: a.addr.Addr(), more: make(chan struct{})}
	ca := &Conn{owner: a, local: a.addr, remote: b.addr, in: ba, out: ab, moved: make(chan struct{})}
	cb := &Conn{owner: b, local: b.addr, remote: a.addr, in: ab, out: ba, moved: make(chan struct{})}
	return ca, cb
}

func (h *half) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.more)
	h.more = make(chan struct{})
}

// Write queues b for the other end.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.usable(); err != nil {
		return 0, err
	}
	at := time.Now().Add(c.out.net.segment(c.out.from, c.out.to))
	err := error(nil)
	c.out.change(func() {
		if err = c.out.err; err == nil {
			if n := len(c.out.queue); n > 0 && c.out.queue[n-1].at.After(at) {
				at = c.out.queue[n-1].at // a stream keeps its order
			}
			c.out.queue = append(c.out.queue, segment{append([]byte(nil), b...), at})
		}
	})
	if err != nil {
		return 0, c.opError("write", syscall.EPIPE)
	}
	return len(b), nil
}

// Read returns what has arrived, and waits for it.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		if err := c.usable(); err != nil {
			return 0, err
		}
		n, wait, more, err := c.in.read(p)
		if n > 0 || err != nil {
			return n, err
		}
		c.await(wait, more)
	}
}

// read takes from the queue what has arrived. If there is nothing, it returns how long the next segment takes (0:
// unknown) and a channel that is closed when something has changed.
func (h *half) read(p []byte) (n int, wait time.Duration, more <-chan struct{}, err error) {
	up, healed := h.net.up(h.from, h.to)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.broken:
		return 0, 0, nil, h.err
	case !up:
		return 0, 0, healed, nil // a cut link hides what happens at the other end
	case len(h.queue) == 0:
		return 0, 0, h.more, h.err
	}
	first := &h.queue[0]
	if wait = time.Until(first.at); wait > 0 {
		return 0, wait, h.more, nil
	}
	n = copy(p, first.b)
	if first.b = first.b[n:]; len(first.b) == 0 {
		h.queue = h.queue[1:]
	}
	return n, 0, nil, nil
}

// await waits until more is closed, wait is over, or the deadline passes or moves.
func (c *Conn) await(wait time.Duration, more <-chan struct{}) {
	c.mu.Lock()
	deadline, moved := c.deadline, c.moved
	c.mu.Unlock()
	var arrived, late <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		arrived = t.C
	}
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-more:
	case <-arrived:
	case <-late:
	case <-moved:
	}
}

// usable returns the error of a closed or late connection.
func (c *Conn) usable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return c.opError("use", net.ErrClosed)
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return c.opError("use", os.ErrDeadlineExceeded)
	}
	return nil
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "mem", Addr: c.RemoteAddr(), Err: err}
}

// Close ends the stream; the other end reads what was written, then io.EOF.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	close(c.moved)
	c.moved = make(chan struct{})
	c.mu.Unlock()
	c.owner.drop(c)
	c.out.change(func() {
		if c.out.err == nil {
			c.out.err = io.EOF
		}
	})
	c.in.change(func() { c.in.err, c.in.queue = io.EOF, nil })
	return nil
}

// reset breaks both directions at once.
func (c *Conn) reset() {
	for _, h := range []*half{c.in, c.out} {
		h.change(func() { h.err, h.broken, h.queue = c.opError("read", syscall.ECONNRESET), true, nil })
	}
}

// SetDeadline sets the time after which reads and writes fail.
func (c *Conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	close(c.moved)
	c.moved = make(chan struct{})
	return nil
}

// SetReadDeadline and SetWriteDeadline are SetDeadline: writes never wait.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }

// SetWriteDeadline does nothing: writes never wait.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

func (c *Conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
