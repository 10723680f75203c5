package text

import (
	"bytes"
	"container/list"
	"errors"
	"io/fs"
	"os"
	"path"
)

// file is one open log file. Its content up to size is whole lines; pending holds lines that are not written yet.
type file struct {
	path    string
	f       *os.File // nil: to be opened before the next write
	size    int64    // where the next line begins
	pending []byte
	lines   int  // in pending
	dirty   bool // written since the last sync
	used    *list.Element
}

// open opens or creates the file and mends its end: a line without its end is what a crash or a full disk left of it.
// made is true when the file is new, so that its directory must be synced.
func (f *file) open(root *os.Root) (made, mended bool, err error) {
	if err := root.MkdirAll(path.Dir(f.path), 0o750); err != nil {
		return false, false, err
	}
	_, err = root.Stat(f.path)
	made = errors.Is(err, fs.ErrNotExist)
	h, err := root.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return false, false, err
	}
	size, mended, err := mend(h)
	if err != nil {
		h.Close()
		return made, false, err
	}
	f.f, f.size = h, size
	return made, mended, nil
}

// mendWindow is how far back mend looks for a line's end at once.
const mendWindow = 64 << 10

// mend truncates h after its last line end and returns its size.
func mend(h *os.File) (size int64, mended bool, err error) {
	st, err := h.Stat()
	if err != nil {
		return 0, false, err
	}
	size = st.Size()
	window := int64(1) // the last byte tells in the usual case
	for end := size; end > 0; {
		buf := make([]byte, min(window, end))
		if _, err := h.ReadAt(buf, end-int64(len(buf))); err != nil {
			return 0, false, err
		}
		end -= int64(len(buf))
		if i := bytes.LastIndexByte(buf, '\n'); i >= 0 {
			good := end + int64(i) + 1
			if good == size {
				return size, false, nil
			}
			return good, true, h.Truncate(good)
		}
		window = mendWindow
	}
	if size == 0 {
		return 0, false, nil
	}
	return 0, true, h.Truncate(0)
}

// write writes what is pending. On an error the file ends where it did before, and the lines stay pending.
func (f *file) write() error {
	n, err := f.f.Write(f.pending)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, f.f.Truncate(f.size))
		}
		// The next attempt opens anew, which also mends what Truncate could not.
		f.f.Close()
		f.f = nil
		return err
	}
	f.size += int64(n)
	f.pending, f.lines = f.pending[:0], 0
	f.dirty = true
	return nil
}

// replaced reports whether another file, or none, stands at f's path: someone moved or removed the log.
func (f *file) replaced(root *os.Root) bool {
	now, err := root.Stat(f.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	ours, err := f.f.Stat()
	return err == nil && !os.SameFile(now, ours)
}
