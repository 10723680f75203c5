package files

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Dir is a directory of the system, as an FS; it wants Linux 5.6 or newer, for openat2(2). Where the directory's name comes to mean another one, as a symbolic link to the release in
// force that is changed, Refresh is to be called.
type Dir struct {
	path string
	gate *Gate

	mu     sync.RWMutex // held while fd is used: a call or two
	fd     int          // -1: there is no such directory
	closed bool
	id     dirID
}

// dirID tells directories apart.
type dirID struct{ dev, ino uint64 }

var _ FS = (*Dir)(nil)

// OpenDir returns the directory with a path, which may come to be there only later: see Refresh. gate bounds what is open below it.
func OpenDir(path string, gate *Gate) *Dir {
	d := &Dir{path: path, gate: gate, fd: -1}
	d.Refresh()
	return d
}

// Path returns the directory's path.
func (d *Dir) Path() string { return d.path }

// Refresh looks the path up again, and returns why there is no such directory. Once a second is enough.
func (d *Dir) Refresh() error {
	var st unix.Stat_t
	err := unix.Stat(d.path, &st)
	id := dirID{st.Dev, st.Ino}
	d.mu.RLock()
	stays := err == nil && d.fd >= 0 && id == d.id
	d.mu.RUnlock()
	if stays {
		return nil
	}
	fd := -1
	if err == nil {
		fd, err = unix.Open(d.path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		if err = unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			fd = -1
		}
	}
	d.swap(fd, dirID{st.Dev, st.Ino})
	if err != nil {
		return &os.PathError{Op: "open", Path: d.path, Err: err}
	}
	return nil
}

// CloseDir closes the directory for good. Files that are open stay open.
func (d *Dir) CloseDir() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.swap(-1, dirID{})
}

// swap puts another directory in the place of the one that is open.
func (d *Dir) swap(fd int, id dirID) {
	d.mu.Lock()
	if d.closed && fd >= 0 {
		unix.Close(fd)
		fd = -1
	}
	old := d.fd
	d.fd, d.id = fd, id
	d.mu.Unlock()
	if old >= 0 {
		unix.Close(old)
	}
}

// longestName bounds names, as the kernel does (PATH_MAX).
const longestName = 4096

// Open opens a name below the directory. A FIFO is not waited for. The kernel gives EAGAIN where a directory on the way was moved meanwhile.
func (d *Dir) Open(name []byte, o *Object) error {
	if !d.gate.enter() {
		return ErrBusy
	}
	fd, err := d.open(name)
	if err != nil {
		d.gate.leave()
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		d.gate.leave()
		return os.NewSyscallError("fstat", err)
	}
	*o = Object{Kind: kindOf(st.Mode), FD: fd, Size: st.Size, Changed: st.Mtim.Nano()}
	return nil
}

func (d *Dir) open(name []byte) (int, error) {
	var path [longestName]byte
	if len(name) >= len(path) || bytes.IndexByte(name, 0) >= 0 {
		return -1, fs.ErrNotExist
	}
	if len(name) == 0 {
		path[0] = '.'
	}
	copy(path[:], name)
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.fd < 0 {
		return -1, fs.ErrNotExist
	}
	for tries := 0; ; tries++ {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT2, uintptr(d.fd), uintptr(unsafe.Pointer(&path)), uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
		switch {
		case errno == 0:
			return int(fd), nil
		case errno == unix.EINTR, errno == unix.EAGAIN && tries < maxTries:
		default:
			return -1, classOf(errno)
		}
	}
}

// maxTries bounds how often a name is resolved while its directories are moved.
const maxTries = 8

// classOf returns the error that FS promises.
func classOf(errno unix.Errno) error {
	switch errno {
	case unix.ENOENT, unix.ENOTDIR, unix.ENAMETOOLONG, unix.EINVAL:
		return fs.ErrNotExist
	case unix.EACCES, unix.EPERM, unix.EXDEV, unix.ELOOP, unix.ENXIO, unix.ENODEV:
		return fs.ErrPermission // EXDEV: it leads out; ENXIO: a socket
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN:
		return ErrBusy
	}
	return errno
}

func kindOf(mode uint32) Kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return Regular
	case unix.S_IFDIR:
		return Directory
	}
	return Special
}

// Close closes an Object.
func (d *Dir) Close(o *Object) {
	unix.Close(o.FD)
	d.gate.leave()
}

// List reads a directory until there are more entries than limit. Of entries that go meanwhile nothing is said.
func (d *Dir) List(o *Object, limit int) (list []Entry, more bool, err error) {
	var buf [16 << 10]byte
	for {
		n, err := unix.ReadDirent(o.FD, buf[:])
		if err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return list, false, os.NewSyscallError("getdents64", err)
		}
		if n == 0 {
			return list, false, nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			var st unix.Stat_t
			if unix.Fstatat(o.FD, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
				continue
			}
			if len(list) == limit {
				return list, true, nil
			}
			e := Entry{Name: name, Object: Object{Kind: kindOf(st.Mode), Size: st.Size, Changed: st.Mtim.Nano()}}
			e.Link = st.Mode&unix.S_IFMT == unix.S_IFLNK
			list = append(list, e)
		}
	}
}
