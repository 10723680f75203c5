package web

import (
	"net"
	"sync"
)

// Bounded returns ln with at most n connections open at once; further ones wait in the kernel's backlog.
func Bounded(ln net.Listener, n int) net.Listener {
	return &bounded{Listener: ln, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

type bounded struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &boundedConn{Conn: c, slots: b.slots}, nil
}

func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

type boundedConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

func (c *boundedConn) Close() error {
	defer c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}
