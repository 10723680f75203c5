package certs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of files, in bytes.
const (
	MaxFile        = 256 << 10 // a chain, a key, or both
	MaxOCSP        = 64 << 10
	MaxAuthorities = 4 << 20
	MaxCRL         = 16 << 20
)

// settle is how long a file may be in the making: one that is younger is read again, and what is wrong with it is told only later.
const settle = 3 * time.Second

// stamp tells whether a file has changed. The zero stamp is that of no file.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime int64 // nanoseconds since 1970
	mode         uint32
}

// stampOf looks at a path; what cannot be looked at has the zero stamp.
func stampOf(path string) stamp {
	var st unix.Stat_t
	if path == "" || unix.Stat(path, &st) != nil {
		return stamp{}
	}
	return newStamp(&st)
}

func newStamp(st *unix.Stat_t) stamp {
	return stamp{
		dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(), mode: st.Mode,
	}
}

func (s stamp) there() bool { return s != stamp{} }

func (s stamp) isDir() bool { return s.mode&unix.S_IFMT == unix.S_IFDIR }

// settled reports whether a change after now would show: times of files have the grain of the kernel's clock.
func (s stamp) settled(now time.Time) bool {
	age := now.Sub(time.Unix(0, max(s.mtime, s.ctime)))
	return !s.there() || age > settle || age < -settle
}

// open reports whether the mode lets others read a key: anybody but the owner and its group, or the group writes.
func (s stamp) open() bool { return s.mode&0o027 != 0 }

var (
	errNoFile   = errors.New("is no file")
	errTooLarge = errors.New("is too large")
	errChanging = errors.New("was being written")
)

// read returns the content of a file of at most limit bytes. It does not wait for the other end of a pipe.
func read(path string, limit int64) (b []byte, at stamp, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, stamp{}, plain(err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, stamp{}, err
	}
	switch at = newStamp(&st); {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, at, errNoFile
	case st.Size > limit:
		return nil, at, errTooLarge
	}
	b, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, at, plain(err)
	}
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, at, err
	}
	if int64(len(b)) > limit {
		return nil, at, errTooLarge
	}
	if newStamp(&st) != at {
		return nil, at, errChanging
	}
	return b, at, nil
}

// plain returns the cause of an error of package os, which names the path that its message has already.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("cannot be read: %w", p.Err)
	}
	return err
}
