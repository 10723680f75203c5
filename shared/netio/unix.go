package netio

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// probeTimeout bounds the question whether anyone listens on a unix socket found at the wanted path.
const probeTimeout = time.Second

// unixListener removes its path when it is closed.
type unixListener struct {
	*net.UnixListener
	file *socketFile
}

// Close removes the path first: while the socket lives, its inode cannot be another's.
func (l *unixListener) Close() error {
	l.file.remove()
	return l.UnixListener.Close()
}

// unixPacketConn removes its path when it is closed.
type unixPacketConn struct {
	*net.UnixConn
	file *socketFile
}

func (c *unixPacketConn) Close() error {
	c.file.remove()
	return c.UnixConn.Close()
}

// socketFile is the path of a unix socket that is ours to remove. A nil one is not ours.
type socketFile struct {
	path     string
	dev, ino uint64
	done     atomic.Bool // removed, or kept because another process has the socket
}

// fileOf remembers which file is at path now; nil where there is none.
func fileOf(path string) *socketFile {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil
	}
	return &socketFile{path: path, dev: st.Dev, ino: st.Ino}
}

func (s *Set) fileFor(t target, in *inherited) *socketFile {
	if strings.HasPrefix(t.path, "@") || in != nil && !in.ours {
		return nil
	}
	return fileOf(t.path)
}

func (f *socketFile) keep() {
	if f != nil {
		f.done.Store(true)
	}
}

// remove removes the path once, if it still is the same file.
func (f *socketFile) remove() {
	if f == nil || f.done.Swap(true) {
		return
	}
	if now := fileOf(f.path); now != nil && now.dev == f.dev && now.ino == f.ino {
		os.Remove(f.path) // it may be gone already; nothing else could be done about it
	}
}

// setMode gives the socket's file exactly the mode asked for; bind has made it no wider.
func setMode(t target, o Options) error {
	if !t.unix() || strings.HasPrefix(t.path, "@") {
		return nil
	}
	return os.Chmod(t.path, o.perm())
}

// makeRoom removes a unix socket at the wanted path that nobody listens on.
func makeRoom(t target) error {
	if !t.unix() || strings.HasPrefix(t.path, "@") {
		return nil
	}
	st, err := os.Lstat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode()&fs.ModeSocket == 0:
		return fault.New(fault.Conflict, "%s exists and is no socket", t.path)
	}
	if err := t.probe(); err != nil {
		return err
	}
	if err := os.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// probe returns nil where nobody listens: only a refused connection tells that.
func (t target) probe() error {
	c, err := net.DialTimeout(t.network, t.path, probeTimeout)
	switch {
	case err == nil:
		return errors.Join(t.inUse(), c.Close())
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(fault.Denied, err, "a socket is there already")
	}
	return t.inUse() // of another type, or too busy to answer
}
