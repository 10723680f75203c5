package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// lockName is the locked file; it holds the pid of its holder.
const lockName = ".lock"

// takeLock locks with flock(2): the lock belongs to the open file, so that it can be handed to another process, and the
// kernel gives it back however the holders die.
func takeLock(root *os.Root, path string) (*os.File, error) {
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.Wrap(classOf(err), err, "state: lock %s", path)
	}
	if err := flock(f); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fault.New(fault.Conflict, "state: %s is held by %s", path, holder(f))
		}
		return nil, fault.Wrap(classOf(err), err, "state: lock %s", path)
	}
	if err := writePID(f); err != nil {
		return nil, errors.Join(fault.Wrap(classOf(err), err, "state: lock %s", path), f.Close())
	}
	return f, nil
}

// adoptLock checks that f is the lock of root and is held through f.
func adoptLock(root *os.Root, path string, f *os.File) error {
	want, err := root.Stat(lockName)
	if err != nil {
		return fault.Wrap(classOf(err), err, "state: adopt %s", path)
	}
	have, err := f.Stat()
	if err != nil {
		return fault.Wrap(classOf(err), err, "state: adopt %s", path)
	}
	if !os.SameFile(want, have) {
		return fault.New(fault.Conflict, "state: adopt %s: the lock handed over is not of this directory", path)
	}
	// Locking again through the same open file succeeds, and fails where someone else holds it.
	if err := flock(f); err != nil {
		return fault.Wrap(fault.Conflict, err, "state: adopt %s", path)
	}
	return fault.Wrap(fault.Internal, writePID(f), "state: adopt %s", path)
}

func flock(f *os.File) error {
	return control(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}

func dup(f *os.File) (*os.File, error) {
	n := -1
	err := control(f, func(fd int) (err error) {
		n, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), f.Name()), nil
}

// control calls f with file's descriptor, which stays open meanwhile.
func control(file *os.File, f func(fd int) error) error {
	c, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = c.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

func writePID(f *os.File) error {
	b := strconv.Itoa(os.Getpid()) + "\n"
	if _, err := f.WriteAt([]byte(b), 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(b)))
}

// holder describes the process whose pid is in f, as far as /proc shows it.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || convErr != nil || pid <= 0 {
		return "another process"
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(comm)))
}
