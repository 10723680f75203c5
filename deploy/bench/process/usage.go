package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// cpuSched is CPUCLOCK_SCHED of the kernel: the clock that counts user and system time in nanoseconds.
const cpuSched = 2

// CPU returns user and system time of all threads of the process so far, those that ended included. It reads the process's
// CPU clock (clock_getcpuclockid(3)), whose steps are nanoseconds where those of /proc/<pid>/stat are ten milliseconds.
func (p *Process) CPU() (time.Duration, error) {
	var ts unix.Timespec
	clock := int32(^p.Pid())<<3 | cpuSched
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fault.Wrap(fault.Internal, err, "process: CPU clock of process %d", p.Pid())
	}
	return time.Duration(ts.Nano()), nil
}

// Memory is what a process holds, in bytes.
type Memory struct {
	RSS  int64 // resident now
	Peak int64 // the most that ever was resident
	PSS  int64 // resident now, each page by its share of those who have it
}

// Memory returns the memory of the process (proc_pid_status(5), VmRSS and VmHWM, and proc_pid_smaps(5)).
func (p *Process) Memory() (Memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return Memory{}, fault.Wrap(fault.Unavailable, err, "process: memory")
	}
	m := Memory{RSS: field(b, "VmRSS:"), Peak: field(b, "VmHWM:")}
	if b, err = os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.Pid())); err != nil {
		return Memory{}, fault.Wrap(fault.Unavailable, err, "process: memory")
	}
	m.PSS = field(b, "Pss:")
	if m.RSS == 0 {
		return m, fault.New(fault.Unavailable, "process: process %d has no memory", p.Pid())
	}
	return m, nil
}

// field returns the value of a line in kB, in bytes.
func field(status []byte, name string) int64 {
	_, rest, _ := bytes.Cut(status, []byte("\n"+name))
	f := bytes.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(string(f[0]), 10, 64)
	return kib << 10
}
