package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/deploy/internal/host"
	"github.com/everup/everup/shared/conf"
)

// maxOffset is the largest error of the clock that is not worth a word.
const maxOffset = 500 * time.Millisecond

func clock(s System) []Finding {
	const (
		why  = "certificates, the order of events and of writes, and the days of the log files go by the clock"
		mend = "apt-get install chrony && systemctl enable --now chrony"
	)
	c, err := s.Clock()
	switch {
	case err != nil:
		return []Finding{{"clock.unknown", Notice, "the state of the clock cannot be read: " + err.Error(), why, mend}}
	case !c.Synchronized:
		return []Finding{{"clock.unsynchronized", Warn, "nothing keeps the clock right", why, mend}}
	case c.Offset.Abs() > maxOffset:
		return []Finding{{"clock.offset", Warn, "the clock is off by " + c.Offset.String(), why, "chronyc makestep"}}
	}
	return nil
}

// Least limits of a process.
const (
	leastFiles   = 65536
	leastMemlock = 64 << 20
)

func limits(s System) []Finding {
	var out []Finding
	if n, err := s.Limit("nofile"); err == nil && n < leastFiles {
		out = append(out, Finding{"limit.nofile", Warn, fmt.Sprintf("a process may open %d files", n),
			"a connection through lbd takes two; the systemd units raise the limit, a shell does not", "echo '* - nofile 1048576' > /etc/security/limits.d/60-everup.conf, and log in again"})
	}
	if n, err := s.Limit("memlock"); err == nil && n < leastMemlock {
		out = append(out, Finding{"limit.memlock", Notice, fmt.Sprintf("a process may lock %s of memory", conf.Size(n)),
			"BPF maps and XDP sockets count against it on kernels before 5.11", "set LimitMEMLOCK=infinity in lbd's unit"})
	}
	return out
}

func zones(s System) []Finding {
	if err := s.Zone("Europe/Berlin"); err != nil {
		return []Finding{{"zone.data", Notice, "there are no time zone data: " + err.Error(),
			"logd's `zone` can only be Local or UTC then", "apt-get install tzdata"}}
	}
	return nil
}

// Least resources of a control group.
const (
	leastMemory = 512 << 20
	leastCPU    = 0.5
)

// cgroup checks the bounds of the process's own control group (version 2).
func cgroup(s System) []Finding {
	dir, ok := ownCgroup(s)
	if !ok {
		return nil
	}
	var out []Finding
	if b, err := s.ReadFile(dir + "/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n < leastMemory {
			out = append(out, Finding{"cgroup.memory", Warn, "the control group has " + conf.Size(n).String() + " of memory",
				"a daemon that goes over it is killed", "raise MemoryMax= of the unit, or set limits.memory and cached's memory below it"})
		}
	}
	if b, err := s.ReadFile(dir + "/cpu.max"); err == nil {
		var quota, period float64
		if n, _ := fmt.Sscan(string(b), &quota, &period); n == 2 && period > 0 && quota/period < leastCPU {
			out = append(out, Finding{"cgroup.cpu", Warn, fmt.Sprintf("the control group has %.2f of a CPU", quota/period),
				"a starved daemon misses gossip and is taken for dead", "raise CPUQuota= of the unit"})
		}
	}
	return out
}

func ownCgroup(s System) (string, bool) {
	b, err := s.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return "/sys/fs/cgroup" + strings.TrimSuffix(path, "/"), true
		}
	}
	return "", false
}

// ports checks that what the configurations listen on is free, or held by the daemon itself.
func ports(s System, ls []Listener) []Finding {
	var out []Finding
	for _, l := range ls {
		h, held := host.PortHolder(s, l.Proto, l.Port)
		if !held || h.Program == l.Daemon || l.Shared && slices.Contains(daemons(), h.Program) {
			continue
		}
		out = append(out, Finding{fmt.Sprintf("port.%s.%d", l.Proto, l.Port), Fail,
			fmt.Sprintf("%s port %d, which %s wants for %s, is held by %s", l.Proto, l.Port, l.Daemon, l.Key, h),
			"the daemon cannot start", fmt.Sprintf("stop it, or set %s in %s.yaml; see: ss -lnp sport = :%d", l.Key, l.Daemon, l.Port)})
	}
	return out
}

// Bounds of a disk.
const (
	leastFree  = 1 << 30
	leastShare = 20 // one part in so many must be free
	slowFsync  = 50 * time.Millisecond
)

func disks(s System, dirs []string) []Finding {
	var out []Finding
	for _, dir := range dirs {
		if d, err := s.Disk(dir); err == nil {
			out = append(out, room(dir, d)...)
		}
		took, err := s.Fsync(dir)
		switch {
		case err != nil:
			out = append(out, Finding{"disk.write", Fail, dir + " cannot be written by this user: " + err.Error(),
				"a daemon keeps its state there", "run as the daemon's user, or mend the owner: ls -ld " + dir})
		case took > slowFsync:
			out = append(out, Finding{"disk.fsync", Warn, fmt.Sprintf("a write to %s takes %s to be on stable storage", dir, took.Round(time.Millisecond)),
				"storaged acknowledges after that, logd with sync: always too", "move the directory to an SSD with power-loss protection"})
		}
	}
	return out
}

func room(dir string, d Disk) []Finding {
	var out []Finding
	if d.Free < leastFree || d.Free < d.Total/leastShare {
		out = append(out, Finding{"disk.free", Warn, fmt.Sprintf("%s has %d MiB free of %d MiB", dir, d.Free>>20, d.Total>>20),
			"uploads are refused and log lines lost on a full disk", "du -xh --max-depth=2 " + dir + " | sort -h | tail"})
	}
	if d.Files > 0 && d.FreeFiles < d.Files/leastShare {
		out = append(out, Finding{"disk.inodes", Warn, fmt.Sprintf("%s has %d inodes free of %d", dir, d.FreeFiles, d.Files),
			"an object and a log file take an inode each", "du --inodes -x --max-depth=2 " + dir + " | sort -n | tail"})
	}
	return out
}

// nameTime bounds the resolution of the own name.
const nameTime = 3 * time.Second

func names(ctx context.Context, s System) []Finding {
	const why = "the node's name in the fleet is made from it, and programs that look it up wait"
	h, err := s.Hostname()
	if err != nil || h == "" || h == "localhost" || strings.HasPrefix(h, "localhost.") {
		return []Finding{{"name.none", Warn, "the host has no name of its own", why, "hostnamectl set-hostname NAME, or set node in the configurations"}}
	}
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	if addrs, err := s.Resolve(ctx, h); err != nil || len(addrs) == 0 {
		return []Finding{{"name.unresolved", Notice, "the host's own name " + h + " does not resolve", why, "echo '127.0.1.1 " + h + "' >> /etc/hosts"}}
	}
	return nil
}

// leastSystemd is what the shipped units need (Debian 12).
const leastSystemd = 252

func systemd(ctx context.Context, s System) []Finding {
	line, err := s.Systemd(ctx)
	if err != nil {
		return []Finding{{"systemd.none", Notice, "systemd does not answer: " + err.Error(), "the shipped units are for it; without it, something else must restart the daemons", ""}}
	}
	f := strings.Fields(line)
	if len(f) < 2 {
		return nil
	}
	if v, err := strconv.Atoi(f[1]); err == nil && v < leastSystemd {
		return []Finding{{"systemd.old", Warn, "systemd is version " + f[1], fmt.Sprintf("the shipped units need %d", leastSystemd), "upgrade the distribution"}}
	}
	return nil
}
