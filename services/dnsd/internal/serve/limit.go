package serve

import (
	"net"
	"sync"
)

// Limit wraps ln so that at most max connections are open; one more is closed at once. refused is called for it.
func Limit(ln net.Listener, max int, refused func()) net.Listener {
	return &limited{Listener: ln, room: make(chan struct{}, max), refused: refused}
}

type limited struct {
	net.Listener
	room    chan struct{}
	refused func()
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.room <- struct{}{}:
			return &counted{Conn: c, leave: sync.OnceFunc(func() { <-l.room })}, nil
		default:
			l.refused()
			c.Close()
		}
	}
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
