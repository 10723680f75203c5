package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/everup/everup/deploy/internal/host"
	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// Machine is the System that everup runs on.
type Machine struct{ host.OS }

var _ System = Machine{}

// Feature tries the system call.
func (Machine) Feature(name string) error {
	var fd int
	var err error
	switch name {
	case "epoll":
		fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	case "memfd":
		fd, err = unix.MemfdCreate("everup", unix.MFD_CLOEXEC)
	case "pidfd":
		fd, err = unix.PidfdOpen(os.Getpid(), 0)
	case "reuseport":
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), unix.Close(fd))
		}
		return err
	case "bpf":
		return bpf()
	default:
		return fault.New(fault.Unsupported, "doctor: no such feature: %s", name)
	}
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// bpf asks whether this process may load programs: by its capabilities, which is all that can be asked without loading one.
func bpf() error {
	if _, err := os.Stat("/sys/fs/bpf"); err != nil {
		return errors.New("the kernel was built without BPF")
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return err
	}
	has := func(c uint) bool { return data[c/32].Effective&(1<<(c%32)) != 0 }
	if has(unix.CAP_SYS_ADMIN) || has(unix.CAP_BPF) && has(unix.CAP_NET_ADMIN) {
		return nil
	}
	return errors.New("CAP_BPF and CAP_NET_ADMIN are missing")
}

// Clock asks adjtimex(2).
func (Machine) Clock() (Clock, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return Clock{}, fault.Wrap(fault.Unsupported, err, "doctor: adjtimex")
	}
	unit := time.Microsecond
	if t.Status&unix.STA_NANO != 0 {
		unit = time.Nanosecond
	}
	return Clock{
		Synchronized: state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0,
		Offset:       time.Duration(t.Offset) * unit,
		MaxError:     time.Duration(t.Maxerror) * time.Microsecond,
	}, nil
}

// Limit asks getrlimit(2). Go raises its own soft limit of files to the hard one, so that the hard one is what counts.
func (Machine) Limit(name string) (uint64, error) {
	which := map[string]int{"nofile": unix.RLIMIT_NOFILE, "memlock": unix.RLIMIT_MEMLOCK}
	var r unix.Rlimit
	if err := unix.Getrlimit(which[name], &r); err != nil {
		return 0, fault.Wrap(fault.Unsupported, err, "doctor: limit %s", name)
	}
	return r.Max, nil
}

// Disk asks statfs(2).
func (Machine) Disk(dir string) (Disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Disk{}, fault.Wrap(fault.Of(err), err, "doctor: disk of %s", dir)
	}
	unit := uint64(st.Bsize)
	return Disk{Free: st.Bavail * unit, Total: st.Blocks * unit, FreeFiles: st.Ffree, Files: st.Files}, nil
}

// fsyncTries is how often the sync is measured; the fastest counts, as others may use the disk.
const fsyncTries = 5

// Fsync writes 4 KiB and syncs, some times, into a file that is removed.
func (Machine) Fsync(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, fault.Wrap(fault.Of(err), err, "doctor: write")
	}
	defer os.Remove(f.Name())
	defer f.Close()
	best := time.Duration(1<<63 - 1)
	for range fsyncTries {
		start := time.Now()
		if _, err := f.WriteAt(make([]byte, 4096), 0); err != nil {
			return 0, fault.Wrap(fault.Of(err), err, "doctor: write")
		}
		if err := f.Sync(); err != nil {
			return 0, fault.Wrap(fault.Of(err), err, "doctor: sync")
		}
		best = min(best, time.Since(start))
	}
	return best, nil
}

// Hostname returns the host's name.
func (Machine) Hostname() (string, error) { return os.Hostname() }

// Resolve asks as Go's programs do: /etc/hosts, then DNS.
func (Machine) Resolve(ctx context.Context, name string) ([]string, error) {
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	return addrs, fault.Wrap(fault.NotFound, err, "doctor: resolve")
}

// Zone loads the time zone.
func (Machine) Zone(name string) error {
	_, err := time.LoadLocation(name)
	return err
}

// systemdTime bounds the question for the version.
const systemdTime = 5 * time.Second

// Systemd runs systemctl.
func (Machine) Systemd(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, systemdTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "--version").Output()
	if err != nil {
		return "", fault.Wrap(fault.Unsupported, err, "doctor: systemctl")
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, nil
}
