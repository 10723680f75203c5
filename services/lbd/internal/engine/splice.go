package engine

import (
	"golang.org/x/sys/unix"
)

// Long content of a known length, between two plain sockets, does not come out of the kernel: splice(2) moves it through a pipe. For an
// answer of 1 MiB that takes half the processor time of reading and writing 64 KiB at a time; a short one is not worth a pipe.
const (
	spliceFrom = 256 << 10 // bytes that are to come
	pipeLen    = 256 << 10 // what is moved at once, and what a pipe holds while its sink is slow
)

// plain returns s if bytes go through it as they are.
func (s *sock) plain() *sock {
	if s.tls != nil {
		return nil
	}
	return s
}

// plainSock returns the socket of an end of a flow whose bytes go as they are, nil for another end.
func plainSock(end any) *sock {
	if e, ok := end.(interface{ plain() *sock }); ok {
		return e.plain()
	}
	return nil
}

// splices reports whether content goes through a pipe from now on, and takes one.
func (f *flow) splices() bool {
	switch {
	case f.pipe != nil:
		return true
	case f.body.Left() < spliceFrom, f.over, f.chunked, f.coder != nil, f.may != nil, !f.buf.empty(), f.limit > 0 && f.taken+f.body.Left() > f.limit:
		return false
	case plainSock(f.src) == nil, plainSock(f.dst) == nil:
		return false
	}
	f.pipe = f.w.pipes.get()
	return f.pipe != nil
}

// splice moves what can be moved at once through the pipe.
func (f *flow) splice(budget *int) error {
	if f.pipe.held == 0 {
		if err := f.fill(); err != nil {
			return err
		}
	}
	dst := plainSock(f.dst)
	if !dst.writable {
		return errAgain
	}
	n, errno := splice(f.pipe.r, dst.fd, f.pipe.held)
	switch {
	case errno == unix.EAGAIN:
		dst.writable = false
		return errAgain
	case errno != 0:
		return errSink
	}
	f.moved = true
	*budget -= n
	f.carried += int64(n)
	if f.pipe.held -= n; f.pipe.held == 0 && f.over {
		f.ended = true
		f.dropPipe()
	}
	return nil
}

// fill takes content from the source into the pipe, which is empty.
func (f *flow) fill() error {
	src := plainSock(f.src)
	if !src.readable {
		return errAgain
	}
	n, errno := splice(src.fd, f.pipe.w, int(min(f.body.Left(), pipeLen)))
	switch {
	case errno == unix.EAGAIN:
		src.readable = false
		return errAgain
	case errno != 0, n == 0:
		return errSource
	}
	f.heard = true
	f.reads++
	f.buf.whole = false
	f.pipe.held = n
	f.body.Skip(int64(n))
	f.taken += int64(n)
	f.see()
	return nil
}

func splice(from, to, n int) (int, unix.Errno) {
	for {
		k, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if errno != unix.EINTR {
			return int(k), errno
		}
	}
}

// dropPipe gives the pipe back.
func (f *flow) dropPipe() {
	if f.pipe != nil {
		f.w.pipes.put(f.pipe)
		f.pipe = nil
	}
}
