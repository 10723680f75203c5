package serve

import (
	"net"
	"sync"
	"time"
)

// acceptPause is waited after a failed accept: miekg/dns tries again at once, which would take a whole CPU while the process
// is out of descriptors.
const acceptPause = 20 * time.Millisecond

// Limit wraps ln so that at most max connections are open; one more is closed at once. refused is called for it.
func Limit(ln net.Listener, max int, refused func()) net.Listener {
	return &limited{Listener: ln, room: make(chan struct{}, max), refused: refused, closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	room    chan struct{}
	refused func()

	once   sync.Once
	closed chan struct{}
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			l.pause()
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

// pause waits acceptPause, or until the listener closes.
func (l *limited) pause() {
	t := time.NewTimer(acceptPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.closed:
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
