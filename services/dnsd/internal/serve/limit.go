package serve

import (
	"net"
	"sync"
	"time"
)

// acceptPause is waited after a failed accept: miekg/dns tries again at once, which would take a whole CPU while the process
// is out of descriptors.
const acceptPause = 20 * time.Millisecond

// ownRoom is how many connections from an address to itself have room beyond the limit: the server's questions to itself. Clients who
// fill the limit, of which UDP takes no notice, must not make it look dead.
const ownRoom = 4

// Limit wraps ln so that at most max connections are open, and ownRoom more of this host to itself; one more is closed at once. refused is
// called for it.
func Limit(ln net.Listener, max int, refused func()) net.Listener {
	return &limited{
		Listener: ln, room: make(chan struct{}, max), own: make(chan struct{}, ownRoom), refused: refused, closed: make(chan struct{}),
	}
}

type limited struct {
	net.Listener
	room, own chan struct{}
	refused   func()

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
		if in := l.enter(c); in != nil {
			return in, nil
		}
		l.refused()
		c.Close()
	}
}

// enter gives c a place, or returns nil.
func (l *limited) enter(c net.Conn) net.Conn {
	select {
	case l.room <- struct{}{}:
		return &counted{Conn: c, leave: sync.OnceFunc(func() { <-l.room })}
	default:
	}
	if from := Client(c.RemoteAddr()); !from.IsValid() || from != Client(c.LocalAddr()) {
		return nil
	}
	select {
	case l.own <- struct{}{}:
		return &counted{Conn: c, leave: sync.OnceFunc(func() { <-l.own })}
	default:
		return nil
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
