package process

import (
	"fmt"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// Pin binds all threads of this process, and those they will start, to the core.
func Pin(core int) error {
	var set unix.CPUSet
	set.Set(core)
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		var tid int
		if _, err := fmt.Sscan(filepath.Base(t), &tid); err != nil {
			return fault.Wrap(fault.Internal, err, "process: %s", t)
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fault.Wrap(fault.Unsupported, err, "process: pin to core %d", core)
		}
	}
	return nil
}

// SpareFiles are those that a process has open beside its connections, at most.
const SpareFiles = 1000

// Files raises the limit of open files of this process, and so of those it will start, to n or as far as it can, and returns the limit.
func Files(n int) int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	for _, most := range []uint64{max(l.Max, uint64(n)), l.Max} {
		want := syscall.Rlimit{Cur: max(l.Cur, min(most, uint64(n))), Max: most}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want) == nil {
			return int(want.Cur)
		}
	}
	return int(l.Cur)
}
