package server

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// cpuSched is CPUCLOCK_SCHED of the kernel: the clock that counts user and system time in nanoseconds.
const cpuSched = 2

// CPU returns user and system time of all threads of the process so far, those that ended included. It reads the process's
// CPU clock (clock_getcpuclockid(3)), whose steps are nanoseconds where those of /proc/<pid>/stat are ten milliseconds.
func (s *Server) CPU() (time.Duration, error) {
	var ts unix.Timespec
	clock := int32(^s.Pid())<<3 | cpuSched
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fault.Wrap(fault.Internal, err, "server: CPU clock of process %d", s.Pid())
	}
	return time.Duration(ts.Nano()), nil
}

// Memory is what a process holds, in bytes.
type Memory struct {
	RSS  int64 // resident now
	Peak int64 // the most that ever was resident
}

// Memory returns the memory of the process (proc_pid_status(5), VmRSS and VmHWM).
func (s *Server) Memory() (Memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		return Memory{}, fault.Wrap(fault.Unavailable, err, "server: memory")
	}
	m := Memory{RSS: field(b, "VmRSS:"), Peak: field(b, "VmHWM:")}
	if m.RSS == 0 {
		return m, fault.New(fault.Unavailable, "server: process %d has no memory", s.Pid())
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

// statsLimit bounds the exchange for Stats.
const statsLimit = 10 * time.Second

// Stats returns what the server answers to `stats`.
func (s *Server) Stats() (map[string]string, error) {
	c, err := net.DialTimeout(s.Network, s.Address, statsLimit)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "server: stats")
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(statsLimit))
	if _, err := c.Write([]byte("stats\r\n")); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "server: stats")
	}
	stats := map[string]string{}
	in := bufio.NewScanner(c)
	for in.Scan() {
		line := in.Text()
		if line == "END" {
			return stats, nil
		}
		rest, ok := strings.CutPrefix(line, "STAT ")
		if !ok {
			return nil, fault.New(fault.Corrupt, "server: %q among the stats", line)
		}
		key, value, _ := strings.Cut(rest, " ")
		stats[key] = value
	}
	return nil, fault.New(fault.Corrupt, "server: stats without an end: %v", in.Err())
}

// Stat returns one number of the stats.
func (s *Server) Stat(key string) (int64, error) {
	stats, err := s.Stats()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(stats[key], 10, 64)
	if err != nil {
		return 0, fault.Wrap(fault.Corrupt, err, "server: stat %s is %q", key, stats[key])
	}
	return n, nil
}
