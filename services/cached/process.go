package cached

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"github.com/everup/everup/services/cached/internal/mcflags"
	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// envChild marks the process that -d started, whose descriptor 3 tells its parent that it serves.
const envChild = "EVERUP_CACHED_CHILD"

// daemonize starts the daemon in the background, in a session of its own, and returns when it serves: unlike memcached's -d, it says so when it could
// not.
func daemonize(args []string, errs io.Writer) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "go to the background")
	}
	defer r.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "go to the background")
	}
	defer null.Close()
	exe, err := os.Executable()
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "go to the background")
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), envChild+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = null, null, errs, []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fault.Wrap(fault.Of(err), err, "go to the background")
	}
	w.Close()
	if n, _ := r.Read(make([]byte, 1)); n == 1 {
		return nil
	}
	if err := cmd.Wait(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the daemon in the background ended")
	}
	return fault.New(fault.Unavailable, "the daemon in the background was ended before it served")
}

// detach tells the process that waits in daemonize. Without -v the log ends here, as memcached's does: whoever started the daemon and reads what it
// writes would wait for its end.
func detach(o *mcflags.Options) error {
	if os.Getenv(envChild) == "" {
		return nil
	}
	os.Unsetenv(envChild)
	if o.Verbosity == 0 {
		if err := unix.Dup3(unix.Stdin, unix.Stderr, 0); err != nil { // /dev/null, by daemonize
			return fault.Wrap(fault.Of(err), err, "go to the background")
		}
	}
	f := os.NewFile(3, "parent")
	defer f.Close()
	_, err := f.Write([]byte{1})
	return err
}

// descriptors are what the process needs beside its connections.
const descriptors = 64

// prepare makes the process as the options want it: core dumps, enough descriptors, locked memory, and at last another user.
func prepare(o *mcflags.Options) error {
	if o.CoreDumps {
		if err := raise(unix.RLIMIT_CORE, unix.RLIM_INFINITY); err != nil {
			return fault.Wrap(fault.Denied, err, "-r (--enable-coredumps)")
		}
	}
	if err := raise(unix.RLIMIT_NOFILE, uint64(o.MaxConns)+descriptors); err != nil {
		return fault.Wrap(fault.Denied, err, "-c (--conn-limit): raise the limit of open files to %d", o.MaxConns+descriptors)
	}
	if o.LockMemory {
		if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE); err != nil {
			o.Ignored = append(o.Ignored, mcflags.Note{Option: "-k (--lock-memory)", Why: "the system refuses: " + err.Error()})
		}
	}
	return become(o.User)
}

// raise sets a soft limit to at least n, and the hard one where it is lower and the process may.
func raise(which int, n uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(which, &l); err != nil {
		return err
	}
	if l.Cur >= n {
		return nil
	}
	l.Cur, l.Max = n, max(l.Max, n)
	return unix.Setrlimit(which, &l)
}

// become changes to the user, when the process is root's and one is named.
func become(name string) error {
	if name == "" || os.Geteuid() != 0 || name == "root" {
		return nil
	}
	fail := func(err error) error { return fault.Wrap(fault.Of(err), err, "-u (--user): become %s", name) }
	u, err := user.Lookup(name)
	if err != nil {
		return fail(err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return fail(err)
	}
	if uid == 0 {
		return nil
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups([]int{gid}) },
		func() error { return syscall.Setgid(gid) },
		func() error { return syscall.Setuid(uid) },
	} {
		if err := step(); err != nil {
			return fail(err)
		}
	}
	return nil
}

// port is addr's port, 0 where it has none.
func port(addr net.Addr) int {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return 0
	}
	return int(at.Port())
}
