package daemon

import (
	"bytes"
	"os"
	"strconv"

	"github.com/everup/everup/shared/member"
	"golang.org/x/sys/unix"
)

// loadMeter turns the kernel's counters into a node's load between two readings.
type loadMeter struct {
	dir  string // whose file system's fill level counts as disk
	last cpuTimes
}

// cpuTimes are jiffies since boot (proc(5), /proc/stat, first line).
type cpuTimes struct{ total, idle, iowait uint64 }

// read returns the load since the last call; the first call gives CPU 0. What cannot be read stays 0.
func (m *loadMeter) read() member.Load {
	var l member.Load
	if b, err := os.ReadFile("/proc/stat"); err == nil {
		now, ok := parseStat(b)
		if ok {
			l.CPU, l.IOWait = busy(m.last, now)
			m.last = now
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		l.Mem = parseMeminfo(b)
	}
	var fs unix.Statfs_t
	if unix.Statfs(m.dir, &fs) == nil && fs.Blocks > 0 {
		l.Disk = percent(fs.Blocks-fs.Bfree, fs.Blocks-fs.Bfree+fs.Bavail)
	}
	return l
}

// busy returns the share of time not idle and the share waiting for I/O between a and b. The first reading (a is zero)
// has no span to speak of.
func busy(a, b cpuTimes) (cpu, iowait uint8) {
	if a.total == 0 || b.total <= a.total {
		return 0, 0
	}
	span := b.total - a.total
	idle := (b.idle - a.idle) + (b.iowait - a.iowait)
	return percent(span-min(span, idle), span), percent(b.iowait-a.iowait, span)
}

func parseStat(b []byte) (cpuTimes, bool) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 9 || string(f[0]) != "cpu" {
		return cpuTimes{}, false
	}
	var t cpuTimes
	for i, v := range f[1:9] { // guest times (9, 10) are already in user and nice
		n, err := strconv.ParseUint(string(v), 10, 64)
		if err != nil {
			return cpuTimes{}, false
		}
		t.total += n
		switch i {
		case 3:
			t.idle = n
		case 4:
			t.iowait = n
		}
	}
	return t, true
}

// parseMeminfo returns the share of memory that is not available without swapping.
func parseMeminfo(b []byte) uint8 {
	total, avail := memField(b, "MemTotal:"), memField(b, "MemAvailable:")
	if total == 0 || avail > total {
		return 0
	}
	return percent(total-avail, total)
}

func memField(b []byte, key string) uint64 {
	_, rest, ok := bytes.Cut(b, []byte(key))
	if !ok {
		return 0
	}
	f := bytes.Fields(rest[:min(len(rest), 64)])
	if len(f) == 0 {
		return 0
	}
	n, _ := strconv.ParseUint(string(f[0]), 10, 64)
	return n
}

func percent(part, whole uint64) uint8 {
	if whole == 0 {
		return 0
	}
	return uint8(min(100, part*100/whole))
}
