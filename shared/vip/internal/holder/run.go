package holder

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/rt"
	"github.com/everup/everup/shared/vip/internal/sock"
	"github.com/everup/everup/shared/vip/internal/wire"
)

const (
	// realtimePriority is that of SCHED_FIFO: above ordinary real-time programs, below the kernel's own threads.
	realtimePriority = 50
	// memoryLimit is when the Go runtime collects garbage, which only the messages of the socket to the daemon make.
	memoryLimit = 32 << 20
)

// Run holds virtual addresses as the daemon at the other end of ctl, a stream socket, tells it. parent is a pidfd of the
// daemon, -1 if there is none; both stay the caller's. It returns nil after Stop and when the daemon is dead; all addresses
// are given up in any case. It changes the scheduling, memory locking and signals of the whole process: it is for a process of its
// own.
func Run(ctl *os.File, parent int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPIPE)
	// With a second one that is idle the runtime's monitor would look for 10 ms after each wake-up, 50 000 times a second,
	// whether it is to take the first away from a thread that waits in the kernel.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
	fd := int(ctl.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		return fault.Wrap(fault.Internal, err, "vip: prepare the daemon's socket")
	}
	got := rt.Enter(realtimePriority)
	l, err := newLoop(fd, parent, helloOf(got))
	if err != nil {
		return err
	}
	return errors.Join(l.run(), l.close())
}

// helloOf says what the system lets the process do.
func helloOf(got rt.Got) wire.Hello {
	h := wire.Hello{PID: os.Getpid(), Realtime: got.Realtime, Locked: got.Locked}
	missing, err := rt.Lacking(
		rt.Capability{Name: "CAP_NET_ADMIN", Bit: unix.CAP_NET_ADMIN},
		rt.Capability{Name: "CAP_NET_RAW", Bit: unix.CAP_NET_RAW})
	if h.Missing = missing; err == nil && len(missing) > 0 {
		err = got.Refused // why it works without real time and locked memory is no error
	}
	if err != nil {
		h.Error = err.Error()
	}
	return h
}

func newLoop(ctl, parent int, hello wire.Hello) (l *loop, err error) {
	l = &loop{control: newControl(ctl)}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.poll, err = newPoller(); err != nil {
		return l, err
	}
	if l.watch, err = nl.OpenWatch(nl.WatchOptions{}); err != nil {
		return l, err
	}
	conn, err := nl.Open()
	if err != nil {
		return l, err
	}
	l.kernel = &kernel{Conn: conn, poll: l.poll}
	if l.parent, err = watchParent(parent, l.poll); err != nil {
		return l, err
	}
	for _, fd := range []int{ctl, l.watch.Fd()} {
		if err := l.poll.add(fd); err != nil {
			return l, err
		}
	}
	l.h = newHolder(l.kernel, l.control, hello, time.Now, sock.Now())
	return l, nil
}

func (l *loop) close() error {
	var errs []error
	if l.parent != nil {
		l.parent.close()
	}
	if l.kernel != nil {
		errs = append(errs, l.kernel.Close())
	}
	if l.watch != nil {
		errs = append(errs, l.watch.Close())
	}
	if l.poll != nil {
		errs = append(errs, unix.Close(l.poll.fd))
	}
	return errors.Join(errs...)
}

// kernel is the real system.
type kernel struct {
	*nl.Conn
	poll *poller
}

// polled is a socket in the poller.
type polled struct {
	*sock.Socket
	poll *poller
}

// Close closes the socket, which takes it out of the poller.
func (p polled) Close() error {
	delete(p.poll.sockets, p.Fd())
	return p.Socket.Close()
}

// Listen is system's.
func (k *kernel) Listen(o sock.Options) (socket, error) {
	s, err := sock.Open(o)
	if err != nil {
		return nil, err
	}
	p := polled{s, k.poll}
	if err := k.poll.add(s.Fd()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	k.poll.sockets[s.Fd()] = p
	return p, nil
}

// Transmit is system's.
func (k *kernel) Transmit(index int) (transmitter, error) { return sock.OpenWire(index) }
