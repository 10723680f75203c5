package loop

import (
	"os"
	"runtime/debug"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/netio"
	"golang.org/x/sys/unix"
)

// acceptBatch is how many connections one event is good for: more wait behind those that are being served.
const acceptBatch = 16

// listener is a listening socket as the loops know it.
type listener struct {
	Listener
	fd   int
	addr string
}

func newListener(o Listener) (listener, error) {
	s := listener{Listener: o, addr: o.Net.Addr().String()}
	var err error
	if s.fd, err = netio.Duplicate(o.Net); err != nil {
		return s, fault.Wrap(fault.Of(err), err, "loop: listener %s", s.addr)
	}
	if o.Transport == session.TCP {
		// Connections inherit both from the listener: a call less for each.
		for _, opt := range [][2]int{{unix.IPPROTO_TCP, unix.TCP_NODELAY}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE}} {
			if err := unix.SetsockoptInt(s.fd, opt[0], opt[1], 1); err != nil {
				unix.Close(s.fd)
				return s, fault.Wrap(fault.Internal, err, "loop: listener %s: set option %d", s.addr, opt[1])
			}
		}
	}
	return s, nil
}

// listen puts the listeners into the epoll set, or takes them out, as the group's state asks.
func (l *loop) listen() {
	phase := l.g.phase.Load()
	want := phase == serving && l.g.gate.Open() && !l.stuck
	if want != l.listening {
		l.poll(want)
	}
	if phase > serving && !l.deaf {
		l.deaf = true
		l.g.stopListening()
	}
}

// poll puts the listeners into the epoll set, or takes them out.
func (l *loop) poll(want bool) {
	op := unix.EPOLL_CTL_DEL
	if want {
		op = unix.EPOLL_CTL_ADD
	}
	for i := range l.g.listeners {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE, Fd: int32(slotListeners - i)}
		if err := unix.EpollCtl(l.epfd, op, l.g.listeners[i].fd, &ev); err != nil && want {
			l.g.acceptFailed(os.NewSyscallError("epoll_ctl", err))
		}
	}
	l.listening = want
}

// stopListening is called once by each loop that listens no more. The last of them closes the sockets: clients that come now are refused
// by the kernel, and do not wait in a queue that nobody empties.
func (g *Group) stopListening() {
	if g.deaf.Add(1) == int32(len(g.loops)) {
		g.closeListeners()
	}
}

// closeListeners closes the group's descriptors of the listening sockets.
func (g *Group) closeListeners() {
	g.unlisten.Do(func() {
		for i := range g.listeners {
			unix.Close(g.listeners[i].fd)
		}
	})
}

// accept takes some of the connections that wait at listener i.
func (l *loop) accept(i int) {
	for range acceptBatch {
		if !l.listening {
			return // shut since the event, perhaps by the last one
		}
		fd, err := accept(l.g.listeners[i].fd)
		switch err {
		case 0:
			l.welcome(fd, uint16(i))
		case unix.EAGAIN:
			return
		case unix.ECONNABORTED, unix.EPROTO, unix.ENETDOWN, unix.ENOPROTOOPT, unix.EHOSTDOWN,
			unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH, unix.EPERM:
			// That connection's affair (accept(2)).
		default:
			l.stuck = true
			l.timed.Store(true)
			l.listen()
			l.g.acceptFailed(os.NewSyscallError("accept4", err))
			return
		}
	}
}

// welcome gives fd to the loop that has the fewest connections, or refuses it.
func (l *loop) welcome(fd int32, from uint16) {
	l.g.acceptOK()
	id, ok := l.g.gate.Enter()
	if !ok {
		unix.Write(int(fd), []byte(conns.RefusalIn(l.g.listeners[from].Only))) // into an empty buffer; if it fails, nothing is lost
		unix.Close(int(fd))
		return
	}
	if l.watched() {
		l.tell(conns.Begun(id, l.g.listeners[from].Transport, remote(fd)))
	}
	to := l.g.lightest(l)
	to.load.Add(1)
	if to == l {
		l.add(&adoption{fd: fd, id: id, from: from})
		return
	}
	to.take(adoption{fd: fd, id: id, from: from})
}

// adoption is a connection on its way to a loop: new, or back from a goroutine.
type adoption struct {
	fd   int32
	from uint16
	id   int64
	sess session.Session
	peer *session.Peer
	held []byte // input read and not consumed
}

// take hands a to the loop, which counts it already. Where the loop has ended, it ends too.
func (l *loop) take(a adoption) {
	l.inbox.mu.Lock()
	if l.inbox.closed {
		l.inbox.mu.Unlock()
		l.refuse(&a)
		return
	}
	l.inbox.adopted = append(l.inbox.adopted, a)
	l.inbox.mu.Unlock()
	l.rouse()
}

// refuse ends a connection that no loop has.
func (l *loop) refuse(a *adoption) {
	defer func() {
		unix.Close(int(a.fd))
		l.load.Add(-1)
		l.g.gate.Leave()
		l.g.ended()
		if p := recover(); p != nil {
			l.g.bug(p, debug.Stack())
		}
	}()
	if a.sess != nil {
		a.sess.End()
	}
}

// adopt takes in what came by the inbox.
func (l *loop) adopt(a *adoption) {
	c := l.add(a)
	if c == nil {
		return
	}
	switch {
	case l.g.phase.Load() >= drained:
		c.set(readable) // as endQuiet does
	case c.sess == nil:
		return
	}
	if len(a.held) > 0 {
		c.want = wantStep
		if !l.keep(c, a.held) {
			return
		}
	}
	l.enqueue(c)
}
