package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFile opens the file of a store for this process alone, or makes it. When the file is not ours alone to read and write, or not a plain one,
// why says so, and the file is a new one in its place: somebody else may hold the old one open.
func openFile(path string) (f *os.File, why string, err error) {
	f, err = os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = createFile(path)
		return f, NoFile, err
	}
	if err != nil {
		return nil, "", fmt.Errorf("engine: memory file: %w", err)
	}
	if err := lockFile(f); err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	why, err = trusted(f)
	if err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	if why == "" {
		return f, "", nil
	}
	err = errors.Join(os.Remove(path), f.Close())
	if err != nil {
		return nil, "", fmt.Errorf("engine: memory file that cannot be used (%s): %w", why, err)
	}
	f, err = createFile(path)
	return f, why, err
}

func createFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("engine: memory file: %w", err)
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lockFile makes sure that no other process uses the file.
func lockFile(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("engine: memory file %s is in use: %w", f.Name(), err)
	}
	return nil
}

// trusted says why what is in the file must not be believed; "" if it may.
func trusted(f *os.File) (why string, err error) {
	st, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("engine: memory file: %w", err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !st.Mode().IsRegular():
		return "", fmt.Errorf("engine: memory file %s is not a plain file", f.Name())
	case !ok || int(sys.Uid) != os.Geteuid():
		return "the file belongs to another user", nil
	case st.Mode().Perm() != 0o600:
		return fmt.Sprintf("the file's mode is %v, not -rw-------", st.Mode().Perm()), nil
	case sys.Nlink != 1:
		return "the file has other names", nil
	}
	return "", nil
}
