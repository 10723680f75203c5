package engine

import (
	"errors"

	"golang.org/x/sys/unix"
)

// sends has what comes next from the store go to the sink straight from its file, where that can be.
func (f *flow) sends() bool {
	into, ok := f.dst.(fileSink)
	if !ok || f.chunked || f.unsent || !into.takesFiles() {
		return false
	}
	_, _, n, ok := f.store.InFile()
	if !ok || n < directFrom {
		return false
	}
	f.inFile = n
	f.data, f.used = nil, 0
	f.ended = f.over && f.rest == nil && f.store.Len() == n
	return true
}

// sendStored sends from the file of the store, behind what is framed. A file system that cannot do that has its files read from then on.
func (f *flow) sendStored(budget *int) error {
	into := f.dst.(fileSink)
	into.expectFile(len(f.ahead) > 0)
	if len(f.ahead) > 0 {
		return f.writePieces(budget)
	}
	fd, off, _, ok := f.store.InFile()
	if !ok {
		return errStore
	}
	n, err := into.sendFile(fd, off, int(min(f.inFile, turnBytes)))
	switch {
	case err == errAgain:
		return err
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		f.unsent, f.inFile, f.ended = true, 0, false
		return nil
	case errors.Is(err, unix.EIO), err == nil && n == 0:
		return errStore
	case err != nil:
		return errSink
	}
	f.store.Skip(int64(n))
	f.moved = true
	*budget -= n
	f.carried += int64(n)
	f.inFile -= int64(n)
	return nil
}
