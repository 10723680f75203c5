package engine

import (
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/files"
	"github.com/everup/everup/services/lbd/internal/http1"
)

// fileSource reads content that files.Answer has decided: pieces of memory and of an open file. A disk may be waited for, on the loop's
// thread; what is asked for often is in the kernel's memory.
type fileSource struct {
	answer *files.Answer
	piece  int
	done   int64 // of the piece
	into   fileSink
}

// fileSink is a sink that takes bytes of a file without their coming through memory of ours.
type fileSink interface {
	// takesFiles reports whether it does.
	takesFiles() bool
	// expectFile says that a file follows what is written next at once, or no longer.
	expectFile(bool)
	// sendFile is write for at most n bytes of a file. 0 without an error: the file has no more.
	sendFile(fd int, off int64, n int) (int, error)
}

// directFrom is from how many bytes on a piece of a file goes to a fileSink as such: fewer are read into a buffer sooner than the kernel sets up
// that path.
const directFrom = bufferLen + 1 // measured: of 20 KiB sendfile costs 0.75 of what reading does

// errShrunk says that a file has become shorter than its answer says. Nothing is made up in its place.
var errShrunk = io.ErrUnexpectedEOF

// begin reads the pieces of a for the sink dst; nil: for memory.
func (s *fileSource) begin(a *files.Answer, dst sink) {
	*s = fileSource{answer: a}
	if k, ok := dst.(fileSink); ok && k.takesFiles() {
		s.into = k
	}
}

// takeFile makes the planned file the content of an answer, if there is one; one that cannot be read is an error of ours.
func (x *exchange) takeFile(a *ownAnswer) {
	f := x.plan.File
	if f == nil {
		return
	}
	a.file = f
	x.codeFile(a)
	if len(f.Content) > 0 && x.openFile(a) != nil {
		if a.coder != nil {
			x.w.e.o.Encoders.Put(a.coder)
		}
		*a = ownAnswer{status: 500, why: FileError}
	}
}

// openFile begins to read the content of an answer of ours. What fits into the buffer is read: an error of the disk comes before the head then.
func (x *exchange) openFile(a *ownAnswer) error {
	size := bufferLen
	if a.coder != nil {
		x.file.begin(a.file, nil)
	} else if x.file.begin(a.file, x.c); x.file.direct() {
		return nil
	} else if a.file.Length > largeFrom {
		size = largeLen
	}
	x.w.buffers.get(&x.out, size)
	n, err := x.file.read(x.out.room())
	x.out.w += n
	return err
}

// beginFile sends the content that openFile has begun to read, behind the head.
func (x *exchange) beginFile(a *ownAnswer) {
	x.down.begin(&x.file, x.c, &x.out, http1.Framing{Kind: http1.Length, Length: a.file.Length}, x.toClient, a.chunked)
	x.down.coder = a.coder
	switch {
	case int64(x.out.w) == a.file.Length:
		x.closeFile() // a slow client does not keep it
	default:
		x.down.file = &x.file
		if x.out.empty() {
			x.file.into.expectFile(true)
		}
		if len(a.file.Content) > 1 {
			x.w.buffers.get(&x.out, bufferLen)
		}
	}
	x.down.prime()
}

// closeFile closes the file of the answer that was planned, if one is open.
func (x *exchange) closeFile() {
	if x.plan.File != nil {
		x.plan.File.Close()
	}
}

// trailers: there are none.
func (s *fileSource) trailers() *http1.Chunks { return nil }

// direct reports whether the next bytes are for sendFile.
func (s *fileSource) direct() bool {
	if s.into == nil || s.piece == len(s.answer.Content) {
		return false
	}
	p := &s.answer.Content[s.piece]
	return p.Text == nil && p.End-p.Off-s.done >= directFrom || s.done > 0 && p.Text == nil
}

// read reads up to what goes another way.
func (s *fileSource) read(b []byte) (n int, err error) {
	for n < len(b) && s.piece < len(s.answer.Content) && !s.direct() {
		p := &s.answer.Content[s.piece]
		k, left := 0, int64(len(p.Text))-s.done
		if p.Text != nil {
			k = copy(b[n:], p.Text[s.done:])
		} else {
			left = p.End - p.Off - s.done
			k, err = readAt(s.answer.File.FD, b[n:n+int(min(left, int64(len(b)-n)))], p.Off+s.done)
			if err != nil {
				return 0, err
			}
		}
		n += k
		s.advance(int64(k), left)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// advance takes n of left bytes off the piece.
func (s *fileSource) advance(n, left int64) {
	if s.done += n; n == left {
		s.piece++
		s.done = 0
	}
}

// readAt reads all of b.
func readAt(fd int, b []byte, off int64) (n int, err error) {
	for n < len(b) {
		k, err := unix.Pread(fd, b[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, os.NewSyscallError("pread", err)
		case k == 0:
			return n, errShrunk
		}
		n += max(k, 0)
	}
	return n, nil
}

// fromFile reports whether what comes next goes from descriptor to descriptor.
func (f *flow) fromFile() bool { return f.file != nil && f.buf.empty() && f.file.direct() }

// sendFile sends of a flow's file what is to go from descriptor to descriptor.
func (f *flow) sendFile(budget *int) error {
	s := f.file
	p := &s.answer.Content[s.piece]
	left := p.End - p.Off - s.done
	s.into.expectFile(false)
	n, err := s.into.sendFile(s.answer.File.FD, p.Off+s.done, int(min(left, int64(*budget))))
	switch {
	case err == errAgain:
		return err
	case err != nil:
		return errSink
	case n == 0:
		return errSource
	}
	f.moved = true
	*budget -= n
	f.carried += int64(n)
	f.body.Skip(int64(n))
	s.advance(int64(n), left)
	if f.see(); f.over {
		f.finish()
	}
	return nil
}

// takesFiles: the kernel moves a file's pages to a socket, where nothing is to be done to them.
func (s *sock) takesFiles() bool { return s.tls == nil }

// expectFile has the kernel put what is written next into one packet with what follows.
func (s *sock) expectFile(on bool) {
	s.cork = 0
	if on {
		s.cork = unix.MSG_MORE
	}
}

// sendFile may wait for a disk: the runtime is told, so that others run meanwhile.
func (s *sock) sendFile(fd int, off int64, n int) (int, error) {
	if !s.writable {
		return 0, errAgain
	}
	for {
		k, _, errno := unix.Syscall6(unix.SYS_SENDFILE, uintptr(s.fd), uintptr(fd), uintptr(unsafe.Pointer(&off)), uintptr(n), 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			s.writable = false
			return 0, errAgain
		case errno != 0:
			s.reset = s.reset || errno != unix.EPIPE
			return 0, os.NewSyscallError("sendfile", errno)
		default:
			return int(k), nil
		}
	}
}
