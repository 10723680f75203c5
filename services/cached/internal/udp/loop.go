package udp

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/cached/internal/session"
)

// loop moves the datagrams of one socket.
type loop struct {
	srv *Server
	raw syscall.RawConn
	h   handler
	in  *inbox
	out *outbox

	// What the poller calls is made once; it leaves what the system call returned in n and errno.
	receive, send func(fd uintptr) bool
	n             int
	errno         syscall.Errno
}

func newLoop(s *Server, raw syscall.RawConn, p *session.Peer) *loop {
	l := &loop{srv: s, raw: raw, h: handler{srv: s, peer: p}, in: newInbox(), out: newOutbox()}
	l.receive = func(fd uintptr) bool {
		l.n, l.errno = recvmmsg(fd, l.in.heads[:])
		return l.errno != unix.EAGAIN
	}
	l.send = func(fd uintptr) bool {
		l.n, l.errno = sendmmsg(fd, l.out.heads[l.out.sent:l.out.filled])
		return l.errno != unix.EAGAIN
	}
	return l
}

// turn waits for datagrams and answers those that are there, at most inBatch.
func (l *loop) turn() error {
	l.in.reset()
	if err := l.raw.Read(l.receive); err != nil {
		return err
	}
	if l.errno != 0 {
		return nil // of an earlier datagram that could not be delivered, or a signal came
	}
	l.srv.counts.Received.Add(uint64(l.n))
	now := int64(time.Since(l.srv.origin))
	for i := range l.n {
		d, from, whole := l.in.datagram(i)
		if !whole || !from.IsValid() {
			l.srv.counts.Truncated.Add(1)
			continue
		}
		f, answer := l.h.handle(d, from, now)
		if len(answer) == 0 {
			continue
		}
		l.srv.counts.Answered.Add(1)
		if err := l.reply(i, f, answer); err != nil {
			return err
		}
	}
	return l.flush()
}

// reply cuts an answer to the i-th datagram of the inbox and puts it into the outbox, which is sent when it is full.
func (l *loop) reply(i int, f Frame, answer []byte) error {
	total := datagrams(len(answer))
	for seq := range total {
		if l.out.full() {
			if err := l.flush(); err != nil {
				return err
			}
		}
		n := min(len(answer), payload)
		l.out.add(l.in.name(i), Frame{ID: f.ID, Seq: uint16(seq), Total: uint16(total)}, answer[:n])
		answer = answer[n:]
	}
	return nil
}

// flush sends what is in the outbox. What the kernel refuses is dropped, as the network drops.
func (l *loop) flush() error {
	for l.out.sent < l.out.filled {
		if err := l.raw.Write(l.send); err != nil {
			return err
		}
		switch {
		case l.errno == unix.EINTR:
		case l.errno != 0:
			l.srv.counts.SendErrors.Add(1)
			l.out.sent++
		default:
			l.srv.counts.Sent.Add(uint64(l.n))
			l.out.sent += l.n
		}
	}
	l.out.sent, l.out.filled = 0, 0
	return nil
}
