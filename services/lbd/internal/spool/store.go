package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// PieceLen is how much memory is taken at once, in bytes.
const PieceLen = 16 << 10

// maxFree bounds the pieces that a Store keeps for the next spool: 8 MiB.
const maxFree = 512

// What Write says besides the file's errors.
var (
	ErrLimit = errors.New("the spool has its largest size")
	ErrFull  = errors.New("all spools together have their largest size")
)

// Limits bound all spools of a Store together, in bytes.
type Limits struct {
	Memory int64
	Files  int64
}

// Store is where spools are.
type Store struct {
	open   func() (file, error)
	memory atomic.Int64 // bytes of pieces that spools hold
	files  atomic.Int64 // bytes that are in files
	limits atomic.Pointer[Limits]
	counts counts

	mu   sync.Mutex
	free [][]byte
}

type counts struct{ spools, inFiles, opened, limited, full, failed atomic.Int64 }

// Counts are what a Store holds and has seen.
type Counts struct {
	Spools  int64 // there now
	InFiles int64 // of them, those with a file
	Memory  int64 // bytes in memory
	Files   int64 // bytes in files
	Opened  int64 // files made
	Limited int64 // times that a spool's own bound was met
	Full    int64 // times that the bound of all was met
	Failed  int64 // errors of files
}

// New returns a Store whose files are in dir, which must be there when the first is made.
func New(dir string, l Limits) *Store {
	s := &Store{open: func() (file, error) { return openFile(dir) }}
	s.SetLimits(l)
	return s
}

// SetLimits changes the bounds. Spools beyond them live on.
func (s *Store) SetLimits(l Limits) { s.limits.Store(&l) }

// Counts returns what there is.
func (s *Store) Counts() Counts {
	c := &s.counts
	return Counts{
		Spools: c.spools.Load(), InFiles: c.inFiles.Load(), Memory: s.memory.Load(), Files: s.files.Load(), Opened: c.opened.Load(),
		Limited: c.limited.Load(), Full: c.full.Load(), Failed: c.failed.Load(),
	}
}

// Open returns an empty spool that takes at most limit bytes, memory of them not in a file. keep says that it is to be rewound.
func (s *Store) Open(memory, limit int64, keep bool) *Spool {
	s.counts.spools.Add(1)
	return &Spool{store: s, memory: memory, limit: limit, keep: keep}
}

// piece takes memory from the budget, nil if there is none.
func (s *Store) piece() []byte {
	if !take(&s.memory, PieceLen, s.limits.Load().Memory) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		p := s.free[n-1]
		s.free[n-1] = nil
		s.free = s.free[:n-1]
		return p
	}
	return make([]byte, PieceLen)
}

func (s *Store) put(p []byte) {
	s.memory.Add(-PieceLen)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) < maxFree {
		s.free = append(s.free, p)
	}
}

// take adds n to a sum that has a limit; false if it does not fit.
func take(sum *atomic.Int64, n, limit int64) bool {
	if sum.Add(n) <= limit {
		return true
	}
	sum.Add(-n)
	return false
}

// file is what a spool needs of one.
type file interface {
	WriteAt(p []byte, off int64) (int, error)
	ReadAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Fd() uintptr
	Close() error
}

// openFile makes a file without a name in dir.
func openFile(dir string) (file, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), filepath.Join(dir, "spool")), nil
	case unix.EOPNOTSUPP, unix.EISDIR, unix.EINVAL: // the file system or the kernel knows no O_TMPFILE
		return unlinked(dir)
	}
	return nil, fmt.Errorf("spool: make a file in %s: %w", dir, err)
}

// unlinked makes a file and takes its name off.
func unlinked(dir string) (file, error) {
	f, err := os.CreateTemp(dir, ".spool-"+strconv.Itoa(os.Getpid())+"-*")
	if err != nil {
		return nil, fmt.Errorf("spool: make a file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("spool: take the name off a file: %w", err)
	}
	return f, nil
}
