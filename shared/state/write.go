package state

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/everup/everup/shared/fault"
)

// tempMark is in the name of every temporary file: ".NAME.everup-tmp-RANDOM".
const tempMark = ".everup-tmp-"

func isTemp(name string) bool {
	return strings.HasPrefix(name, ".") && strings.Contains(name, tempMark)
}

// WriteFile writes path atomically and durably, with exactly the mode perm. On any error (a full disk, say) path is as
// it was and no temporary file is left. The one exception is an error of the last step, the sync of the directory: then
// the new content is in place and only its survival of a power loss is unsure; the message says "sync directory". A
// symbolic link at path is replaced, not followed.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	err := writeFile(path, data, perm)
	return fault.Wrap(classOf(err), err, "state: write %s", path)
}

func writeFile(path string, data []byte, perm fs.FileMode) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	return replace(root, filepath.Base(path), data, perm)
}

// replace puts data under name in root. A temporary name in the same directory, not an unnamed O_TMPFILE, because
// linking an unnamed file cannot replace an existing name.
func replace(root *os.Root, name string, data []byte, perm fs.FileMode) error {
	tmp := "." + name + tempMark + rand.Text()
	if err := writeTemp(root, tmp, data, perm); err != nil {
		return errors.Join(err, removeTemp(root, tmp))
	}
	if err := root.Rename(tmp, name); err != nil {
		return errors.Join(err, removeTemp(root, tmp))
	}
	return syncDir(root)
}

func writeTemp(root *os.Root, tmp string, data []byte, perm fs.FileMode) error {
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm) // not by the mode of open, which the umask would narrow
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func removeTemp(root *os.Root, tmp string) error {
	if err := root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "sync directory")
	}
	err = errors.Join(f.Sync(), f.Close())
	return fault.Wrap(classOf(err), err, "sync directory")
}

// classOf adds the errors of a file system to what fault.Of knows.
func classOf(err error) fault.Class {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fault.Full
	case errors.Is(err, syscall.EROFS):
		return fault.Denied
	}
	return fault.Of(err)
}
