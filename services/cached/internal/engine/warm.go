package engine

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/everup/everup/services/cached/internal/arena"
)

// NoFile is the reason of a first start.
const NoFile = "no file"

// Recovery says what New found in Options.File.
type Recovery struct {
	Kept   bool          // the store of the file goes on
	Reason string        // why not: NoFile, "not closed cleanly" …
	Items  int64         // kept, with those whose time has come meanwhile
	Took   time.Duration // to check everything
}

// Recovery says what New found in Options.File; zero without one.
func (s *Store) Recovery() Recovery { return s.recovery }

// newWarm opens the store of a file, or an empty one in it.
func newWarm(o Options) (*Store, error) {
	begin := time.Now()
	f, why, err := openFile(o.File)
	if err != nil {
		return nil, err
	}
	var s *Store
	if why == "" {
		s, err = reopen(o, f)
		if err == nil {
			s.recovery = Recovery{Kept: true, Items: s.Stats().Items, Took: time.Since(begin)}
			return s, nil
		}
		why = err.Error()
		if f, err = again(f); err != nil {
			return nil, err
		}
	}
	s, err = fresh(o, f)
	if err != nil {
		return nil, err
	}
	s.recovery = Recovery{Reason: why, Took: time.Since(begin)}
	return s, nil
}

// again opens the file anew after a failed attempt to use it, whether that has closed it or not. The lock is taken anew as well.
func again(old *os.File) (*os.File, error) {
	_ = old.Close()
	f, why, err := openFile(old.Name())
	if err == nil && why != "" && why != NoFile {
		err = errors.Join(fmt.Errorf("engine: memory file changed meanwhile: %s", why), f.Close())
	}
	return f, err
}

// fresh makes an empty store in f.
func fresh(o Options, f *os.File) (*Store, error) {
	l := o.choose()
	err := f.Truncate(0)
	if err == nil {
		err = f.Truncate(int64(l.reserve))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("engine: memory file: %w", err), f.Close())
	}
	a, err := arena.Map(f, l.reserve, uint64(o.Memory)+1<<l.pageShift, l.unitShift)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("engine: %w", err), f.Close())
	}
	s, err := newStore(o, l, a)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return s, nil
}

// reopen makes the store that is in f. It fails when anything is not as it should be; f then holds nothing of worth.
func reopen(o Options, f *os.File) (*Store, error) {
	b, t, size, err := readImage(f)
	if err != nil {
		return nil, err
	}
	l := o.choose()
	switch {
	case b.noCAS != o.NoCAS:
		return nil, errors.New("the file was made with another setting of CAS")
	case o.Shards != 0 && uint32(l.shards) != b.shards:
		return nil, fmt.Errorf("the file has %d shards, not %d", b.shards, l.shards)
	case uint64(o.Memory) > 1<<32<<b.unitShift:
		return nil, errors.New("the file's addresses do not reach the new limit")
	}
	l.unitShift, l.pageShift, l.shards = uint(b.unitShift), uint(b.pageShift), int(b.shards)
	pages := uint64(b.high) << b.pageShift
	l.reserve = min(max(l.reserve, pages), 1<<32<<l.unitShift)
	if err := f.Truncate(max(int64(l.reserve), size)); err != nil {
		return nil, err
	}
	a, err := arena.Map(f, l.reserve, max(uint64(o.Memory)+1<<l.pageShift, pages), l.unitShift)
	if err != nil {
		return nil, err
	}
	if err := unclean(a, pages, b); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	o.Seed = b.seed
	s, err := restore(o, l, a, b, t)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return s, nil
}

// unclean takes the clean mark away and gives the memory of the tables back, before anything changes in the pages.
func unclean(a *arena.Arena, pages uint64, b *superblock) error {
	if err := a.Open(pages); err != nil {
		return err
	}
	copy(a.Bytes(0, 0, superSize), b.encode(false))
	if pages < a.Size() {
		a.Discard(pages, a.Size()-pages)
	}
	return nil
}

// readImage reads superblock and tables.
func readImage(f *os.File) (b *superblock, t *tables, size int64, err error) {
	st, err := f.Stat()
	if err != nil {
		return nil, nil, 0, err
	}
	head := make([]byte, superSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, nil, 0, fmt.Errorf("superblock: %w", err)
	}
	if b, err = decodeSuper(head, st.Size()); err != nil {
		return nil, nil, 0, err
	}
	body := make([]byte, b.tables)
	if _, err := f.ReadAt(body, int64(b.high)<<b.pageShift); err != nil {
		return nil, nil, 0, fmt.Errorf("tables: %w", err)
	}
	if t, err = decodeTables(body, b); err != nil {
		return nil, nil, 0, err
	}
	return b, t, st.Size(), nil
}
