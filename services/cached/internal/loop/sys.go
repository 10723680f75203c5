package loop

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls in this file are on sockets that do not block, or wait for no time, so that they need not tell the scheduler
// (RawSyscall). It is the only file of the package with unsafe: each pointer is to the memory of a slice or variable that the
// caller keeps alive during the call, and its length is that of the slice.

// retry repeats a call that a signal interrupted.
func retry(trap, a, b, c uintptr) (int, unix.Errno) {
	for {
		n, _, err := unix.RawSyscall(trap, a, b, c)
		if err != unix.EINTR {
			return int(n), err
		}
	}
}

// read reads into b, which is not empty.
func read(fd int32, b []byte) (int, unix.Errno) {
	return retry(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
}

// write writes b, which is not empty. SIGPIPE is the Go runtime's affair: on sockets it becomes EPIPE.
func write(fd int32, b []byte) (int, unix.Errno) {
	return retry(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
}

// readv reads into v, which is not empty.
func readv(fd int32, v []unix.Iovec) (int, unix.Errno) {
	return retry(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(v))), uintptr(len(v)))
}

// writev writes v, which is not empty.
func writev(fd int32, v []unix.Iovec) (int, unix.Errno) {
	return retry(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(v))), uintptr(len(v)))
}

// span is b as an iovec; b is not empty.
func span(b []byte) unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return v
}

// accept takes a connection, not asking for the client's address.
func accept(fd int) (int32, unix.Errno) {
	for {
		n, _, err := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		if err != unix.EINTR {
			return int32(n), err
		}
	}
}

// poll fills events with what is ready now.
func poll(epfd int, events []unix.EpollEvent) int {
	n, _, err := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if err != 0 {
		return 0
	}
	return int(n)
}
