package arena

import (
	"os"
	"path/filepath"
	"testing"
)

const page = 64 << 10

func each(t *testing.T, f func(t *testing.T, a *Arena)) {
	t.Run("anonymous", func(t *testing.T) {
		a, err := Reserve(64<<20, 1<<20, UnitShift0)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		f(t, a)
	})
	t.Run("file", func(t *testing.T) {
		file, err := os.Create(filepath.Join(t.TempDir(), "arena"))
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Truncate(64 << 20); err != nil {
			t.Fatal(err)
		}
		a, err := Map(file, 64<<20, 1<<20, UnitShift0)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		f(t, a)
	})
}

func TestAccess(t *testing.T) {
	each(t, func(t *testing.T, a *Arena) {
		if err := a.Open(2 * page); err != nil {
			t.Fatal(err)
		}
		if err := a.Back(page, page); err != nil {
			t.Fatal(err)
		}
		const h = page / 4 // the second page
		*At[uint64](a, h) = 0x0102030405060708
		if got := *Field[uint32](a, h, 4); got != 0x01020304 {
			t.Errorf("upper half %x", got)
		}
		if got := *Field[uint16](a, h+1, -2); got != 0x0506 {
			t.Errorf("field before a handle %x", got)
		}
		if got := a.Bytes(h, 1, 3); len(got) != 3 || cap(got) != 3 || got[0] != 7 || got[2] != 5 {
			t.Errorf("bytes %x", got)
		}
		a.Bytes(h, page-1, 1)[0] = 9 // the last byte that is open
	})
}

func TestDiscardEmpties(t *testing.T) {
	each(t, func(t *testing.T, a *Arena) {
		if a.heap {
			t.Skip("allocated arenas keep what they hold")
		}
		if err := a.Open(2 * page); err != nil {
			t.Fatal(err)
		}
		a.Bytes(0, page-1, 1)[0] = 1
		a.Bytes(0, page, 1)[0] = 2
		a.Discard(page, page)
		if got := a.Bytes(0, page-1, 2); got[0] != 1 || got[1] != 0 {
			t.Errorf("around the start of the discarded page: %x", got)
		}
	})
}

func TestOpenStopsAtTheReservation(t *testing.T) {
	each(t, func(t *testing.T, a *Arena) {
		if err := a.Open(a.Size() + page); err == nil {
			t.Error("opened more than was reserved")
		}
		if err := a.Open(a.Size()); err != nil {
			t.Error(err)
		}
		if err := a.Open(page); err != nil {
			t.Error(err)
		}
	})
}

func TestReserveTakesLess(t *testing.T) {
	a, err := Reserve(1<<62, 1<<20, UnitShift0)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.Size() < 1<<20 || a.Size() >= 1<<62 {
		t.Errorf("reserved %d bytes", a.Size())
	}
}

// Every address is computed by at; this is what its callers rely on in a build with checks.
func TestBounds(t *testing.T) {
	a, err := Reserve(1<<20, 1<<20, UnitShift0+1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := a.Open(page); err != nil {
		t.Fatal(err)
	}
	f := func(h uint32, from int, n uintptr, ok bool) {
		t.Helper()
		defer func() {
			if r := recover(); (r == nil) != ok {
				t.Errorf("%d bytes at %d+%d: %v", n, h, from, r)
			}
		}()
		a.check(h, from, n)
	}
	const last = page/8 - 1
	f(0, 0, page, true)
	f(0, 0, page+1, false)
	f(0, -1, 1, false)
	f(1, -8, 8, true)
	f(1, -9, 1, false)
	f(last, 0, 8, true)
	f(last, 0, 9, false)
	f(last, 8, 0, true)
	f(last+1, -4, 4, true)
	f(1<<32-1, 0, 1, false)
	f(1<<32-1, 0, 1<<63, false)
}
