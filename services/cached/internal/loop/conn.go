package loop

import (
	"net"
	"net/netip"
	"os"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
	"golang.org/x/sys/unix"
)

// add makes a connection of the loop's own; nil when that failed, and it is closed. The Gate has let it in.
func (l *loop) add(a *adoption) *conn {
	c := l.slab.take()
	c.fd, c.id, c.from, c.last = a.fd, a.id, a.from, l.g.second.Load()
	c.sess, c.peer = a.sess, a.peer
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(c.slot), Pad: int32(c.gen)}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, int(a.fd), &ev); err != nil {
		l.g.acceptFailed(os.NewSyscallError("epoll_ctl", err))
		l.end(c, conns.Failed)
		return nil
	}
	return c
}

// begin makes c's session, now that its first byte has come.
func (l *loop) begin(c *conn, first byte) {
	from := &l.g.listeners[c.from]
	c.peer = &session.Peer{
		ID: c.id, Transport: from.Transport, Tag: from.Tag, Only: from.Only,
		Remote: remote(c.fd), Local: from.local(c.fd),
		Env: l.g.o.Env, Meter: l.meter, Note: &l.note,
	}
	c.sess = l.g.o.Factory(first, c.peer)
}

// end is close outside of a turn, where nobody else catches a panic of the session.
func (l *loop) end(c *conn, why conns.Reason) {
	defer l.rescue(c)
	l.close(c, why)
}

// close ends c and gives all back that it holds, the answers in l.out too.
func (l *loop) close(c *conn, why conns.Reason) {
	defer l.letGo(c)
	if l.watched() {
		l.tell(conns.Ended(c.id, l.g.listeners[c.from].Transport, l.remoteOf(c), why))
	}
	if c.sess != nil {
		c.sess.End()
	}
}

// letGo is the part of close that must happen even where End panics.
func (l *loop) letGo(c *conn) {
	if c.out != nil {
		l.forget(c)
	}
	l.dropOut()
	l.pool.put(c.held)
	l.g.gate.Leave()      // first, so that a client that sees the end finds room
	unix.Close(int(c.fd)) // which takes it out of the epoll set: there is no other descriptor of it
	l.slab.drop(c)
	l.load.Add(-1)
	if l.stuck { // a descriptor is free again
		l.stuck = false
		l.listen()
	}
	l.g.ended()
}

// listing describes the loop's connections, at most room of them.
func (l *loop) listing(room int) []conns.Info {
	var out []conns.Info
	now := l.g.second.Load()
	for slot := range l.slab.used {
		c := l.slab.at(slot)
		if !c.has(live) {
			continue
		}
		if len(out) == room {
			break
		}
		from := &l.g.listeners[c.from]
		i := conns.Info{
			ID: c.id, Transport: from.Transport, Remote: l.remoteOf(c), State: conns.Unborn, Idle: int64(now - c.last),
		}
		if i.Local = from.local(c.fd); c.sess != nil {
			i.State = c.sess.State()
		}
		out = append(out, i)
	}
	return out
}

// watched tells whether anybody wants to hear of connections.
func (l *loop) watched() bool {
	return l.g.o.Env != nil && l.g.o.Env.Watch.Wanted(session.ConnEvents) && l.g.o.Env.Watch.Send != nil
}

func (l *loop) tell(line []byte) { l.g.o.Env.Watch.Send(session.ConnEvents, line) }

func (l *loop) remoteOf(c *conn) string {
	if c.peer != nil {
		return c.peer.Remote
	}
	return remote(c.fd)
}

// remote is the client's address as in session.Peer.
func remote(fd int32) string {
	sa, err := unix.Getpeername(int(fd))
	if err != nil {
		return ""
	}
	return spell(sa)
}

// local is the address that the client connected to.
func (s *listener) local(fd int32) string {
	if s.Transport == session.Unix {
		return s.addr
	}
	sa, err := unix.Getsockname(int(fd))
	if err != nil {
		return s.addr
	}
	return spell(sa)
}

func spell(sa unix.Sockaddr) string {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 {
			if i, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
				ip = ip.WithZone(i.Name)
			}
		}
		return netip.AddrPortFrom(ip, uint16(a.Port)).String()
	}
	return session.Unix.String()
}
