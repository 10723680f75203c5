package sock

import (
	"unsafe" // to hand the kernel headers of messages

	"golang.org/x/sys/unix"
)

// The calls below do not block, hence the runtime is not told of them. It is the only file of the package with unsafe: the
// pointers in a header are to memory that the header's owner holds.

func recvmsg(fd int, head *unix.Msghdr) (n int, errno unix.Errno) {
	r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(head)), unix.MSG_DONTWAIT)
	return int(r), errno
}

func sendmsg(fd int, head *unix.Msghdr) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(head)), unix.MSG_DONTWAIT)
	return errno
}

// rawName returns a socket address as the header of a message wants it.
func rawName[T unix.RawSockaddrInet4 | unix.RawSockaddrInet6 | unix.RawSockaddrLinklayer](name *T) *byte {
	return (*byte)(unsafe.Pointer(name))
}

// discard empties a socket's queue. It ends because nothing comes in meanwhile.
func discard(fd int) {
	head := new(unix.Msghdr)
	for {
		if _, errno := recvmsg(fd, head); errno != 0 && !queued(errno) {
			return
		}
	}
}
