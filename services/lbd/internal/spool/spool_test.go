package spool

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/labtest"
)

func store(t testing.TB, l Limits) *Store {
	t.Helper()
	s := New(t.TempDir(), l)
	t.Cleanup(func() {
		if c := s.Counts(); c.Spools != 0 || c.InFiles != 0 || c.Memory != 0 || c.Files != 0 {
			t.Errorf("left behind: %+v", c)
		}
	})
	return s
}

var wide = Limits{Memory: 1 << 30, Files: 1 << 30}

// some returns n bytes that tell where they come from.
func some(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((from + i) ^ (from+i)>>8 ^ (from+i)>>16)
	}
	return b
}

func write(t testing.TB, s *Spool, p []byte) {
	t.Helper()
	if n, err := s.Write(p); n != len(p) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(p), err)
	}
}

// drain reads all that waits.
func drain(t testing.TB, s *Spool) []byte {
	t.Helper()
	var all []byte
	buf := make([]byte, 10000)
	for {
		p, err := s.Next(buf)
		if err == io.EOF {
			return all
		}
		if err != nil || len(p) == 0 {
			t.Fatalf("%d bytes, %v", len(p), err)
		}
		all = append(all, p...)
	}
}

func TestOrder(t *testing.T) {
	for _, memory := range []int64{0, PieceLen, 4 * PieceLen, 1 << 20} {
		st := store(t, wide)
		s := st.Open(memory, 1<<20, true)
		want := some(0, 300_000)
		for at := 0; at < len(want); at += 7001 {
			write(t, s, want[at:min(at+7001, len(want))])
		}
		if s.Len() != 300_000 || s.Size() != 300_000 {
			t.Errorf("%d bytes wait of %d", s.Len(), s.Size())
		}
		inFile := max(0, 300_000-memory)
		if c := st.Counts(); c.Files != inFile || c.Memory > memory {
			t.Errorf("with %d of memory: %+v", memory, c)
		}
		for range 3 {
			if got := drain(t, s); !bytes.Equal(got, want) {
				t.Fatalf("with %d of memory: other bytes", memory)
			}
			s.Rewind()
		}
		s.Close()
	}
}

// A spool that is not kept gives memory and disk back as it is read, and begins in memory again.
func TestFrees(t *testing.T) {
	st := store(t, wide)
	s := st.Open(2*PieceLen, 1<<20, false)
	defer s.Close()
	for round := range 3 {
		write(t, s, some(round, 100_000))
		if c := st.Counts(); c.Memory != 2*PieceLen || c.Files != 100_000-2*PieceLen {
			t.Fatalf("%+v", c)
		}
		if got := drain(t, s); !bytes.Equal(got, some(round, 100_000)) {
			t.Fatal("other bytes")
		}
		if c := st.Counts(); c.Memory != 0 || c.Files != 0 || c.Opened != 1 {
			t.Fatalf("after all was read: %+v", c)
		}
	}
}

