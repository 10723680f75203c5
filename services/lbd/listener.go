package lbd

import (
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/netio"
)

// listener is an address that clients connect to. The set keeps its socket for a hand-over; each loop of the engine accepts by
// a descriptor of its own.
type listener struct {
	net.Listener
	name string // in the set
	want string // as configured
	how  *engine.Opening

	once    sync.Once
	fds     []int // for the engine, which has not taken them yet
	accepts *engine.Listener
}

// open makes the engine's descriptors.
func (l *listener) open(e *engine.Engine) error {
	for range e.Workers() {
		fd, err := netio.Duplicate(l.Listener)
		if err != nil {
			return err
		}
		l.fds = append(l.fds, fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return fault.Wrap(fault.Internal, err, "lbd: listen on %s", l.want)
		}
	}
	return nil
}

// serve has the engine accept.
func (l *listener) serve(e *engine.Engine) {
	l.accepts = e.Listen(l.fds, l.how)
	l.fds = nil
}

// begin has connections from now on begin as o says.
func (l *listener) begin(o *engine.Opening) {
	if l.how = o; l.accepts != nil {
		l.accepts.Open(o)
	}
}

// Close stops accepting. Connections live on.
func (l *listener) Close() error {
	var err error
	l.once.Do(func() {
		for _, fd := range l.fds {
			unix.Close(fd)
		}
		if l.accepts != nil {
			l.accepts.Close()
		}
		err = l.Listener.Close()
	})
	return err
}
