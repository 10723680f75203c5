package holder

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/sock"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// loop is the one thread's work.
type loop struct {
	h       *holder
	poll    *poller
	control *control
	watch   *nl.Watch
	kernel  *kernel
	parent  *parent
}

// run works until the daemon is gone or Stop is done.
func (l *loop) run() error {
	events := make([]unix.EpollEvent, 64)
	take := func(m *wire.Message) error { return l.h.take(sock.Now(), m) }
	hear := func() error { return l.control.hearAll(take) }
	for {
		now := sock.Now()
		err := l.h.due(now, hear)
		if err == nil {
			l.h.finish(now)
			l.control.flush()
		}
		if l.h.stopped {
			l.control.finish()
			return nil
		}
		if err == nil {
			err = l.wait(events, take)
		}
		if err != nil {
			l.h.shutdown(sock.Now())
			if errors.Is(err, errGone) {
				return nil
			}
			return err
		}
	}
}

// wait waits for the next deadline or event and takes what is ready, after what has come due.
func (l *loop) wait(events []unix.EpollEvent, take func(*wire.Message) error) error {
	if err := l.poll.wantWrite(l.control.fd, !l.control.Idle()); err != nil {
		return err
	}
	n, err := l.poll.wait(events, l.h.deadline()-sock.Now())
	if err != nil {
		return err
	}
	for i := range events[:n] {
		if l.parent.died(int(events[i].Fd)) {
			return errGone
		}
	}
	if n > 0 && l.h.deadline() <= sock.Now() {
		l.h.expireAll(sock.Now())
	}
	for i := range events[:n] {
		if err := l.ready(&events[i], take); err != nil {
			return err
		}
	}
	return nil
}

// ready takes what a descriptor has.
func (l *loop) ready(e *unix.EpollEvent, take func(*wire.Message) error) error {
	switch fd := int(e.Fd); fd {
	case l.control.fd:
		if e.Events&^unix.EPOLLOUT == 0 {
			return nil // the turn's end sends
		}
		_, err := l.control.hear(take)
		return err
	case l.watch.Fd():
		return l.watch.Read(l.h.event)
	default:
		if p := l.h.portOf(l.poll.sockets[fd]); p != nil {
			l.h.receive(sock.Now(), p)
		}
		return nil
	}
}

// poller is an epoll instance and the sockets in it.
type poller struct {
	fd      int
	sockets map[int]socket
	writing bool
	coarse  bool // the kernel has no epoll_pwait2
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "vip: make an epoll instance")
	}
	return &poller{fd: fd, sockets: map[int]socket{}}, nil
}

func (p *poller) add(fd int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fault.Wrap(fault.Internal, err, "vip: poll a descriptor")
	}
	return nil
}

// wantWrite has the socket to the daemon polled for room.
func (p *poller) wantWrite(fd int, want bool) error {
	if want == p.writing {
		return nil
	}
	p.writing = want
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if want {
		e.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &e); err != nil {
		return fault.Wrap(fault.Internal, err, "vip: poll the daemon's socket")
	}
	return nil
}

// wait waits for at most d.
func (p *poller) wait(events []unix.EpollEvent, d time.Duration) (int, error) {
	d = min(max(d, 0), vrrp.Never/2)
	if !p.coarse {
		ts := unix.NsecToTimespec(d.Nanoseconds())
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
			uintptr(unsafe.Pointer(&ts)), 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
			return 0, nil
		case unix.ENOSYS, unix.EPERM: // before Linux 5.11; or a sandbox
			p.coarse = true
		default:
			return 0, fault.Wrap(fault.Internal, errno, "vip: wait")
		}
	}
	ms := min((d+time.Millisecond-1)/time.Millisecond, 1<<30)
	n, err := unix.EpollWait(p.fd, events, int(ms))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return 0, fault.Wrap(fault.Internal, err, "vip: wait")
	}
	return max(n, 0), nil
}
