package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// Dir is the directory on disk:
//
//	objects/ab/cd/<SHA-256 of the name in hex>   one file an object; a name cannot clash with another's directory
//	incoming/<random>                            uploads under way, and a probe now and then; removed at start
type Dir struct {
	path string

	mu sync.Mutex
	// lasting are the directories of the fan-out whose own entries are known to be on stable storage. At most 65 792.
	lasting map[string]bool
}

const (
	objectsDir  = "objects"
	incomingDir = "incoming"
	dirPerm     = 0o700
	filePerm    = 0o600
	probePrefix = "probe-" // of the file that proves that uploads can be written
)

// OpenDir makes the directory's parts, removes what interrupted uploads left, and proves that it can be written durably. The
// caller holds path's lock.
func OpenDir(path string) (*Dir, error) {
	d := &Dir{path: path, lasting: map[string]bool{}}
	for _, sub := range []string{objectsDir, incomingDir} {
		if err := os.MkdirAll(filepath.Join(path, sub), dirPerm); err != nil {
			return nil, fault.Wrap(classOf(err), err, "blob: make directory")
		}
	}
	if err := d.clean(); err != nil {
		return nil, err
	}
	return d, d.Probe()
}

// Probe proves that the directory can be written durably, as a disk that went bad or read-only cannot.
func (d *Dir) Probe() error {
	f, err := os.CreateTemp(filepath.Join(d.path, incomingDir), probePrefix)
	if err != nil {
		return fault.Wrap(classOf(err), err, "blob: directory %s cannot be written", d.path)
	}
	_, err = f.Write([]byte("x"))
	err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()), syncDir(d.path))
	return fault.Wrap(classOf(err), err, "blob: directory %s cannot be written", d.path)
}

// clean removes the files of interrupted uploads.
func (d *Dir) clean() error {
	left, err := os.ReadDir(filepath.Join(d.path, incomingDir))
	if err != nil {
		return fault.Wrap(classOf(err), err, "blob: list interrupted uploads")
	}
	for _, e := range left {
		if err := os.Remove(filepath.Join(d.path, incomingDir, e.Name())); err != nil {
			return fault.Wrap(classOf(err), err, "blob: remove an interrupted upload")
		}
	}
	return nil
}

func (d *Dir) createTemp() (*os.File, error) {
	return os.CreateTemp(filepath.Join(d.path, incomingDir), "")
}

// pathOf returns the path of name's file, relative to the directory.
func pathOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	h := hex.EncodeToString(sum[:])
	return filepath.Join(objectsDir, h[:2], h[2:4], h)
}

// Open opens name's file and reads its head.
func (d *Dir) Open(name string) (*os.File, Meta, error) {
	f, m, err := d.openPath(pathOf(name))
	if err == nil && m.Name != name {
		f.Close()
		return nil, Meta{}, fault.New(fault.Corrupt, "blob: the file of %q holds %q", name, m.Name)
	}
	return f, m, err
}

func (d *Dir) openPath(p string) (*os.File, Meta, error) {
	f, err := os.Open(filepath.Join(d.path, p))
	if err != nil {
		return nil, Meta{}, fault.Wrap(classOf(err), err, "blob: open")
	}
	m, err := readHead(f)
	if err != nil {
		f.Close()
		return nil, Meta{}, err
	}
	return f, m, nil
}

func readHead(f *os.File) (Meta, error) {
	st, err := f.Stat()
	if err != nil {
		return Meta{}, fault.Wrap(classOf(err), err, "blob: stat")
	}
	head := make([]byte, HeadSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return Meta{}, fault.Wrap(classOf(err), err, "blob: read head")
	}
	return DecodeHead(head[:n], st.Size())
}

