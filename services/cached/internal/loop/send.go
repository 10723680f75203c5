package loop

import (
	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
	"golang.org/x/sys/unix"
)

// backlog is output that the socket did not take.
type backlog struct {
	buf   []byte // borrowed from the pool
	off   int
	big   engine.Pinned
	since uint32 // second of the last progress
}

// sending is how far writing came.
type sending uint8

const (
	sent    sending = iota // all is written
	blocked                // the rest is in the backlog, c's next turn is seen to; or that failed, and c is gone
	gone                   // the connection is closed
)

const spareBacklogs = 64

// send writes what a Step left in l.out, which is empty afterwards.
func (l *loop) send(c *conn) sending {
	if len(l.out.Buf) == 0 && l.out.Big.Len() == 0 {
		return sent
	}
	rest, s := l.push(c, l.out.Buf, &l.out.Big)
	switch {
	case s == gone:
		l.close(c, conns.Failed)
	case s == blocked && l.mayKeep(c, len(rest)):
		l.postpone(c, rest)
	case s == blocked:
		s = gone
	}
	l.dropOut()
	return s
}

// dropOut empties l.out, and gives up a buffer that one long answer has made large.
func (l *loop) dropOut() {
	l.out.Big.Unpin()
	if l.out.Buf = l.out.Buf[:0]; cap(l.out.Buf) > 8*outputCap {
		l.out.Buf = make([]byte, 0, outputCap)
	}
}

// postpone moves rest and l.out.Big to c's backlog, and sees that it is written on: by the ready queue when only the turn is
// over, else when the socket has room.
func (l *loop) postpone(c *conn, rest []byte) {
	l.setAside(c, rest)
	l.later(c)
}

// setAside moves rest and l.out.Big to c's backlog.
func (l *loop) setAside(c *conn, rest []byte) {
	b := &backlog{}
	if n := len(l.backlogs); n > 0 {
		b, l.backlogs = l.backlogs[n-1], l.backlogs[:n-1]
	}
	b.big, l.out.Big = l.out.Big, engine.Pinned{}
	b.since = l.g.second.Load()
	if len(rest) > 0 {
		b.buf = append(l.pool.get(len(rest)), rest...)
	}
	c.out = b
	l.lagging++
	l.timed.Store(true)
}

func (l *loop) later(c *conn) {
	if l.moved >= session.TurnBytes {
		l.enqueue(c)
		return
	}
	l.askOut(c, true)
}

// resume writes c's backlog on. sent: it is gone, and c goes on.
func (l *loop) resume(c *conn) sending {
	b, before := c.out, l.moved
	rest, s := l.push(c, b.buf[b.off:], &b.big)
	b.off = len(b.buf) - len(rest)
	if l.moved > before {
		b.since = l.g.second.Load()
	}
	switch s {
	case gone:
		l.close(c, conns.Failed)
	case blocked:
		l.later(c)
	default:
		l.forget(c)
		if c.has(ending) {
			l.close(c, conns.Normal)
			return gone
		}
	}
	return s
}

// forget drops c's backlog.
func (l *loop) forget(c *conn) {
	b := c.out
	c.out = nil
	l.lagging--
	b.big.Unpin()
	l.pool.put(b.buf)
	if *b = (backlog{}); len(l.backlogs) < spareBacklogs {
		l.backlogs = append(l.backlogs, b)
	}
}

// push writes buf and then big, until all is written, the socket is full, or the turn is over; the last only where there is a big value.
// It returns what is left of buf, and unpins big at its end. A short write says that the socket is full: asking again would be a call in vain.
func (l *loop) push(c *conn, buf []byte, big *engine.Pinned) (rest []byte, s sending) {
	pinned := big.Len() > 0
	for len(buf) > 0 || big.Len() > 0 {
		n, all, err := l.write(c.fd, buf, big)
		l.count.writes++
		switch {
		case err == unix.EAGAIN:
			return buf, blocked
		case err != 0:
			return buf, gone
		}
		l.count.written += uint64(n)
		l.moved += n
		k := min(n, len(buf))
		if buf = buf[k:]; n > k {
			big.Advance(n - k)
		}
		if n < all || big.Len() > 0 && l.moved >= session.TurnBytes {
			return buf, blocked
		}
	}
	if pinned {
		big.Unpin()
	}
	return nil, sent
}

// write makes one system call for buf and pieces of big. all is what it could have written.
func (l *loop) write(fd int32, buf []byte, big *engine.Pinned) (n, all int, err unix.Errno) {
	if big.Len() == 0 {
		n, err = write(fd, buf)
		return n, len(buf), err
	}
	iov := l.iov[:0]
	if len(buf) > 0 {
		iov, all = append(iov, span(buf)), len(buf)
	}
	l.pieces = big.Pieces(l.pieces[:0], maxPieces)
	for _, p := range l.pieces {
		iov, all = append(iov, span(p)), all+len(p)
		if all >= session.TurnBytes {
			break
		}
	}
	n, err = writev(fd, iov)
	clear(l.pieces)
	clear(iov)
	return n, all, err
}

// askOut asks, or asks no more, to be told when c's socket has room. It stays asked for between backlogs until the
// socket tells without need: TCP never does.
func (l *loop) askOut(c *conn, on bool) {
	if on == c.has(asksOut) {
		return
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(c.slot), Pad: int32(c.gen)}
	if c.clear(asksOut); on {
		ev.Events |= unix.EPOLLOUT
		c.set(asksOut)
	}
	if unix.EpollCtl(l.epfd, unix.EPOLL_CTL_MOD, int(c.fd), &ev) != nil {
		l.close(c, conns.Failed) // it would hang
	}
}
