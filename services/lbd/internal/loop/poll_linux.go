package loop

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// poll asks for events without waiting. It does not tell the scheduler, as a call that may block must: that costs more than
// the call.
func poll(epfd int, events []unix.EpollEvent) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}
