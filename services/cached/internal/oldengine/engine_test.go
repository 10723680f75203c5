package oldengine

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

func key(i int) []byte { return fmt.Appendf(nil, "key:%012d", i) }

func TestBoundHoldsAndOldestGoFirst(t *testing.T) {
	const limit = 1 << 20
	s := New(limit, 1<<19)
	for i := range 10_000 {
		s.Set(1, Set, key(i), Item{Value: make([]byte, 1+i%2000)})
		if b := s.Stats().Bytes; b > limit {
			t.Fatalf("%d bytes after %d items, limit %d", b, i+1, limit)
		}
		s.Get(1, key(0)) // kept fresh: it must survive
	}
	if _, ok := s.Get(1, key(0)); !ok {
		t.Error("the most recently used item was evicted")
	}
	if _, ok := s.Get(1, key(1)); ok {
		t.Error("the least recently used item is still there")
	}
	if s.Stats().Evictions == 0 {
		t.Error("no eviction counted")
	}
	s.SetLimit(10_000)
	if b := s.Stats().Bytes; b > 10_000 {
		t.Errorf("%d bytes after the limit was lowered", b)
	}
}

func TestAnItemLargerThanTheCacheIsRefused(t *testing.T) {
	s := New(1000, 1<<20)
	if r := s.Set(1, Set, []byte("a"), Item{Value: make([]byte, 2000)}); r != TooLarge {
		t.Errorf("Set = %v", r)
	}
	if st := s.Stats(); st.Items != 0 || st.Bytes != 0 {
		t.Errorf("%+v", st)
	}
}

// A random run against a plain map, with time going on, shows that counters and sizes never drift.
func TestAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s := New(1<<30, 1<<20)
	type val struct {
		v   string
		exp int64
	}
	model := map[string]val{}
	alive := func(now int64, k string) (val, bool) {
		v, ok := model[k]
		return v, ok && (v.exp == 0 || v.exp > now)
	}
	for now := int64(1); now < 20_000; now++ {
		k := fmt.Sprint(rnd.IntN(50))
		switch op := rnd.IntN(7); op {
		case 0, 1:
			v := val{fmt.Sprint(rnd.IntN(1000)), 0}
			if rnd.IntN(2) == 0 {
				v.exp = now + rnd.Int64N(100)
			}
			s.Set(now, Set, []byte(k), Item{Value: []byte(v.v), Expires: v.exp})
			model[k] = v
		case 2:
			_, want := alive(now, k)
			if got := s.Delete(now, []byte(k)); got != want {
				t.Fatalf("at %d: Delete(%s) = %v", now, k, got)
			}
			delete(model, k)
		case 3:
			v, was := alive(now, k)
			r := s.Set(now, Append, []byte(k), Item{Value: []byte("+")})
			if was != (r == Stored) {
				t.Fatalf("at %d: append to %s: %v", now, k, r)
			}
			if was {
				v.v += "+"
				model[k] = v
			}
		case 4:
			s.Expire(now, 10)
		default:
			v, want := alive(now, k)
			got, ok := s.Get(now, []byte(k))
			if ok != want || ok && string(got.Value) != v.v {
				t.Fatalf("at %d: Get(%s) = %q, %v, want %q, %v", now, k, got.Value, ok, v.v, want)
			}
		}
	}
	var bytes int64
	for k, it := range s.items {
		bytes += it.Value.(*entry).size()
		if it.Value.(*entry).key != k {
			t.Fatalf("index and entry disagree on %s", k)
		}
	}
	if st := s.Stats(); st.Bytes != bytes || st.Items != s.recent.Len() {
		t.Errorf("counted %d bytes and %d items, there are %d and %d", st.Bytes, st.Items, bytes, s.recent.Len())
	}
}

// What the engine says an item costs must not be less than what the process pays for it.
func TestMemoryIsHonest(t *testing.T) {
	const n = 200_000
	s := New(1<<30, 1<<20)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		s.Set(1, Set, key(i), Item{Value: make([]byte, 100)})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	real := float64(after.HeapAlloc-before.HeapAlloc) / n
	said := float64(s.Stats().Bytes) / n
	t.Logf("an item of 16 B key and 100 B value costs %.0f B on the heap; accounted for %.0f B", real, said)
	if said < real {
		t.Errorf("accounted for %.0f B an item, the heap holds %.0f B", said, real)
	}
	runtime.KeepAlive(s)
}
