package loop

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls in this file are on sockets that do not block, or wait for no time, so that they need not tell the scheduler
// (RawSyscall6). It is the only file of the package with unsafe: each pointer is to the memory of a slice, and the length beside
// it is that of the slice; it is converted in the argument list, so that the memory stays alive during the call.
//
// recvfrom and sendto rather than read and write: they go straight to the socket, past the layer of files. With the direct way to
// RawSyscall6, not by x/sys, that was 6 % of a request's CPU.

// ioFlags: no call waits, and a client that has gone is an error, not a signal.
const ioFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

// read reads into b, which is not empty.
func read(fd int32, b []byte) (int, unix.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), ioFlags, 0, 0)
		if err != unix.EINTR {
			return int(n), err
		}
	}
}

// write writes b, which is not empty.
func write(fd int32, b []byte) (int, unix.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), ioFlags, 0, 0)
		if err != unix.EINTR {
			return int(n), err
		}
	}
}

// readv reads into v, which is not empty.
func readv(fd int32, v []unix.Iovec) (int, unix.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_READV, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(v))), uintptr(len(v)), 0, 0, 0)
		if err != unix.EINTR {
			return int(n), err
		}
	}
}

// writev writes v, which is not empty. The signal of a client that has gone is the Go runtime's affair: it ignores it.
func writev(fd int32, v []unix.Iovec) (int, unix.Errno) {
	for {
		n, _, err := syscall.RawSyscall6(unix.SYS_WRITEV, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(v))), uintptr(len(v)), 0, 0, 0)
		if err != unix.EINTR {
			return int(n), err
		}
	}
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
		n, _, err := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		if err != unix.EINTR {
			return int32(n), err
		}
	}
}

// poll fills events with what is ready now.
func poll(epfd int, events []unix.EpollEvent) int {
	n, _, err := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if err != 0 {
		return 0
	}
	return int(n)
}
