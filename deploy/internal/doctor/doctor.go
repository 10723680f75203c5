// Package doctor looks at a machine before daemons run on it: ports, kernel features and settings, clock, limits, disks, names.
// Each check is a function of a System, which tests fake; what is wrong comes with the reason why it matters and the command
// that mends it.
package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/everup/everup/deploy/internal/host"
)

// Level says how much a finding matters.
type Level string

// The levels. A notice is for those who use the feature it names, and nothing to be mended otherwise.
const (
	Notice Level = "notice"
	Warn   Level = "warn"
	Fail   Level = "fail"
)

// Finding is one thing that is not as it should be.
type Finding struct {
	ID    string `json:"id"` // stable: "sysctl.somaxconn"
	Level Level  `json:"level"`
	What  string `json:"what"`
	Why   string `json:"why"`            // why it matters
	Mend  string `json:"mend,omitempty"` // the command that mends it
}

// Clock is what the kernel knows of its clock.
type Clock struct {
	Synchronized bool
	Offset       time.Duration // last known, from the reference
	MaxError     time.Duration
}

// Disk is the room of a file system.
type Disk struct{ Free, Total, FreeFiles, Files uint64 } // bytes, bytes, inodes, inodes

// System is the machine. Its methods are called one after the other.
type System interface {
	host.Files
	// Feature returns nil if the kernel has the feature for this process: one of Features.
	Feature(name string) error
	Clock() (Clock, error)
	// Limit returns the soft limit of "nofile" or "memlock", Unlimited for none.
	Limit(name string) (uint64, error)
	Disk(dir string) (Disk, error)
	// Fsync returns how long a small file takes to be on stable storage in dir.
	Fsync(dir string) (time.Duration, error)
	Hostname() (string, error)
	// Resolve returns the addresses of a name as programs of this host see them.
	Resolve(ctx context.Context, name string) ([]string, error)
	// Zone returns nil if the time zone is known.
	Zone(name string) error
	// Systemd returns the first line of `systemctl --version`.
	Systemd(ctx context.Context) (string, error)
}

// Unlimited is the limit that is none.
const Unlimited = ^uint64(0)

// Features are the kernel features that Feature knows.
func Features() []string { return []string{"epoll", "memfd", "pidfd", "reuseport", "bpf"} }

// Subject is what is looked at beside the machine itself.
type Subject struct {
	Listeners []Listener
	StateDirs []string // that exist
	VIPs      []VIP
}

// Run does all checks, the worst first.
func Run(ctx context.Context, s System, sub Subject) []Finding {
	out := []Finding{}
	for _, check := range []func(System) []Finding{features, sysctls, clock, limits, zones, cgroup} {
		out = append(out, check(s)...)
	}
	out = append(out, ports(s, sub.Listeners)...)
	out = append(out, disks(s, sub.StateDirs)...)
	out = append(out, vips(s, sub.VIPs)...)
	out = append(out, names(ctx, s)...)
	out = append(out, systemd(ctx, s)...)
	order := []Level{Fail, Warn, Notice}
	slices.SortStableFunc(out, func(a, b Finding) int { return slices.Index(order, a.Level) - slices.Index(order, b.Level) })
	return out
}

// Wrong counts the findings that are more than notices.
func Wrong(fs []Finding) (n int) {
	for _, f := range fs {
		if f.Level != Notice {
			n++
		}
	}
	return n
}
