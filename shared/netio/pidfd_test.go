package netio

import (
	"time"

	"golang.org/x/sys/unix"
)

func pidfdOpen(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }

// pollIn waits until fd can be read; a pidfd can when its process has ended.
func pollIn(fd int, timeout time.Duration) bool {
	end := time.Now().Add(timeout)
	for {
		left := time.Until(end)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(left, 0).Milliseconds()))
		if n > 0 || err != unix.EINTR || left <= 0 {
			return n > 0
		}
	}
}
