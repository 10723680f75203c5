package text

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// Sync puts all that is written on stable storage, also the directory entries of new files, and lets go of files that someone
// moved or removed, so that the next line begins a new one. With SyncNever it only does the latter.
func (s *Store) Sync() error {
	var errs []error
	for _, f := range s.files {
		if f.f == nil || !f.dirty {
			if path.Dir(f.path) != s.day.Dir() {
				errs = append(errs, s.retire(f)) // another day's: it may be removed any time
			}
			continue
		}
		if err := s.syncFile(f); err != nil {
			errs = append(errs, err)
			continue
		}
		if f.replaced(s.root) {
			s.Stats.Replaced++
			errs = append(errs, f.f.Close())
			f.f = nil
		}
	}
	return errors.Join(append(errs, s.syncDirs())...)
}

// syncFile syncs f's data if there is need. A file whose sync failed is still dirty.
func (s *Store) syncFile(f *file) error {
	if f.f == nil || !f.dirty {
		return nil
	}
	if s.o.Policy != SyncNever {
		start := time.Now()
		if err := unix.Fdatasync(int(f.f.Fd())); err != nil {
			return fault.Wrap(classOf(err), err, "text: sync %s", f.path)
		}
		if s.o.OnSync != nil {
			s.o.OnSync(time.Since(start))
		}
	}
	f.dirty = false
	return nil
}

func (s *Store) syncDirs() error {
	for dir := range s.newDirs {
		if s.o.Policy != SyncNever {
			if err := syncDir(s.root, dir); err != nil {
				return fault.Wrap(classOf(err), err, "text: sync directory %s", dir)
			}
		}
		delete(s.newDirs, dir)
	}
	return nil
}

func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close writes and syncs what it can and closes all files.
func (s *Store) Close() error {
	errs := []error{s.flush(), s.Sync()}
	for _, f := range s.files {
		if f.f != nil {
			errs = append(errs, f.f.Close())
			f.f = nil
		}
	}
	return errors.Join(errs...)
}

// classOf is fault.Of with a full disk told apart.
func classOf(err error) fault.Class {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.Full
	}
	return fault.Of(err)
}
