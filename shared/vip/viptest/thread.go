package viptest

import (
	"encoding/binary"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// instrument runs f on a thread of its own that other work does not hold up, neither that of other processes (SCHED_FIFO,
// where the system allows it) nor that of this one: f waits by poll, which keeps the thread's share of Go's scheduler, so
// that it need not wait for one when its time has come.
func instrument(f func()) {
	runtime.LockOSThread() // not undone: the thread ends with the goroutine
	share(1)
	defer share(-1)
	// Without the right to it the thread is an ordinary one; what it measures is then less exact, not wrong.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 60, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
	f()
}

// instruments counts the threads at work. While there is one, Go runs so many threads more at once, and no garbage
// collection by the heap's growth: whoever stops the world may be an ordinary thread that waits for a processor.
var instruments struct {
	mu      sync.Mutex
	n       int
	percent int // debug.SetGCPercent before
}

// share takes or gives back one share.
func share(by int) {
	i := &instruments
	i.mu.Lock()
	defer i.mu.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + by)
	if i.n == 0 {
		i.percent = debug.SetGCPercent(-1)
	}
	if i.n += by; i.n == 0 {
		debug.SetGCPercent(i.percent)
	}
}

// longestPoll bounds a poll: as long as it lasts, the garbage collector waits for the thread.
const longestPoll = 5 * time.Millisecond

// poll waits at most longestPoll for one of the files and says whether there is any. It does not tell Go's scheduler.
func poll(fds []unix.PollFd, wait time.Duration) bool {
	for i := range fds {
		fds[i].Revents = 0
	}
	limit := unix.NsecToTimespec(int64(min(wait, longestPoll)))
	n, _, err := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	return err == 0 && n > 0
}

// header returns the bytes of a netlink request that has nothing but zeros behind its header.
func header(h syscall.NlMsghdr) []byte {
	b := make([]byte, h.Len)
	binary.NativeEndian.PutUint32(b, h.Len)
	binary.NativeEndian.PutUint16(b[4:], h.Type)
	binary.NativeEndian.PutUint16(b[6:], h.Flags)
	return b
}

// linkOf returns the interface index of an ifaddrmsg (rtnetlink(7)).
func linkOf(b []byte) uint32 { return binary.NativeEndian.Uint32(b[4:]) }