// What Next returned stays while more is written.
func TestViewStays(t *testing.T) {
	s := store(t, wide).Open(PieceLen, 1<<20, false)
	defer s.Close()
	write(t, s, some(0, 100))
	view, err := s.Next(make([]byte, 1))
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, bytes.Repeat([]byte("x"), 3*PieceLen))
	if !bytes.Equal(view, some(0, 100)) {
		t.Error("it was written over")
	}
	if got := drain(t, s); len(got) != 3*PieceLen || bytes.Trim(got, "x") != nil && len(bytes.Trim(got, "x")) > 0 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestBounds(t *testing.T) {
	st := store(t, Limits{Memory: 4 * PieceLen, Files: 50_000})
	// Its own.
	a := st.Open(1<<20, 20_000, false)
	if n, err := a.Write(some(0, 30_000)); n != 20_000 || err != ErrLimit {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := a.Next(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Write(some(20_000, 30_000)); n != PieceLen || err != ErrLimit {
		t.Errorf("after %d were read: %d, %v", PieceLen, n, err)
	}
	// All memory is taken: the rest goes to files, until these are full.
	b := st.Open(1<<20, 1<<20, true)
	if n, err := b.Write(some(0, PieceLen+60_000)); n >= PieceLen+60_000 || err != ErrFull {
		t.Errorf("%d, %v", n, err)
	}
	write(t, b, some(0, int(50_000-st.Counts().Files)))
	if n, err := b.Write([]byte{1}); n != 0 || err != ErrFull {
		t.Errorf("%d, %v", n, err)
	}
	if c := st.Counts(); c.Memory > 4*PieceLen || c.Files > 50_000 || c.Limited != 2 || c.Full != 2 {
		t.Errorf("%+v", c)
	}
	a.Close()
	b.Close()
	// A smaller bound holds for what comes.
	st.SetLimits(Limits{})
	c := st.Open(1<<20, 1<<20, false)
	if n, err := c.Write([]byte{1}); n != 0 || err != ErrFull {
		t.Errorf("%d, %v", n, err)
	}
	c.Close()
}

// faulty is a file whose disk has so much room.
type faulty struct {
	file
	room int
	bad  error
}

func (f *faulty) WriteAt(p []byte, off int64) (int, error) {
	n := min(len(p), max(f.room-int(off), 0))
	if k, err := f.file.WriteAt(p[:n], off); err != nil || n == len(p) {
		return k, err
	}
	return n, f.bad
}

func TestDiskFull(t *testing.T) {
	st := store(t, wide)
	f := &faulty{room: 5000, bad: unix.ENOSPC}
	real := st.open
	st.open = func() (file, error) {
		var err error
		f.file, err = real()
		return f, err
	}
	s := st.Open(PieceLen, 1<<20, false)
	defer s.Close()
	n, err := s.Write(some(0, PieceLen+8000))
	if n != PieceLen+5000 || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := s.Write(some(n, 1)); n != 0 || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("%d, %v", n, err)
	}
	if c := st.Counts(); c.Files != 5000 || c.Failed != 2 {
		t.Errorf("%+v", c)
	}
	f.room = 1 << 20 // somebody has made room
	write(t, s, some(n, 3000))
	if got := drain(t, s); !bytes.Equal(got, some(0, PieceLen+8000)) {
		t.Error("other bytes")
	}
}

// stuck is a file that cannot be emptied.
type stuck struct{ file }

func (stuck) Truncate(int64) error { return unix.EIO }

// A file that cannot be emptied gives way to another.
func TestStuckFile(t *testing.T) {
	st := store(t, wide)
	real := st.open
	st.open = func() (file, error) {
		f, err := real()
		return stuck{f}, err
	}
	s := st.Open(0, 1<<20, false)
	defer s.Close()
	for round := range 3 {
		write(t, s, some(round, 1000))
		if got := drain(t, s); !bytes.Equal(got, some(round, 1000)) {
			t.Error("other bytes")
		}
		if c := st.Counts(); c.Opened != int64(round+1) || c.InFiles != 0 || c.Files != 0 {
			t.Errorf("%+v", c)
		}
	}
}

func TestNoDirectory(t *testing.T) {
	st := New(filepath.Join(t.TempDir(), "none"), wide)
	s := st.Open(PieceLen, 1<<20, false)
	defer s.Close()
	if n, err := s.Write(some(0, PieceLen+1)); n != PieceLen || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%d, %v", n, err)
	}
	if c := st.Counts(); c.Files != 0 || c.Failed != 1 {
		t.Errorf("%+v", c)
	}
	if got := drain(t, s); !bytes.Equal(got, some(0, PieceLen)) {
		t.Error("other bytes")
	}
}

// A real file system that is full.
func TestTmpfsFull(t *testing.T) {
	labtest.Needs(t, "root")
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("SKIP-NEEDS: mounting: " + err.Error())
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	st := New(dir, wide)
	s := st.Open(0, 1<<20, false)
	n, err := 0, error(nil)
	for k := 0; err == nil && n < 200_000; n += k {
		k, err = s.Write(some(n, 5000))
	}
	if n < 32<<10 || n > 64<<10 || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%d, %v", n, err)
	}
	if got := drain(t, s); !bytes.Equal(got, some(0, n)) {
		t.Error("other bytes")
	}
	write(t, s, some(0, 30_000)) // there is room again
	s.Close()
	if c := st.Counts(); c.Files != 0 || c.InFiles != 0 {
		t.Errorf("%+v", c)
	}
}

// Files have no name and nobody else's access, by either way that they are made.
func TestFiles(t *testing.T) {
	for _, open := range []func(string) (file, error){openFile, unlinked} {
		dir := t.TempDir()
		f, err := open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&0o777 != 0o600 || st.Nlink != 0 {
			t.Errorf("mode %o, %d links, %v", st.Mode, st.Nlink, err)
		}
		if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags %x, %v", flags, err)
		}
		if names, _ := os.ReadDir(dir); len(names) != 0 {
			t.Errorf("%v", names)
		}
	}
}

