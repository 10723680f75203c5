package ops

import (
	"testing"

	"github.com/everup/everup/services/cached/internal/engine"
)

const now = 1_700_000_000

func store(t *testing.T) *engine.Store {
	t.Helper()
	s, err := engine.New(engine.Options{Memory: 64 << 20, MaxItem: 1 << 20, Shards: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// on runs f with key's Ref.
func on(s *engine.Store, key string, f func(r *engine.Ref)) {
	r := s.Lock([]byte(key), now)
	defer r.Unlock()
	f(&r)
}

func do(t *testing.T, s *engine.Store, st Store, data string) (out Outcome) {
	t.Helper()
	on(s, "k", func(r *engine.Ref) { out = Put(r, &st, []byte(data)) })
	return out
}

func value(s *engine.Store) (v string) {
	on(s, "k", func(r *engine.Ref) {
		v = "-"
		if r.Found() {
			v = string(r.AppendValue(nil))
		}
	})
	return v
}

func TestStoreModes(t *testing.T) {
	f := func(have string, st Store, want Outcome, after string) {
		t.Helper()
		for _, pending := range []bool{false, true} {
			s := store(t)
			if have != "-" {
				do(t, s, Store{Value: engine.Value{CAS: 7, Flags: 3, Expires: now + 9}}, have)
			}
			var got Outcome
			if pending {
				var p engine.Pending
				if err := s.Reserve(&p, []byte("k"), 3, 0, now); err != nil {
					t.Fatal(err)
				}
				for n := 0; n < 3; {
					k := copy(p.Buf(), "new"[n:])
					p.Advance(k)
					n += k
				}
				on(s, "k", func(r *engine.Ref) { got = Commit(r, &st, &p) })
				if p.Held() {
					t.Errorf("%+v: the pending value is still held", st)
				}
			} else {
				got = do(t, s, st, "new")
			}
			if v := value(s); got != want || v != after {
				t.Errorf("%q, %+v, pending %v: outcome %d and %q, want %d and %q", have, st, pending, got, v, want, after)
			}
		}
	}
	f("-", Store{Mode: Set}, Stored, "new")
	f("old", Store{Mode: Set}, Stored, "new")
	f("-", Store{Mode: Add}, Stored, "new")
	f("old", Store{Mode: Add}, NotStored, "old")
	f("-", Store{Mode: Replace}, NotStored, "-")
	f("old", Store{Mode: Replace}, Stored, "new")
	f("-", Store{Mode: Append}, NotStored, "-")
	f("old", Store{Mode: Append}, Stored, "oldnew")
	f("old", Store{Mode: Prepend}, Stored, "newold")
	f("old", Store{Mode: Append, Compare: 7}, Stored, "oldnew")
	f("old", Store{Mode: Append, Compare: 8}, Exists, "old")
	f("-", Store{Mode: CAS, Compare: 7}, NotFound, "-")
	f("old", Store{Mode: CAS, Compare: 7}, Stored, "new")
	f("old", Store{Mode: CAS, Compare: 8}, Exists, "old")
	f("old", Store{Mode: CAS}, Exists, "old")
	f("old", Store{Mode: CAS, Compare: 6, Stale: true}, Stored, "new")
	f("old", Store{Mode: CAS, Compare: 8, Stale: true}, Exists, "old")
}

func TestStaleStoreKeepsExpiryAndWinner(t *testing.T) {
	s := store(t)
	do(t, s, Store{Value: engine.Value{CAS: 7, Expires: now + 9}}, "old")
	on(s, "k", func(r *engine.Ref) { r.MarkWon(true) })
	do(t, s, Store{Mode: CAS, Compare: 6, Stale: true, Value: engine.Value{Expires: now + 99}}, "new")
	on(s, "k", func(r *engine.Ref) {
		if !r.Stale() || !r.Won() || r.Expires() != now+9 {
			t.Errorf("stale %v, won %v, expires in %d; want true, true, 9", r.Stale(), r.Won(), r.Expires()-now)
		}
	})
}

func TestAppendClearsMarksAndKeepsFlags(t *testing.T) {
	s := store(t)
	do(t, s, Store{Value: engine.Value{Flags: 5, Expires: now + 9}}, "old")
	on(s, "k", func(r *engine.Ref) { r.MarkStale(true); r.MarkWon(true) })
	do(t, s, Store{Mode: Append, Value: engine.Value{Flags: 6, CAS: 99}}, "new")
	on(s, "k", func(r *engine.Ref) {
		if r.Stale() || r.Won() || r.Flags() != 5 || r.Expires() != now+9 || r.CAS() != 99 {
			t.Errorf("stale %v, won %v, flags %d, expires in %d, CAS %d", r.Stale(), r.Won(), r.Flags(), r.Expires()-now, r.CAS())
		}
	})
}

func TestTooLarge(t *testing.T) {
	s := store(t)
	do(t, s, Store{}, "old")
	big := make([]byte, 1<<20)
	if Fits(s, 1, len(big), 0, true) || !Fits(s, 1, 1<<20-61-8, 0, true) {
		t.Error("Fits does not keep to -I")
	}
	on(s, "k", func(r *engine.Ref) {
		if out := Put(r, &Store{}, big); out != TooLarge || !r.Found() {
			t.Errorf("outcome %d, found %v; want TooLarge and the old value", out, r.Found())
		}
		if out := Refused(r, TooLarge, true); out != TooLarge || r.Found() {
			t.Errorf("outcome %d, found %v; want TooLarge and nothing", out, r.Found())
		}
	})
	do(t, s, Store{}, string(big[:1<<20-100]))
	if out := do(t, s, Store{Mode: Append}, "12345678901234567890123456789012345678901234567890"); out != NotStored {
		t.Errorf("append: outcome %d, want NotStored", out)
	}
}

func TestAddDelta(t *testing.T) {
	f := func(have string, a Arith, want uint64, outcome Outcome, after string) {
		t.Helper()
		s := store(t)
		if have != "-" {
			do(t, s, Store{Value: engine.Value{CAS: 7, Flags: 3, Expires: now + 9}}, have)
		}
		on(s, "k", func(r *engine.Ref) {
			if n, out := AddDelta(r, &a); n != want || out != outcome {
				t.Errorf("%q %+v: %d, outcome %d; want %d and %d", have, a, n, out, want, outcome)
			}
			if r.Found() && (r.Flags() != 3 || r.Expires() != now+9) {
				t.Errorf("%q %+v: flags %d, expires in %d", have, a, r.Flags(), r.Expires()-now)
			}
		})
		if v := value(s); v != after {
			t.Errorf("%q %+v: %q afterwards, want %q", have, a, v, after)
		}
	}
	f("-", Arith{Delta: 1}, 0, NotFound, "-")
	f("9", Arith{Delta: 1}, 10, Stored, "10")
	f("10", Arith{Delta: 1, Decr: true}, 9, Stored, "9 ")
	f("10", Arith{Delta: 11, Decr: true}, 0, Stored, "0 ")
	f("10", Arith{Delta: 1<<64 - 1}, 9, Stored, "9 ")
	f("18446744073709551615", Arith{Delta: 1}, 0, Stored, "0                   ")
	f("007", Arith{Delta: 1}, 8, Stored, "8  ")
	f("5 apples and many more pears", Arith{Delta: 1}, 6, Stored, "6                           ")
	f("+5", Arith{Delta: 1}, 6, Stored, "6 ")
	f("", Arith{Delta: 1}, 0, NonNumeric, "")
	f("x", Arith{Delta: 1}, 0, NonNumeric, "x")
	f("5x", Arith{Delta: 1}, 0, NonNumeric, "5x")
	f("-1", Arith{Delta: 1}, 0, NonNumeric, "-1")
	f("18446744073709551616", Arith{Delta: 1}, 0, NonNumeric, "18446744073709551616")
	f("1", Arith{Delta: 1, Compare: 8}, 0, Exists, "1")
	f("1", Arith{Delta: 1, Compare: 7}, 2, Stored, "2")
}

func TestNumbers(t *testing.T) {
	f := func(s string, u uint64, uok bool, i int32, iok bool) {
		t.Helper()
		if n, ok := Uint([]byte(s)); n != u && uok || ok != uok {
			t.Errorf("Uint(%q) = %d, %v; want %d, %v", s, n, ok, u, uok)
		}
		if n, ok := Int32([]byte(s)); n != i && iok || ok != iok {
			t.Errorf("Int32(%q) = %d, %v; want %d, %v", s, n, ok, i, iok)
		}
	}
	f("0", 0, true, 0, true)
	f("12", 12, true, 12, true)
	f("+12", 12, true, 12, true)
	f(" 12 x", 12, true, 12, true)
	f("12\rx", 12, true, 12, true)
	f("-12", 0, false, -12, true)
	f("-0", 0, true, 0, true)
	f("", 0, false, 0, false)
	f("-", 0, false, 0, false)
	f("1x", 0, false, 0, false)
	f("2147483647", 2147483647, true, 2147483647, true)
	f("2147483648", 2147483648, true, -2147483648, true)
	f("-2147483648", 0, false, -2147483648, true)
	f("18446744073709551615", 18446744073709551615, true, 0, false)
	f("18446744073709551616", 0, false, 0, false)
	f("-18446744073709551615", 1, true, 0, false)
	f("9223372036854775807", 9223372036854775807, true, -1, true)
	f("9223372036854775808", 9223372036854775808, true, 0, false)
	f("-9223372036854775808", 9223372036854775808, false, 0, true)
	f("4294967297", 4294967297, true, 1, true)
	if n, ok := Uint32([]byte("4294967297")); n != 1 || !ok {
		t.Errorf("Uint32(4294967297) = %d, %v; want 1, true", n, ok)
	}
}

func TestExpires(t *testing.T) {
	const started = now - 100
	f := func(exptime, want int64) {
		t.Helper()
		if got := Expires(exptime, now, started); got != want {
			t.Errorf("Expires(%d) = %d, want %d", exptime, got, want)
		}
	}
	f(0, engine.Never)
	f(-1, Past)
	f(1, now+1)
	f(MaxRelative, now+MaxRelative)
	f(MaxRelative+1, Past)
	f(started, Past)
	f(started+1, started+1)
	f(now+5, now+5)
}

func TestTouchAndDelete(t *testing.T) {
	s := store(t)
	on(s, "k", func(r *engine.Ref) {
		if Touch(r, now+5) || Delete(r) {
			t.Error("touched or deleted what is not there")
		}
		Put(r, &Store{}, []byte("v"))
		if !Touch(r, now+5) || r.Expires() != now+5 || !Delete(r) || r.Found() {
			t.Error("did not touch and delete")
		}
	})
	want := map[engine.Counter]uint64{
		engine.CmdTouch: 2, engine.TouchHits: 1, engine.TouchMisses: 1, engine.DeleteHits: 1, engine.DeleteMisses: 1, engine.CmdSet: 1,
	}
	got := s.Stats().Counts
	for c, n := range got {
		if n != want[engine.Counter(c)] {
			t.Errorf("counter %d is %d, want %d", c, n, want[engine.Counter(c)])
		}
	}
}

func TestAddDeltaDoesNotAllocate(t *testing.T) {
	s := store(t)
	do(t, s, Store{}, "99999")
	key, digitsOfLength := []byte("k"), []byte("99999")
	engineOnly := testing.AllocsPerRun(100, func() {
		r := s.Lock(key, now)
		r.Overwrite(digitsOfLength, 0)
		r.Unlock()
	})
	if n := testing.AllocsPerRun(100, func() {
		r := s.Lock(key, now)
		AddDelta(&r, &Arith{Delta: 1})
		r.Unlock()
	}); n > engineOnly {
		t.Errorf("%v allocations, %v of them the engine's", n, engineOnly)
	}
}
