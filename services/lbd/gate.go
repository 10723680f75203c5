package lbd

import (
	"net"
	"sync"

	"github.com/everup/everup/services/lbd/internal/guard"
)

// gate bounds the client connections over all listeners. When it is full nobody is accepted, and clients wait in the kernel's
// queue. Safe for concurrent use.
type gate struct {
	mu    sync.Mutex
	room  *sync.Cond // of mu
	limit int
	open  int
	total uint64
	full  uint64        // how often an accept had to wait
	none  chan struct{} // closed when open falls to 0; nil: nobody waits
}

func newGate(limit int) *gate {
	g := &gate{limit: limit}
	g.room = sync.NewCond(&g.mu)
	return g
}

func (g *gate) setLimit(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = n
	g.room.Broadcast()
}

// enter waits for room; false when closed reports true meanwhile.
func (g *gate) enter(closed func() bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.limit {
		g.full++
	}
	for g.open >= g.limit && !closed() {
		g.room.Wait()
	}
	if closed() {
		return false
	}
	g.open++
	g.total++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	g.room.Signal()
	if g.open == 0 && g.none != nil {
		close(g.none)
		g.none = nil
	}
}

// wake lets waiting listeners look whether they are closed.
func (g *gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.room.Broadcast()
}

// empty returns a channel that is closed when no connection is open.
func (g *gate) empty() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.none == nil {
		g.none = make(chan struct{})
		if g.open == 0 {
			none := g.none
			g.none = nil
			close(none)
			return none
		}
	}
	return g.none
}

func (g *gate) counts() (open int, total, full uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open, g.total, g.full
}

// listener is a listening socket behind the gate.
type listener struct {
	net.Listener
	name string // in the netio.Set
	want string // as configured
	gate *gate

	maxHead int // bytes of a request's head

	mu     sync.Mutex
	closed bool
}

// Accept waits for room, then for a client.
func (l *listener) Accept() (net.Conn, error) {
	if !l.gate.enter(l.isClosed) {
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		l.gate.leave()
		return nil, err
	}
	return guard.New(&clientConn{Conn: c, gate: l.gate}, l.maxHead), nil
}

// Close stops accepting. Connections live on.
func (l *listener) Close() error {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	if was {
		return nil
	}
	err := l.Listener.Close()
	l.gate.wake()
	return err
}

func (l *listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// clientConn counts itself out when it closes.
type clientConn struct {
	net.Conn
	gate *gate
	once sync.Once
}

// Close closes the connection.
func (c *clientConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.gate.leave)
	return err
}

// CloseWrite ends the sending direction alone, where the connection can.
func (c *clientConn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Conn.Close()
}