func TestInFile(t *testing.T) {
	s := store(t, wide).Open(PieceLen, 1<<20, true)
	defer s.Close()
	write(t, s, some(0, PieceLen+1000))
	if _, _, _, ok := s.InFile(); ok {
		t.Error("memory comes first")
	}
	if _, err := s.Next(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	fd, off, n, ok := s.InFile()
	if !ok || off != 0 || n != 1000 {
		t.Fatal(off, n, ok)
	}
	got := make([]byte, 400)
	if _, err := unix.Pread(fd, got, off); err != nil || !bytes.Equal(got, some(PieceLen, 400)) {
		t.Error("other bytes", err)
	}
	s.Skip(400)
	if _, off, n, ok = s.InFile(); !ok || off != 400 || n != 600 {
		t.Error(off, n, ok)
	}
	if got := drain(t, s); !bytes.Equal(got, some(PieceLen+400, 600)) {
		t.Error("other bytes")
	}
	if _, _, _, ok := s.InFile(); ok {
		t.Error("nothing waits")
	}
}

func TestConcurrently(t *testing.T) {
	st := store(t, Limits{Memory: 20 * PieceLen, Files: 4 << 20})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				s := st.Open(4*PieceLen, 1<<20, false)
				n, _ := s.Write(some(i, 100_000))
				if got := drain(t, s); !bytes.Equal(got, some(i, n)) {
					t.Error("other bytes")
				}
				s.Close()
			}
		})
	}
	wg.Wait()
}

// FuzzSpool: whatever is written and read in whatever order, the bytes that come out are those that were taken.
func FuzzSpool(f *testing.F) {
	f.Add(uint64(1), uint8(1), false, []byte{1, 2, 3, 4, 5, 6, 7, 8, 200, 100, 250})
	f.Add(uint64(2), uint8(0), true, []byte{9, 9, 9, 1, 0})
	f.Fuzz(func(t *testing.T, seed uint64, pieces uint8, keep bool, ops []byte) {
		st := New(t.TempDir(), Limits{Memory: 5 * PieceLen, Files: 300_000})
		disk := &faulty{room: 1 << 30, bad: unix.EIO}
		real := st.open
		st.open = func() (file, error) {
			var err error
			disk.file, err = real()
			return disk, err
		}
		r := rand.New(rand.NewPCG(seed, 1))
		s := st.Open(int64(pieces%8)*PieceLen, 400_000, keep)
		buf := make([]byte, 1+r.IntN(40_000))
		wrote, read := 0, 0
		for _, op := range ops[:min(len(ops), 60)] {
			switch {
			case op < 120:
				n, err := s.Write(some(wrote, int(op)*500))
				if wrote += n; (err == nil) != (n == int(op)*500) {
					t.Fatalf("%d bytes, %v", n, err)
				}
			case op < 240:
				p, err := s.Next(buf)
				if (err == io.EOF) != (read == wrote) || err != nil && err != io.EOF || !bytes.Equal(p, some(read, len(p))) {
					t.Fatalf("at %d of %d: %d bytes, %v", read, wrote, len(p), err)
				}
				read += len(p)
			case op < 250:
				disk.room = r.IntN(200_000)
			case keep:
				s.Rewind()
				read = 0
			}
			if s.Len() != int64(wrote-read) || s.Size() != int64(wrote) {
				t.Fatalf("%d of %d", s.Len(), s.Size())
			}
		}
		if c := st.Counts(); c.Memory > 5*PieceLen || c.Files > 300_000 {
			t.Fatalf("%+v", c)
		}
		s.Close()
		if c := st.Counts(); c.Spools != 0 || c.InFiles != 0 || c.Memory != 0 || c.Files != 0 {
			t.Fatalf("left behind: %+v", c)
		}
	})
}

// A reader that is always a little behind does not let the file grow beyond the spool's bound, and loses nothing.
func TestReaderBehind(t *testing.T) {
	const limit, memory, all = 8 * PieceLen, PieceLen, 1 << 20
	st := store(t, wide)
	s := st.Open(memory, limit, false)
	defer s.Close()
	want := some(0, all)
	var got []byte
	buf := make([]byte, 3000)
	for at := 0; len(got) < all; {
		n, err := s.Write(want[at:min(at+5000, all)])
		if at += n; err != nil && err != ErrLimit {
			t.Fatal(err)
		}
		if c := st.Counts(); c.Files > limit || c.Memory > memory {
			t.Fatalf("after %d bytes written and %d read: %+v", at, len(got), c)
		}
		p, err := s.Next(buf)
		if err != nil && err != io.EOF { // which empties the file
			t.Fatal(err)
		}
		got = append(got, p...)
	}
	if !bytes.Equal(got, want) {
		t.Error("other bytes come out")
	}
}
