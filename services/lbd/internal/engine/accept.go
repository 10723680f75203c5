package engine

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/loop"
)

// acceptor is a listening socket of a worker.
type acceptor struct {
	w   *worker
	of  *Listener
	fd  int
	ref loop.Ref

	closed bool
	once   sync.Once
}

// turnAccepts is how many connections are accepted before others have their turn.
const turnAccepts = 16

// Listener is a listening socket in all workers.
type Listener struct {
	parts   []*acceptor
	opening atomic.Pointer[Opening]
}

// Listen accepts on a listening socket that is not blocking: each worker has one of the descriptors, which are the engine's from
// now on. Connections begin as o says, which is not changed. An engine that has ended accepts nothing.
func (e *Engine) Listen(fds []int, o *Opening) *Listener {
	l := new(Listener)
	l.opening.Store(o)
	for i, fd := range fds {
		l.parts = append(l.parts, &acceptor{w: e.workers[i%len(e.workers)], of: l, fd: fd})
	}
	for _, a := range l.parts {
		a.w.loop.Post(a.open)
	}
	return l
}

// Open has connections from now on begin as o says, which is not changed.
func (l *Listener) Open(o *Opening) { l.opening.Store(o) }

// Close ends accepting, soon. Connections live on.
func (l *Listener) Close() {
	for _, a := range l.parts {
		if !a.w.loop.Post(a.close) {
			a.once.Do(func() { unix.Close(a.fd) }) // the loop has ended, or never ran
		}
	}
}

func (a *acceptor) open() {
	if a.closed {
		return
	}
	var err error
	if a.ref, err = a.w.loop.Add(a.fd, a); err != nil {
		a.close()
		return
	}
	a.w.acceptors = append(a.w.acceptors, a)
}

func (a *acceptor) close() {
	a.closed = true
	a.w.acceptors = slices.DeleteFunc(a.w.acceptors, func(o *acceptor) bool { return o == a })
	a.once.Do(func() {
		a.w.loop.Remove(a.ref) // the socket lives on elsewhere: closing alone would leave it in the set
		unix.Close(a.fd)
	})
}

// acceptAll looks for connections on all listening sockets.
func (w *worker) acceptAll() {
	for _, a := range slices.Clone(w.acceptors) {
		a.Ready(0)
	}
}

// Ready accepts.
func (a *acceptor) Ready(loop.Events) {
	for range turnAccepts {
		if !a.w.e.enter() {
			return // who leaves wakes us
		}
		fd, from, err := unix.Accept4(a.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EINTR, unix.ECONNABORTED:
			a.w.e.leave(nil)
			continue
		default:
			a.w.e.leave(nil)
			return
		}
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // a wish
		a.w.accepted(fd, peerOf(from), a.of.opening.Load())
	}
	a.w.loop.Again(a.ref)
}

// Expired is not called: there is no deadline.
func (a *acceptor) Expired() {}

func peerOf(sa unix.Sockaddr) netip.AddrPort {
	switch s := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr).Unmap(), uint16(s.Port))
	}
	return netip.AddrPort{}
}
