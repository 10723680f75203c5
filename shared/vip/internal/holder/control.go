package holder

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/vip/internal/wire"
)

const (
	tellBuffer   = 256 << 10 // of what may be lost
	answerBuffer = 2 << 20
	readBuffer   = 64 << 10
	// lastWords is how long the end waits for the daemon to read.
	lastWords = 200 * time.Millisecond
)

// errGone says that the daemon is dead.
var errGone = fault.New(fault.Unavailable, "vip: the daemon is gone")

// control is the socket to the daemon.
type control struct {
	fd     int
	in     []byte
	reader wire.Reader
	out    []byte // not sent yet
	lost   uint64
}

func newControl(fd int) *control { return &control{fd: fd, in: make([]byte, readBuffer)} }

// hear reads once and hands over what is complete. more says that there may be more to read. errGone: the end.
func (c *control) hear(got func(*wire.Message) error) (more bool, err error) {
	n, err := unix.Read(c.fd, c.in)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return false, nil
	case err != nil || n <= 0:
		return false, errGone
	}
	return n == len(c.in), c.reader.Feed(c.in[:n], got)
}

// hearAll reads until nothing is left.
func (c *control) hearAll(got func(*wire.Message) error) error {
	for {
		if more, err := c.hear(got); err != nil || !more {
			return err
		}
	}
}

// Tell is daemon's.
func (c *control) Tell(m *wire.Message) { c.put(m, tellBuffer) }

// Answer is daemon's.
func (c *control) Answer(m *wire.Message) { c.put(m, answerBuffer) }

// Idle is daemon's.
func (c *control) Idle() bool { return len(c.out) == 0 }

// Lost is daemon's.
func (c *control) Lost() uint64 { return c.lost }

func (c *control) put(m *wire.Message, bound int) {
	before := len(c.out)
	out, err := wire.Append(c.out, m)
	if err != nil || len(out) > bound {
		c.lost++
		out = out[:before]
	}
	c.out = out
}

// flush sends what the socket takes. That the daemon is dead is found by hear.
func (c *control) flush() {
	for len(c.out) > 0 {
		n, err := unix.SendmsgN(c.fd, c.out, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		c.out = append(c.out[:0], c.out[n:]...)
	}
	if cap(c.out) > tellBuffer {
		c.out = nil
	}
}

// finish sends the rest, for as long as the daemon reads.
func (c *control) finish() {
	end := time.Now().Add(lastWords)
	for c.flush(); len(c.out) > 0 && time.Now().Before(end); c.flush() {
		fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(fds, int(lastWords.Milliseconds()))
		if n == 0 || err != nil && !errors.Is(err, unix.EINTR) || fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
			return
		}
	}
}
