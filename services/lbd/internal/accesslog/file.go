package accesslog

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// lookEvery is how often it is looked whether a file was moved away, at most.
const lookEvery = time.Second

// file is a log's file, which others may move away. It belongs to one goroutine.
type file struct {
	path   string
	f      *os.File
	looked time.Time
}

// openFile opens path to append to it. Only a regular file is taken: the opening of others may wait.
func openFile(path string) (*file, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	return &file{path: path, f: f}, nil
}

func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, 0o640)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "accesslog: open %s", path)
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		if err == nil {
			err = &fs.PathError{Op: "open", Path: path, Err: errNoFile}
		}
		return nil, fault.Wrap(fault.Config, err, "accesslog: open %s", path)
	}
	return f, nil
}

// Write appends.
func (f *file) Write(b []byte) (int, error) { return f.f.Write(b) }

// refresh opens the path again if the file is not there any more, or in any case if it must. If that fails the old file serves on.
func (f *file) refresh(now time.Time, must bool) error {
	if !must && (now.Sub(f.looked) < lookEvery || f.inPlace()) {
		return nil
	}
	f.looked = now
	fresh, err := open(f.path)
	if err != nil {
		return err
	}
	f.f.Close() // what was written is with the kernel
	f.f = fresh
	return nil
}

// inPlace reports whether the path is still the file.
func (f *file) inPlace() bool {
	f.looked = time.Now()
	there, err := os.Stat(f.path)
	if err != nil {
		return false
	}
	have, err := f.f.Stat()
	return err == nil && os.SameFile(there, have)
}

func (f *file) close() { f.f.Close() }
