// Package text keeps log lines in plain files by day and host, <dir>/2026/11/22/<host>.log, one line a message (see AppendLine).
// The day is that of receipt, so that a sender with a wrong clock cannot write into other days.
//
// A file always consists of whole lines: a write that fails part-way is taken back, and what a crash left of a line is
// cut off when the file is next opened. Lines that could not be written stay with the Store until they can be.
package text

import (
	"container/list"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/everup/everup/services/logd/internal/record"
	"github.com/everup/everup/shared/fault"
)

// Policy says when lines are put on stable storage (fdatasync).
type Policy string

// The policies. Plain syslog has no acknowledgement, so the sender learns of none of them.
const (
	SyncAlways   Policy = "always"   // after each batch, before the lines are shown to tails
	SyncInterval Policy = "interval" // at most one interval after they were written: a power cut loses no more than that
	SyncNever    Policy = "never"    // whenever the kernel likes, usually within half a minute
)

// Options of a Store.
type Options struct {
	Location    *time.Location
	Policy      Policy
	OpenFiles   int                      // files kept open; beyond, the least recently used is closed
	HostsPerDay int                      // further hosts' lines go to _other.log
	Node        string                   // stands for the host of local senders that name none
	OnSync      func(took time.Duration) // called after each file's sync; may be nil
}

// Store writes. It is for one goroutine; readers open the files themselves. A file that cannot be written holds up the
// others in the end, because nothing is dropped to get past it.
type Store struct {
	root *os.Root
	o    Options

	files   map[string]*file // by path
	lru     *list.List       // of *file, most recently used first
	pending map[*file]bool   // have lines that are not written
	newDirs map[string]bool  // have entries that are not synced

	day      Day
	hosts    map[string]bool   // file names of day
	byHost   map[string]string // a record's host, as sent, to its file's path; at most maxByHost
	dayStart time.Time
	dayEnd   time.Time

	Stats Stats
}

// Stats count what a Store did; they are for its goroutine.
type Stats struct {
	Lines, Bytes uint64 // written
	Mended       uint64 // files whose last line was cut off
	Overflowed   uint64 // lines that went to _other.log
	Replaced     uint64 // files that were moved or removed while open
}

// maxByHost bounds what is remembered of a day's hosts; it only saves making the name again.
const maxByHost = 4096

// flushAt is the size of a file's pending lines at which they are written within a batch.
const flushAt = 256 << 10

// Open returns a store in root, which the caller holds alone and closes after it. The files of the last day are mended.
func Open(root *os.Root, o Options) (*Store, error) {
	s := &Store{
		root: root, o: o, files: map[string]*file{}, lru: list.New(), pending: map[*file]bool{}, newDirs: map[string]bool{},
	}
	days, err := Days(root)
	if err != nil {
		return nil, fault.Wrap(fault.Of(err), err, "text: list days")
	}
	if len(days) == 0 {
		return s, nil
	}
	return s, s.mendDay(days[len(days)-1])
}

// mendDay opens and mends every file of d.
func (s *Store) mendDay(d Day) error {
	names, err := readDir(s.root, d.Dir())
	if err != nil {
		return fault.Wrap(fault.Of(err), err, "text: list %s", d.Dir())
	}
	for _, e := range names {
		if !e.Type().IsRegular() {
			continue
		}
		f := &file{path: path.Join(d.Dir(), e.Name())}
		_, mended, err := f.open(s.root)
		if err != nil {
			return fault.Wrap(fault.Of(err), err, "text: mend %s", f.path)
		}
		if mended {
			s.Stats.Mended++
		}
		if err := f.f.Close(); err != nil {
			return fault.Wrap(fault.Of(err), err, "text: mend %s", f.path)
		}
	}
	return nil
}

// Append takes over the first n records of batch and writes them. On an error it may be called again, with the
// rest of the batch: the store keeps what it took over and tries again. With an error of nil, all of batch is in the files and, by
// SyncAlways, on stable storage.
func (s *Store) Append(batch []record.Record) (n int, err error) {
	if err := s.flush(); err != nil {
		return 0, err
	}
	for i := range batch {
		f, err := s.fileFor(&batch[i])
		if err != nil {
			return i, errors.Join(err, s.flush())
		}
		f.pending = AppendLine(f.pending, &batch[i], batch[i].HostName(s.o.Node), s.o.Location)
		f.lines++
		s.pending[f] = true
		if len(f.pending) >= flushAt {
			if err := s.writeFile(f); err != nil {
				return i + 1, err
			}
		}
	}
	if err := s.flush(); err != nil {
		return len(batch), err
	}
	if s.o.Policy == SyncAlways {
		return len(batch), s.Sync()
	}
	return len(batch), nil
}

