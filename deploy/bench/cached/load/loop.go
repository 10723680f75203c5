package load

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

const (
	readSize = 256 << 10 // bytes asked for in one read
	events   = 256       // taken from epoll at once
)

// conn is one connection. It belongs to its loop.
type conn struct {
	fd      int
	slot    int32 // in the loop's conns
	answers answers
	part    []byte // the beginning of an answer's line or header
	out     []byte // what the kernel did not take yet
}

// loop is one epoll loop and its connections.
type loop struct {
	epoll  int
	conns  []*conn
	events []unix.EpollEvent

	// of the run
	t       *part
	r       *Result
	base    time.Time
	in      []byte // readSize, and room in front of it for the part of an answer
	buf     []byte // requests on their way to the kernel
	flight  int    // requests sent and not answered, of all connections
	at      int    // connection whose turn it is (open loop)
	stopped bool   // no further request is to be made
	last    int64  // when an answer was last read, or the first request sent that waits for one
	done    atomic.Bool
}

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "load: epoll_create1")
	}
	return &loop{epoll: fd}, nil
}

func (l *loop) dial(to target) error {
	fd, err := connect(to)
	if err != nil {
		return err
	}
	c := &conn{fd: fd, slot: int32(len(l.conns))}
	l.conns = append(l.conns, c)
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.slot})
}

func (l *loop) close() error {
	var errs []error
	for _, c := range l.conns {
		errs = append(errs, unix.Close(c.fd))
	}
	l.conns = nil
	return errors.Join(append(errs, unix.Close(l.epoll))...)
}

// now returns the nanoseconds since the run began.
func (l *loop) now() int64 { return int64(time.Since(l.base)) }

// run puts the part on the loop's connections and fills in r.
func (l *loop) run(ctx context.Context, t *part, r *Result) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.prepare(t, r)
	l.done.Store(false)
	defer context.AfterFunc(ctx, func() { l.done.Store(true) })()
	began := threadCPU()
	l.base = time.Now()
	var err error
	if t.Rate > 0 {
		err = l.open()
	} else {
		err = l.closed()
	}
	r.CPU = threadCPU() - began
	if err == nil && l.flight > 0 && ctx.Err() != nil {
		err = ctx.Err()
	}
	return err
}

// prepare gives every connection its queue and the loop its buffers.
func (l *loop) prepare(t *part, r *Result) {
	l.t, l.r, l.flight, l.stopped, l.last, l.at = t, r, 0, false, 0, 0
	room := t.Depth
	if t.Rate > 0 {
		room = inFlightLimit
	}
	for _, c := range l.conns {
		c.answers = answers{plan: t.plan, queue: newPending(room, t.Multiget)}
		if t.Refill {
			c.answers.refill = make([]uint32, 0, t.Depth*t.Multiget)
		}
	}
	if l.in == nil {
		l.in = make([]byte, lineLimit+1+readSize)
		l.events = make([]unix.EpollEvent, events)
	}
	// Before the clock starts.
	r.Latency.allocate()
	r.Late.allocate()
}

// threadCPU returns user and system time of this thread.
func threadCPU() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// closed keeps Depth requests in flight on each connection.
func (l *loop) closed() error {
	for _, c := range l.conns {
		if err := l.batch(c); err != nil {
			return err
		}
	}
	for l.flight > 0 && !l.done.Load() {
		if l.now() >= int64(l.t.duration) {
			l.stopped = true
		}
		n, err := l.wait(100)
		if err != nil {
			return err
		}
		for _, ev := range l.events[:n] {
			c := l.conns[ev.Fd]
			if err := l.serve(c, ev.Events); err != nil {
				return err
			}
			if c.answers.queue.len() == 0 {
				if err := l.batch(c); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// batch writes the next Depth requests of a connection.
func (l *loop) batch(c *conn) error {
	l.buf = l.buf[:0]
	now := l.now()
	for range l.t.Depth {
		if l.stopped || l.t.over() {
			break
		}
		l.request(c, now)
	}
	return l.send(c)
}

// request adds one request to the buffer.
func (l *loop) request(c *conn, due int64) {
	if l.flight == 0 {
		l.last = l.now()
	}
	a := &c.answers
	switch n := len(a.refill); {
	case n > 0:
		l.buf = l.t.appendSet(l.buf, &a.queue, a.refill[n-1], due)
		a.refill = a.refill[:n-1]
	case l.t.isGet():
		l.buf = l.t.appendGet(l.buf, &a.queue, due)
	default:
		l.buf = l.t.appendSet(l.buf, &a.queue, l.t.key(), due)
	}
	l.t.left--
	l.flight++
}

// wait waits for events, at most so many milliseconds, and ends a run in which nothing is answered any more.
func (l *loop) wait(ms int) (int, error) {
	l.r.Calls.Wait++
	n, err := unix.EpollWait(l.epoll, l.events, ms)
	if err == unix.EINTR {
		return 0, nil
	}
	if err != nil {
		return 0, fault.Wrap(fault.Internal, err, "load: epoll_wait")
	}
	if n == 0 && l.flight > 0 && l.now()-l.last > int64(stallLimit) {
		return 0, fault.New(fault.Timeout, "load: no answer for %v, %d requests in flight", stallLimit, l.flight)
	}
	return n, nil
}

// serve does what epoll says can be done with a connection.
func (l *loop) serve(c *conn, events uint32) error {
	if events&unix.EPOLLOUT != 0 {
		l.buf = l.buf[:0]
		if err := l.send(c); err != nil {
			return err
		}
	}
	if events&^unix.EPOLLOUT != 0 {
		return l.read(c)
	}
	return nil
}

// read reads once and takes in the answers.
func (l *loop) read(c *conn) error {
	kept := copy(l.in, c.part)
	l.r.Calls.Read++
	n, err := unix.Read(c.fd, l.in[kept:kept+readSize])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "load: read, %d requests in flight", l.flight)
	case n == 0:
		return fault.New(fault.Unavailable, "load: the server closed a connection, %d requests in flight", l.flight)
	}
	l.r.In += int64(n)
	l.last = l.now()
	before := c.answers.queue.len()
	used, err := c.answers.consume(l.in[:kept+n], l.r, l.last)
	c.part = append(c.part[:0], l.in[used:kept+n]...)
	if done := before - c.answers.queue.len(); done > 0 {
		l.flight -= done
		l.r.Duration = time.Duration(l.last)
	}
	return err
}

// send writes what waits of the connection and the buffer behind it.
func (l *loop) send(c *conn) error {
	waited := len(c.out) > 0
	b := l.buf
	if waited {
		c.out = append(c.out, l.buf...)
		b = c.out
	}
	if len(b) == 0 {
		return nil
	}
	l.r.Calls.Write++
	n, err := unix.Write(c.fd, b)
	if err == unix.EAGAIN || err == unix.EINTR {
		n, err = 0, nil
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "load: write, %d requests in flight", l.flight)
	}
	l.r.Out += int64(n)
	c.out = append(c.out[:0], b[n:]...)
	if waits := len(c.out) > 0; waits != waited {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.slot}
		if waits {
			ev.Events |= unix.EPOLLOUT
		}
		return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, c.fd, &ev)
	}
	return nil
}
