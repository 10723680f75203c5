package holder

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// parentThreads is how many threads of the daemon are watched beside the process.
	parentThreads = 4
	pfExiting     = 1 << 2 // PF_EXITING of linux/sched.h
	// A thread that ends is the process's end if that shows within this.
	confirmations = 5
	confirmGap    = 200 * time.Microsecond
)

// parent knows when the daemon dies. The kernel says so of a process, and closes its sockets, only when all of its memory is
// given back, which at 1 GiB takes a tenth of a second. The threads of one that is killed end at once but for the last, which
// does that work: hence some of them are watched too (Linux 6.9), of a Go process those that never end while it lives.
type parent struct {
	pidfd   int // -1: none
	pid     int
	threads []int // pidfds
}

// watchParent opens what is needed. What fails is left out: the end of the socket says the same, later.
func watchParent(pidfd int, poll *poller) (*parent, error) {
	p := &parent{pidfd: pidfd}
	if pidfd < 0 {
		return p, nil
	}
	if err := poll.add(pidfd); err != nil {
		return nil, err
	}
	p.pid = pidOf(pidfd)
	for _, tid := range threadsOf(p.pid) {
		fd, err := unix.PidfdOpen(tid, unix.PIDFD_THREAD)
		if err != nil {
			break
		}
		p.threads = append(p.threads, fd)
		if err := poll.add(fd); err != nil {
			return p, err
		}
	}
	return p, nil
}

// pidOf returns the process of a pidfd, 0 if that is not known.
func pidOf(pidfd int) int {
	info, err := os.ReadFile(fmt.Sprint("/proc/self/fdinfo/", pidfd))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(info)) {
		if rest, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, _ := strconv.Atoi(strings.TrimSpace(rest))
			return max(pid, 0)
		}
	}
	return 0
}

// threadsOf returns the oldest threads of a process, as far as their numbers tell.
func threadsOf(pid int) []int {
	if pid == 0 {
		return nil
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	var tids []int
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	slices.Sort(tids)
	return tids[:min(len(tids), parentThreads)]
}

// died takes a descriptor that can be read, and reports whether it is one that says that the daemon has died.
func (p *parent) died(fd int) bool {
	if fd == p.pidfd {
		return true
	}
	i := slices.Index(p.threads, fd)
	if i < 0 {
		return false
	}
	for range confirmations {
		if dying(p.pid) {
			return true
		}
		time.Sleep(confirmGap)
	}
	p.threads = slices.Delete(p.threads, i, i+1) // a thread that had done its work
	unix.Close(fd)
	return false
}

// dying reports whether a process has begun to end: it is gone or a zombie, its first thread ends, or is about to by SIGKILL,
// which the kernel gives to all threads.
func dying(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from state, the third, on
	if len(fields) < 7 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return true
	}
	if flags, err := strconv.ParseUint(string(fields[6]), 10, 64); err == nil && flags&pfExiting != 0 {
		return true
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "SigPnd:"); ok {
			pending, err := strconv.ParseUint(strings.TrimSpace(rest), 16, 64)
			return err == nil && pending&(1<<(unix.SIGKILL-1)) != 0
		}
	}
	return false
}

// close closes what watchParent has opened.
func (p *parent) close() {
	for _, fd := range p.threads {
		unix.Close(fd)
	}
}