// fileFor returns the open file for r.
func (s *Store) fileFor(r *record.Record) (*file, error) {
	if !s.inDay(r.Received) {
		if err := s.changeDay(r.Received); err != nil {
			return nil, err
		}
	}
	p, ok := s.byHost[string(r.Host)]
	if !ok || len(r.Host) == 0 {
		p = s.pathOf(r.HostName(s.o.Node), string(r.Host))
	}
	return s.open(p)
}

func (s *Store) inDay(t time.Time) bool { return !t.Before(s.dayStart) && t.Before(s.dayEnd) }

// changeDay makes the day of t the current one and learns which hosts it has. Files of other days stay open until they
// are the least recently used.
func (s *Store) changeDay(t time.Time) error {
	day := DayOf(t, s.o.Location)
	hosts := map[string]bool{}
	names, err := readDir(s.root, day.Dir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Of(err), err, "text: list %s", day.Dir())
	}
	for _, e := range names {
		hosts[e.Name()] = true
	}
	s.day, s.hosts, s.byHost = day, hosts, map[string]string{}
	s.dayStart, s.dayEnd = day.Start(s.o.Location), day.Add(1).Start(s.o.Location)
	return nil
}

// pathOf returns the path of host's file of the current day, and remembers it for what the record said.
func (s *Store) pathOf(host, said string) string {
	name := FileName(host)
	if !s.hosts[name] && len(s.hosts) >= s.o.HostsPerDay {
		s.Stats.Overflowed++
		s.hosts[overflow+suffix] = true
		return path.Join(s.day.Dir(), overflow+suffix)
	}
	s.hosts[name] = true
	p := path.Join(s.day.Dir(), name)
	if said != "" && len(s.byHost) < maxByHost {
		s.byHost[said] = p
	}
	return p
}

// open returns the open file at p, making room for it where needed.
func (s *Store) open(p string) (*file, error) {
	f := s.files[p]
	if f == nil {
		f = &file{path: p}
		s.files[p] = f
		f.used = s.lru.PushFront(f)
	}
	s.lru.MoveToFront(f.used)
	for s.lru.Len() > s.o.OpenFiles {
		if err := s.retire(s.lru.Back().Value.(*file)); err != nil {
			return nil, err
		}
	}
	return f, s.openFile(f)
}

func (s *Store) openFile(f *file) error {
	if f.f != nil {
		return nil
	}
	made, mended, err := f.open(s.root)
	if err != nil {
		return fault.Wrap(classOf(err), err, "text: open %s", f.path)
	}
	if mended {
		s.Stats.Mended++
	}
	if made {
		for dir := path.Dir(f.path); ; dir = path.Dir(dir) {
			s.newDirs[dir] = true
			if dir == "." {
				break
			}
		}
	}
	return nil
}

// flush writes all that is pending, and tries every file even if some fail.
func (s *Store) flush() error {
	var errs []error
	for f := range s.pending {
		errs = append(errs, s.writeFile(f))
	}
	return errors.Join(errs...)
}

func (s *Store) writeFile(f *file) error {
	if err := s.openFile(f); err != nil {
		return err
	}
	lines, size := f.lines, len(f.pending)
	if err := f.write(); err != nil {
		return fault.Wrap(classOf(err), err, "text: write %s", f.path)
	}
	s.Stats.Lines += uint64(lines)
	s.Stats.Bytes += uint64(size)
	delete(s.pending, f)
	return nil
}

// retire writes, syncs and closes f and forgets it.
func (s *Store) retire(f *file) error {
	if len(f.pending) > 0 {
		if err := s.writeFile(f); err != nil {
			return err
		}
	}
	if err := s.syncFile(f); err != nil {
		return err
	}
	s.lru.Remove(f.used)
	delete(s.files, f.path)
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return fault.Wrap(fault.Of(err), err, "text: close %s", f.path)
}

// Pending reports whether the store holds lines that could not be written.
func (s *Store) Pending() bool { return len(s.pending) > 0 }

// Dirty reports whether lines were written that are not synced.
func (s *Store) Dirty() bool {
	for _, f := range s.files {
		if f.dirty {
			return true
		}
	}
	return false
}

// Held returns how many lines the store holds that could not be written.
func (s *Store) Held() int {
	n := 0
	for f := range s.pending {
		n += f.lines
	}
	return n
}
