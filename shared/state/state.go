// Package state keeps a daemon's small files so that a crash at any moment leaves the old content or the new,
// never a part: written to a temporary name, synced, renamed, and the directory synced.
//
// WriteFile does that for any path. Dir is a directory held by a lock, whose files are reached by plain names only.
// Save and Load add an envelope that tells damage from content. Overrides is the one structure every daemon keeps.
// The package reads no clock: times come from the caller.
package state

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/everup/everup/shared/fault"
)

// MaxFile is the largest file that ReadFile and Load read, in bytes.
const MaxFile = 64 << 20

// Dir is a daemon's state directory, held by an exclusive lock so that two daemons cannot share it. Its methods may be
// called from several goroutines; the last of several writes to one name wins whole.
type Dir struct {
	path string
	root *os.Root
	lock *os.File

	mu     sync.Mutex
	closed bool
}

// Open makes the directory (0700) where it is missing, removes leftover temporary files and takes the lock.
// A directory that another process holds is fault.Conflict and names the process.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fault.Wrap(fault.Of(err), err, "state: open %s", path)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fault.Wrap(fault.Of(err), err, "state: open %s", path)
	}
	lock, err := takeLock(root, path)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	d := &Dir{path: path, root: root, lock: lock}
	if err := d.sweep(); err != nil {
		return nil, errors.Join(fault.Wrap(fault.Of(err), err, "state: open %s", path), d.Close())
	}
	return d, nil
}

// Adopt is Open for a process that was handed the lock of path by the process before it, as Lock returned it there.
// Leftover temporary files stay, for they may be the other's. Adopt owns lock from then on, also when it fails.
func Adopt(path string, lock *os.File) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, errors.Join(fault.Wrap(fault.Of(err), err, "state: adopt %s", path), lock.Close())
	}
	if err := adoptLock(root, path, lock); err != nil {
		return nil, errors.Join(err, root.Close(), lock.Close())
	}
	return &Dir{path: path, root: root, lock: lock}, nil
}

// Path returns the directory as it was given to Open.
func (d *Dir) Path() string { return d.path }

// Lock returns a duplicate of the locked file, to be handed to the process that takes over and given to Adopt there.
// The directory is held until every duplicate is closed. The process that handed it on should write no more.
func (d *Dir) Lock() (*os.File, error) {
	f, err := dup(d.lock)
	return f, fault.Wrap(fault.Internal, err, "state: lock of %s", d.path)
}

// Close gives the lock back. The second Close does nothing.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return errors.Join(d.root.Close(), d.lock.Close())
}

// sweep removes what a crash between write and rename left behind.
func (d *Dir) sweep() error {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if isTemp(e.Name()) {
			errs = append(errs, d.root.Remove(e.Name()))
		}
	}
	return errors.Join(errs...)
}

// checkName accepts the name of a file in the directory: no path, no hidden file, none of our temporary names.
func checkName(op, name string) error {
	if name == "" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\x00") || filepath.Base(name) != name {
		return fault.New(fault.Invalid, "state: %s: %q is not a plain file name", op, name)
	}
	return nil
}

// WriteFile replaces the file name, with mode 0600, as the function WriteFile does.
func (d *Dir) WriteFile(name string, data []byte) error {
	if err := checkName("write", name); err != nil {
		return err
	}
	err := replace(d.root, name, data, 0o600)
	return fault.Wrap(classOf(err), err, "state: write %s", filepath.Join(d.path, name))
}

// ReadFile returns the content of the file name, of at most MaxFile bytes: fault.NotFound where there is none,
// fault.Full for a larger one.
func (d *Dir) ReadFile(name string) ([]byte, error) {
	if err := checkName("read", name); err != nil {
		return nil, err
	}
	data, err := d.read(name)
	return data, fault.Wrap(classOf(err), err, "state: read %s", filepath.Join(d.path, name))
}

func (d *Dir) read(name string) ([]byte, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxFile {
		return nil, fault.New(fault.Full, "larger than %d bytes", MaxFile)
	}
	return data, nil
}

// Remove removes the file name durably; fault.NotFound where there is none.
func (d *Dir) Remove(name string) error {
	if err := checkName("remove", name); err != nil {
		return err
	}
	err := d.root.Remove(name)
	if err == nil {
		err = syncDir(d.root)
	}
	return fault.Wrap(classOf(err), err, "state: remove %s", filepath.Join(d.path, name))
}
