// Package rt makes the calling process one that a busy machine does not hold up: real-time scheduling, memory that is not
// swapped out, exact timers. What the system refuses is told, and the process goes on without.
package rt

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// Got is what Enter was given.
type Got struct {
	// Realtime: SCHED_FIFO for all threads of the process. Of a thread that alone has it the Go runtime would make one
	// that waits for the others: they hold its locks.
	Realtime bool
	// Locked: pages stay in memory once they have been touched (MCL_ONFAULT). All that is mapped would be the whole
	// binary and what the Go runtime maps in advance.
	Locked bool
	// Refused are the system's words for what was not given; nil: all was.
	Refused error
}

// Enter asks for SCHED_FIFO of the priority, 1 to 99, for locked memory and for timers without slack. Threads that the
// process makes later inherit the scheduling, processes too: the caller starts none.
func Enter(priority int) Got {
	var errs []error
	if err := realtime(priority); err != nil {
		errs = append(errs, err)
	}
	got := Got{Realtime: len(errs) == 0, Locked: true}
	if err := lock(); err != nil {
		got.Locked = false
		errs = append(errs, err)
	}
	// Only the calling thread's: it is the one that waits. Real-time threads have no slack anyway.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		errs = append(errs, fault.Wrap(fault.Denied, err, "rt: set timer slack"))
	}
	got.Refused = errors.Join(errs...)
	return got
}

// lock locks memory, also that which is mapped later. Where a limit applies it is left: under one that is large enough
// today a later mapping would fail, which the Go runtime does not survive.
func lock() error {
	var limit unix.Rlimit
	lacking, err := Lacking(Capability{"CAP_IPC_LOCK", unix.CAP_IPC_LOCK})
	if err != nil {
		return err
	}
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fault.Wrap(fault.Internal, err, "rt: read the limit of locked memory")
	}
	if len(lacking) > 0 && limit.Cur != unix.RLIM_INFINITY {
		return fault.New(fault.Denied, "rt: lock memory: %s lacks, and RLIMIT_MEMLOCK is not infinity", lacking[0])
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fault.Wrap(fault.Denied, err, "rt: lock memory")
	}
	return nil
}

// realtime gives all threads SCHED_FIFO. A thread that another makes meanwhile is found in the next round.
func realtime(priority int) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: uint32(priority)}
	done := map[int]bool{}
	for before := -1; len(done) > before; {
		before = len(done)
		tids, err := threads()
		if err != nil {
			return err
		}
		for _, tid := range tids {
			if done[tid] {
				continue
			}
			if err := unix.SchedSetAttr(tid, &attr, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return fault.Wrap(fault.Denied, err, "rt: set SCHED_FIFO")
			}
			done[tid] = true
		}
	}
	return nil
}

func threads() ([]int, error) {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "rt: list threads")
	}
	var tids []int
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids, nil
}

// Capability is one of capabilities(7).
type Capability struct {
	Name string
	Bit  uint
}

// Lacking returns the names of those capabilities that the calling thread does not have in effect.
func Lacking(want ...Capability) ([]string, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "rt: read capabilities")
	}
	var lacking []string
	for _, c := range want {
		if data[c.Bit/32].Effective>>(c.Bit%32)&1 == 0 {
			lacking = append(lacking, c.Name)
		}
	}
	return lacking, nil
}
