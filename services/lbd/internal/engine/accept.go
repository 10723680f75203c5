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
	gone   chan struct{} // closed when the descriptor is
}

const (
	// turnAccepts is how many connections are accepted before others have their turn.
	turnAccepts = 16
	// lastAccepts bounds those that are accepted from the queue of a socket that closes; commonly a queue holds fewer.
	lastAccepts = 4096
)

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
		l.parts = append(l.parts, newAcceptor(e.workers[i%len(e.workers)], l, fd))
	}
	for _, a := range l.parts {
		a.w.loop.Post(a.open)
	}
	return l
}

func newAcceptor(w *worker, of *Listener, fd int) *acceptor {
	return &acceptor{w: w, of: of, fd: fd, gone: make(chan struct{})}
}

// Open has connections from now on begin as o says, which is not changed.
func (l *Listener) Open(o *Opening) { l.opening.Store(o) }

// Close ends accepting: when it returns, all descriptors are closed, so that the address is free once nobody else has the socket. Connections
// live on, those that waited in the kernel's queue too. Of an engine that does not run yet it returns at once, and the rest follows.
func (l *Listener) Close() {
	for _, a := range l.parts {
		if !a.w.loop.Post(a.close) {
			a.release() // the loop has ended, or never ran
		}
	}
	for _, a := range l.parts {
		if !a.w.e.running.Load() {
			continue
		}
		select {
		case <-a.gone:
		case <-a.w.ended:
			a.release() // the loop may have ended before it was asked
		}
	}
}

// release closes the descriptor.
func (a *acceptor) release() {
	a.once.Do(func() {
		unix.Close(a.fd)
		close(a.gone)
	})
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

// close accepts who is in the queue, whom the kernel would reset otherwise, and closes.
func (a *acceptor) close() {
	if a.closed {
		return
	}
	a.accept(lastAccepts)
	a.shut()
}

// shut closes without a look at the queue.
func (a *acceptor) shut() {
	a.closed = true
	a.w.acceptors = slices.DeleteFunc(a.w.acceptors, func(o *acceptor) bool { return o == a })
	a.w.loop.Remove(a.ref) // the socket lives on elsewhere: closing alone would leave it in the set
	a.release()
}

// acceptAll looks for connections on all listening sockets.
func (w *worker) acceptAll() {
	for _, a := range slices.Clone(w.acceptors) {
		a.Ready(0)
	}
}

// Ready accepts.
func (a *acceptor) Ready(loop.Events) {
	if a.accept(turnAccepts) {
		a.w.loop.Again(a.ref)
	}
}

// accept accepts up to n connections. False if no more can be had now.
func (a *acceptor) accept(n int) bool {
	for range n {
		if !a.w.e.enter() {
			return false // who leaves wakes us
		}
		fd, from, err := unix.Accept4(a.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EINTR, unix.ECONNABORTED:
			a.w.e.leave(nil)
			continue
		default:
			a.w.e.leave(nil)
			return false
		}
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // a wish
		a.w.accepted(fd, peerOf(from), a.of.opening.Load())
	}
	return true
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
