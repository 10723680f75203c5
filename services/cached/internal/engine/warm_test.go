package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shm is a directory on a tmpfs, if there is one.
func shm(tb testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "everup-engine")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// reopened closes the model's store and goes on with what New makes of its file. settled values only: pins and arrivals end.
func (m *model) reopen(o Options) {
	m.Helper()
	m.end()
	if err := m.s.Close(); err != nil {
		m.Fatal(err)
	}
	s, err := New(o)
	if err != nil {
		m.Fatal(err)
	}
	m.s = s
	checkStore(m, s, 0)
}

// all looks at every item that is known.
func (m *model) all() {
	for key := range m.items {
		r := m.s.Lock([]byte(key), m.now)
		m.look(&r, key)
		r.Unlock()
	}
}

func TestWarmKeepsEverything(t *testing.T) {
	o := Options{Memory: 8 << 20, MaxItem: 1 << 20, Shards: 2, File: filepath.Join(shm(t), "cache")}
	m := newModel(t, o, 3, 5000, mixed)
	if got := m.s.Recovery(); got.Kept || got.Reason != "no file" {
		t.Errorf("first start: %+v", got)
	}
	for round := range 6 {
		for range 3000 {
			m.step()
		}
		m.all() // learn what was evicted
		before, lost := m.s.Stats(), m.lost
		m.reopen(o)
		got := m.s.Recovery()
		if !got.Kept || got.Items != before.Items {
			t.Fatalf("round %d: %d items before, %+v", round, before.Items, got)
		}
		m.now += 5
		if m.all(); m.lost != lost {
			t.Errorf("round %d: %d items lost", round, m.lost-lost)
		}
	}
	if m.s.lastCAS.Load() == 0 {
		t.Error("the counter of CAS began anew")
	}
}

func TestWarmWithOtherLimits(t *testing.T) {
	o := Options{Memory: 8 << 20, MaxItem: 1 << 20, File: filepath.Join(shm(t), "cache")}
	m := newModel(t, o, 3, 20000, upTo(2000))
	for range 20000 {
		m.step()
	}
	for _, memory := range []int64{4 << 20, 32 << 20, 2 << 20} {
		o.Memory = memory
		m.reopen(o)
		if got := m.s.Recovery(); !got.Kept {
			t.Fatalf("limit %d: %+v", memory, got)
		}
		for range 5000 {
			m.step()
		}
		checkStore(t, m.s, m.loose())
	}
}

