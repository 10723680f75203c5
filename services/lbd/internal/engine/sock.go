package engine

import (
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/loop"
	"github.com/everup/everup/services/lbd/internal/tlsconn"
)

// errAgain says that the kernel has nothing to give, or no room, just now.
var errAgain = tlsconn.ErrAgain

// sock is a connected stream socket in a loop, plain or with TLS. It knows from the loop's edges and its own calls whether there may be
// something to read or room to write: no call is made that is known to give EAGAIN.
type sock struct {
	fd       int
	ref      loop.Ref
	readable bool
	writable bool
	hangup   bool          // the end has been told: reading goes on until it is seen
	reset    bool          // the peer has thrown the connection away
	sent     int64         // bytes written
	ending   bool          // no more is sent when what waits has gone
	cork     int           // MSG_MORE where a file follows what is written
	tls      *tlsconn.Conn // nil: plain
}

// note takes in events.
func (s *sock) note(ev loop.Events) {
	s.readable = s.readable || ev&(loop.Readable|loop.Hangup) != 0
	s.writable = s.writable || ev&loop.Writable != 0
	s.hangup = s.hangup || ev&loop.Hangup != 0
	if s.tls != nil && s.writable {
		s.flush()
	}
}

// more reports whether a read may give something.
func (s *sock) more() bool { return s.readable || s.tls != nil && !s.tls.Dry() }

// read reads into p, which is not empty: errAgain, io.EOF at the end, or the system's error. The end of a TLS connection is one only if
// the peer has said so within TLS.
func (s *sock) read(p []byte) (int, error) {
	if s.tls != nil {
		return s.tls.Read(p)
	}
	return s.receive(p)
}

// write writes the pieces in one call. What of them was not taken is to be offered again.
func (s *sock) write(ahead, data, after []byte) (int, error) {
	if s.tls != nil {
		return s.tls.Write(ahead, data, after)
	}
	return s.send(ahead, data, after)
}

// receive is read of the socket's bytes.
func (s *sock) receive(p []byte) (int, error) {
	if !s.readable {
		return 0, errAgain
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			s.readable = false
			return 0, errAgain
		case errno != 0:
			s.reset = s.reset || errno != unix.EPIPE
			return 0, os.NewSyscallError("recv", errno)
		case n == 0:
			return 0, io.EOF
		}
		// Less than asked for: the queue is empty (epoll(7)), and what comes next is told, but for an end that was.
		if int(n) < len(p) && !s.hangup {
			s.readable = false
		}
		return int(n), nil
	}
}

// send is write of the socket's bytes.
func (s *sock) send(ahead, data, after []byte) (int, error) {
	if !s.writable {
		return 0, errAgain
	}
	var iov [3]unix.Iovec
	k, want := 0, 0
	for _, p := range [...][]byte{ahead, data, after} {
		if len(p) > 0 {
			iov[k].Base = unsafe.SliceData(p)
			iov[k].SetLen(len(p))
			want += len(p)
			k++
		}
	}
	msg := unix.Msghdr{Iov: &iov[0]}
	msg.SetIovlen(k)
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&msg)), uintptr(unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL|s.cork))
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			s.writable = false
			return 0, errAgain
		case errno != 0:
			s.reset = s.reset || errno != unix.EPIPE
			return 0, os.NewSyscallError("send", errno)
		}
		s.sent += int64(n)
		if int(n) < want {
			s.writable = false
		}
		return int(n), nil
	}
}

// trailers: the content's framing has them.
func (s *sock) trailers() *http1.Chunks { return nil }

func (s *sock) framed() bool { return false }

// finish has nothing to do: what write took is the kernel's.
func (s *sock) finish(*http1.Chunks) error { return nil }

// end says that no more is sent.
func (s *sock) end() error {
	if s.tls != nil {
		err := s.tls.CloseWrite()
		if s.ending = err == errAgain; s.ending {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return unix.Shutdown(s.fd, unix.SHUT_WR)
}

// flush sends what waits of TLS. What is wrong is told when it is read or written next.
func (s *sock) flush() {
	if s.tls.Flush() == nil && s.ending {
		s.ending = false
		unix.Shutdown(s.fd, unix.SHUT_WR)
	}
}

// farewell tells a TLS peer that the connection ends as it should, if that can be told at once.
func (s *sock) farewell() {
	if s.tls != nil {
		s.tls.CloseWrite()
	}
}

// shut closes the socket.
func (s *sock) shut() {
	if s.tls != nil {
		s.tls.Close()
		s.tls = nil
	}
	unix.Close(s.fd)
	s.fd = -1
}

// wire is a sock as what TLS records travel on.
type wire sock

func (w *wire) Read(p []byte) (int, error)  { return (*sock)(w).receive(p) }
func (w *wire) Write(p []byte) (int, error) { return (*sock)(w).send(p, nil, nil) }
