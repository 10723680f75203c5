package loop

import (
	"bytes"
	"context"
	"net"
	"os"
	"runtime/debug"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/shared/netio"
	"golang.org/x/sys/unix"
)

// detached is a connection that a goroutine serves. It goes on counting for its loop and for the Gate.
type detached struct {
	l    *loop
	back adoption // how it comes back
	conn *conns.Timed
	buf  []byte // answers before
	big  engine.Pinned
}

// detach takes c out of the loop and gives it to a goroutine.
func (l *loop) detach(c *conn, in []byte) {
	conn, err := netConn(c.fd)
	if err != nil {
		l.g.acceptFailed(err) // for want of descriptors
		l.close(c, conns.Failed)
		return
	}
	d := &detached{
		l: l, back: adoption{id: c.id, from: c.from, sess: c.sess, peer: c.peer, held: bytes.Clone(in)},
		conn: &conns.Timed{Conn: conn, Limits: l.g.limits.Load}, buf: bytes.Clone(l.out.Buf), big: l.out.Big,
	}
	l.out.Big = engine.Pinned{}
	l.dropOut()
	unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, int(c.fd), nil) // conn keeps the socket alive; that it is in the set is certain
	unix.Close(int(c.fd))
	l.pool.put(c.held)
	l.slab.drop(c)
	l.g.serveDetached(d)
}

// netConn makes a net.Conn with a descriptor of its own.
func netConn(fd int32) (net.Conn, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(n), "connection")
	defer f.Close() // FileConn duplicates again
	return net.FileConn(f)
}

func (g *Group) serveDetached(d *detached) {
	info := conns.Info{
		ID: d.back.id, Transport: d.back.peer.Transport, Remote: d.back.peer.Remote, Local: d.back.peer.Local,
		State: d.back.sess.State(),
	}
	g.mu.Lock()
	g.away[info.ID] = info
	g.mu.Unlock()
	g.wg.Go(func() {
		back := d.serve(g.ctx)
		g.mu.Lock()
		delete(g.away, info.ID)
		g.mu.Unlock()
		if back {
			d.l.take(d.back)
			return
		}
		d.l.load.Add(-1)
		g.ended()
	})
}

// serve writes the answers that were pending, lets the session work, and reports whether the connection goes back to its loop.
func (d *detached) serve(ctx context.Context) (back bool) {
	defer func() {
		if p := recover(); p != nil {
			d.l.g.bug(p, debug.Stack())
			back = false
		}
		if !back {
			d.l.g.gate.Leave() // first, as in letGo
		}
		d.big.Unpin()
		d.conn.Close()
	}()
	defer func() {
		if !back {
			d.back.sess.End()
		}
	}()
	defer context.AfterFunc(ctx, d.conn.Stop)()
	if d.flush() != nil {
		return false
	}
	left, on := d.back.sess.Detached(ctx, d.conn, d.back.held)
	if !on || ctx.Err() != nil {
		return false
	}
	fd, err := netio.Duplicate(d.conn.Conn)
	d.back.fd, d.back.held = int32(fd), left
	return err == nil
}

func (d *detached) flush() error {
	if _, err := d.conn.Write(d.buf); err != nil {
		return err
	}
	for d.big.Len() > 0 {
		n, err := d.conn.Write(d.big.Next())
		if d.big.Advance(n); err != nil {
			return err
		}
	}
	return nil
}