// closed leaves a small closed store in a file and returns its bytes.
func closed(tb testing.TB, o Options) []byte {
	tb.Helper()
	m := newModel(tb, o, 3, 400, mixed)
	for range 800 {
		m.step()
	}
	m.end()
	if err := m.s.Close(); err != nil {
		tb.Fatal(err)
	}
	b, err := os.ReadFile(o.File)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func small(tb testing.TB) Options {
	return Options{Memory: 1 << 20, MaxItem: 1 << 18, Shards: 2, File: filepath.Join(shm(tb), "cache")}
}

// crash leaves the file as it is, as a kill does.
func crash(tb testing.TB, s *Store) {
	s.closed.Store(true)
	if err := s.space.a.Close(); err != nil {
		tb.Fatal(err)
	}
}

func TestWarmRefuses(t *testing.T) {
	f := func(name, want string, spoil func(t *testing.T, o *Options)) {
		t.Run(name, func(t *testing.T) {
			o := small(t)
			closed(t, o)
			spoil(t, &o)
			s, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got := s.Recovery()
			if got.Kept || !strings.Contains(got.Reason, want) || s.Stats().Items != 0 {
				t.Errorf("%+v, want a reason with %q", got, want)
			}
			checkStore(t, s, 0)
			st, err := os.Stat(o.File)
			if err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("file afterwards: %v, %v", st, err)
			}
		})
	}
	edit := func(change func(b []byte) []byte) func(*testing.T, *Options) {
		return func(t *testing.T, o *Options) {
			b, err := os.ReadFile(o.File)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(o.File, change(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	f("another file", "not a cache file", edit(func(b []byte) []byte { return bytes.Repeat([]byte("x"), 1<<20) }))
	f("empty", "EOF", edit(func(b []byte) []byte { return nil }))
	f("short", "does not fit", edit(func(b []byte) []byte { return b[:superSize] }))
	f("another version", "version 77", edit(func(b []byte) []byte { b[8] = 77; return b }))
	f("superblock", "superblock damaged", edit(func(b []byte) []byte { b[33]++; return b }))
	f("mode", "mode is", func(t *testing.T, o *Options) {
		if err := os.Chmod(o.File, 0o640); err != nil {
			t.Fatal(err)
		}
	})
	f("another name", "other names", func(t *testing.T, o *Options) {
		if err := os.Link(o.File, o.File+"2"); err != nil {
			t.Fatal(err)
		}
	})
	f("CAS", "setting of CAS", func(_ *testing.T, o *Options) { o.NoCAS = true })
	f("shards", "has 2 shards", func(_ *testing.T, o *Options) { o.Shards = 1 })
	f("killed", "not closed cleanly", func(t *testing.T, o *Options) {
		s, err := New(*o)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Recovery().Kept {
			t.Errorf("%+v", s.Recovery())
		}
		crash(t, s)
	})
	f("truncated", "does not fit", func(t *testing.T, o *Options) {
		b, err := os.ReadFile(o.File)
		if err != nil {
			t.Fatal(err)
		}
		sb, err := decodeSuper(b, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(o.File, int64(sb.high)<<sb.pageShift+int64(sb.tables)-1); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWarmFileInUse(t *testing.T) {
	o := small(t)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s, err := New(o); err == nil {
		s.Close()
		t.Error("two stores in one file")
	}
	o.File = filepath.Join(filepath.Dir(o.File), "link")
	if err := os.Symlink("cache", o.File); err != nil {
		t.Fatal(err)
	}
	if s, err := New(o); err == nil {
		s.Close()
		t.Error("followed a symbolic link")
	}
}

// TestWarmDamage flips bytes all over the file of a closed store: it starts empty, or the byte was one that nothing depends on.
func TestWarmDamage(t *testing.T) {
	o := small(t)
	image := closed(t, o)
	b, err := decodeSuper(image, int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	end := int(b.high)<<b.pageShift + int(b.tables)
	rnd := rand.New(rand.NewPCG(1, 1))
	rounds, kept := 300, 0
	if testing.Short() || raced {
		rounds = 60
	}
	for i := range rounds {
		damaged := bytes.Clone(image)
		for range 1 + i%3 {
			at := rnd.IntN(end)
			switch i % 4 {
			case 0:
				at = rnd.IntN(superSize)
			case 1:
				at = end - 1 - rnd.IntN(int(b.tables))
			}
			damaged[at] ^= 1 << rnd.IntN(8)
		}
		if err := os.WriteFile(o.File, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		checkStore(t, s, 0)
		if s.Recovery().Kept {
			kept++
			for at := range end {
				if damaged[at] != image[at] && inUse(b, image, at) {
					t.Errorf("round %d: kept with byte %d damaged", i, at)
				}
			}
		}
		crash(t, s)
	}
	t.Logf("%d of %d kept: the damage lay on free pages or behind the superblock", kept, rounds)
}

// inUse reports whether the byte at at belongs to the superblock, a page in use or the tables.
func inUse(b *superblock, image []byte, at int) bool {
	n := at >> b.pageShift
	switch {
	case n == 0:
		return at < superSize
	case n >= int(b.high):
		return true
	}
	return image[int(b.high)<<b.pageShift+pageImageSize*n] != pageFree
}

// FuzzImage damages a closed store's file and makes all checksums fit again, so that what guards memory is the checks of bounds and structure.
func FuzzImage(f *testing.F) {
	o := Options{Memory: 1 << 20, MaxItem: 1 << 18, Shards: 2}
	o.File = filepath.Join(f.TempDir(), "cache") // workers are killed: they must leave nothing on the tmpfs
	image := closed(f, o)
	b, err := decodeSuper(image, int64(len(image)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0, 0, 0, 0})
	f.Add(fmt.Appendf(nil, "%d changed bytes", 7))
	f.Fuzz(func(t *testing.T, changes []byte) {
		o.File = filepath.Join(t.TempDir(), "cache")
		damaged := bytes.Clone(image)
		for ; len(changes) >= 4; changes = changes[4:] {
			at := int(changes[0]) | int(changes[1])<<8 | int(changes[2])<<16
			damaged[at%(int(b.high)<<b.pageShift+int(b.tables))] = changes[3]
		}
		resum(damaged)
		if err := os.WriteFile(o.File, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := New(o)
		if err != nil {
			t.Skip(err)
		}
		defer s.Close()
		n := int64(0)
		for c := s.Scan(0, 100, 1, func(r *Ref) { n += int64(len(r.AppendValue(nil))) }); c != 0; {
			c = s.Scan(c, 100, 1, func(r *Ref) { n += int64(len(r.AppendValue(nil))) })
		}
		for i := range 200 {
			r := s.Lock(fmt.Appendf(nil, "key%d-", i), 2)
			_ = r.Put(Value{}, make([]byte, i*50))
			r.Unlock()
		}
		s.FlushAll(0, 3)
		checkStore(t, s, 0)
	})
}