// publish gives the synced file temp the name of name's object, durably. done reports whether the object is in place
// though its durability is not sure, because only the last sync failed.
func (d *Dir) publish(temp, name string) (done bool, err error) {
	p := pathOf(name)
	if err := d.makeLasting(filepath.Dir(p)); err != nil {
		return false, err
	}
	if err := os.Rename(temp, filepath.Join(d.path, p)); err != nil {
		return false, fault.Wrap(writeClass(err), err, "blob: name the object")
	}
	return true, d.sync(filepath.Dir(p))
}

// remove deletes name's file, durably; done as with publish.
func (d *Dir) remove(name string) (done bool, err error) {
	p := pathOf(name)
	if err := os.Remove(filepath.Join(d.path, p)); err != nil {
		return false, fault.Wrap(classOf(err), err, "blob: remove the object")
	}
	return true, d.sync(filepath.Dir(p))
}

func (d *Dir) sync(dir string) error {
	err := syncDir(filepath.Join(d.path, dir))
	return fault.Wrap(writeClass(err), err, "blob: sync directory %s", dir)
}

// makeLasting makes dir ("objects/ab/cd") and sees that its entry, and its parent's, are on stable storage. One goroutine does it at a
// time: nobody may go on with a directory that another has made but not synced yet.
func (d *Dir) makeLasting(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range []string{filepath.Dir(dir), dir} {
		if d.lasting[p] {
			continue
		}
		if err := os.Mkdir(filepath.Join(d.path, p), dirPerm); err != nil && !errors.Is(err, fs.ErrExist) {
			return fault.Wrap(writeClass(err), err, "blob: make directory %s", p)
		}
		if err := d.sync(filepath.Dir(p)); err != nil {
			return err
		}
		d.lasting[p] = true
	}
	return nil
}

// Walk calls f for every object file, with what reading its head gave. Files of other names are passed over. It stops at
// the first error of f.
func (d *Dir) Walk(f func(path string, m Meta, err error) error) error {
	for i := range 1 << 8 {
		upper := filepath.Join(objectsDir, fmt.Sprintf("%02x", i))
		leaves, err := os.ReadDir(filepath.Join(d.path, upper))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fault.Wrap(classOf(err), err, "blob: list %s", upper)
		}
		for _, leaf := range leaves {
			if len(leaf.Name()) != 2 || !leaf.IsDir() {
				continue
			}
			if err := d.walkLeaf(filepath.Join(upper, leaf.Name()), f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Dir) walkLeaf(dir string, f func(string, Meta, error) error) error {
	entries, err := os.ReadDir(filepath.Join(d.path, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.Wrap(classOf(err), err, "blob: list %s", dir)
	}
	for _, e := range entries {
		if len(e.Name()) != 64 || !e.Type().IsRegular() {
			continue
		}
		p := filepath.Join(dir, e.Name())
		h, m, err := d.openPath(p)
		if err == nil {
			h.Close()
			if pathOf(m.Name) != p {
				err = fault.New(fault.Corrupt, "blob: %s holds %q, which belongs elsewhere", p, m.Name)
			}
		}
		if err := f(p, m, err); err != nil {
			return err
		}
	}
	return nil
}

// Space is the room of the file system, in bytes, as an unprivileged process sees it.
type Space struct{ Total, Free int64 }

// Space asks the file system.
func (d *Dir) Space() (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err != nil {
		return Space{}, fault.Wrap(classOf(err), err, "blob: ask %s for room", d.path)
	}
	return Space{Total: int64(st.Blocks) * st.Bsize, Free: int64(st.Bavail) * st.Bsize}, nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// writeClass is the class of what failed while an object was written: but for a full disk it is the store's own trouble, also
// where a directory is gone (which is not that the object is not found) or may not be written (which is not that the client
// may not).
func writeClass(err error) fault.Class {
	if c := classOf(err); err == nil || c == fault.Full {
		return c
	}
	return fault.Internal
}

// classOf is fault.Of with a full and a read-only disk told apart.
func classOf(err error) fault.Class {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Full
	case errors.Is(err, syscall.EROFS):
		return fault.Denied
	}
	return fault.Of(err)
}
