package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newStoreT(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Memory == 0 {
		o.Memory = 16 << 20
	}
	if o.MaxItem == 0 {
		o.MaxItem = 8 << 20
	}
	if o.Seed == 0 {
		o.Seed = 5
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s *Store, key string, v Value, data []byte) {
	t.Helper()
	r := s.Lock([]byte(key), 1000)
	defer r.Unlock()
	if err := r.Put(v, data); err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

func get(s *Store, key string, now int64) (data []byte, found bool) {
	r := s.Lock([]byte(key), now)
	defer r.Unlock()
	if !r.Found() {
		return nil, false
	}
	r.Use()
	return r.AppendValue(nil), true
}

func TestNoAllocations(t *testing.T) {
	s := newStoreT(t, Options{Memory: 4 << 20})
	key, buf, data := make([]byte, 0, 32), make([]byte, 0, 4096), make([]byte, 2000)
	n := uint64(0)
	f := func(name string, op func(k []byte)) {
		t.Helper()
		run := func() {
			n++
			op(benchKey(key, n%3000))
		}
		for range 10_000 {
			run() // tables of the policy are there
		}
		if a := testing.AllocsPerRun(5000, run); a != 0 {
			t.Errorf("%s: %v allocations", name, a)
		}
	}
	f("put", func(k []byte) {
		r := s.Lock(k, 1000)
		_ = r.Put(Value{Flags: uint32(n % 2)}, data[:n%2000])
		r.Unlock()
	})
	f("get", func(k []byte) {
		r := s.Lock(k, 1000)
		if r.Found() {
			buf = r.AppendValue(buf[:0])
			r.Use()
			r.Count(GetHits)
		} else {
			r.Count(GetMisses)
		}
		r.Unlock()
	})
	f("long put", func(k []byte) {
		r := s.Lock(k[:9], 1000)
		_ = r.Put(Value{}, buf[:cap(buf)])
		r.Unlock()
	})
	f("reserve", func(k []byte) {
		var p Pending
		if s.Reserve(&p, k, 1000, 0, 1000) == nil {
			p.Advance(len(p.Buf()))
			r := s.Lock(k, 1000)
			_ = r.Commit(&p, Value{})
			r.Unlock()
		}
	})
	f("delete", func(k []byte) {
		r := s.Lock(k, 1000)
		r.Delete()
		r.Unlock()
	})
}

func TestLargestValues(t *testing.T) {
	const memory = 64 << 20
	s := newStoreT(t, Options{Memory: memory, MaxItem: memory, Threads: 8})
	if len(s.shards) < 2 {
		t.Fatal("one shard only")
	}
	small := make([]byte, 100)
	many := 400_000
	if raced {
		many = 40_000
	}
	for i := range many {
		put(t, s, fmt.Sprint("small", i), Value{}, small)
	}
	half := make([]byte, memory/2)
	for i := range half {
		half[i] = byte(i >> 8)
	}
	for _, key := range []string{"a", "b", "c"} { // in different shards; each makes the others give way
		put(t, s, key, Value{}, half)
		if got, found := get(s, key, 1000); !found || !bytes.Equal(got, half) {
			t.Fatalf("%s: %d bytes, found %v", key, len(got), found)
		}
		checkStore(t, s, 0)
	}
	put(t, s, "c", Value{}, half[1:]) // over one as large
	var p Pending
	if err := s.Reserve(&p, []byte("d"), len(half), 0, 1000); err != nil {
		t.Fatal(err)
	}
	if err := s.Reserve(new(Pending), []byte("e"), len(half), 0, 1000); err != ErrNoMemory {
		t.Errorf("two arriving values of half the memory each: %v", err)
	}
	checkStore(t, s, 1)
	p.Release()
	checkStore(t, s, 0)
	r := s.Lock([]byte("f"), 1000)
	if err := r.Put(Value{}, make([]byte, memory)); err != ErrTooLarge {
		t.Errorf("larger than the largest: %v", err)
	}
	r.Unlock()
}

func TestPinSurvives(t *testing.T) {
	f := func(name string, spoil func(s *Store)) {
		t.Run(name, func(t *testing.T) {
			s := newStoreT(t, Options{Shards: 1})
			want := bytes.Repeat([]byte("everup"), 40_000)
			put(t, s, "k", Value{}, want)
			r := s.Lock([]byte("k"), 1000)
			p, q := r.Pin(), r.Pin()
			r.Unlock()
			spoil(s)
			checkStore(t, s, -1)
			if got := slices.Concat(p.Pieces(nil, 1000)...); !bytes.Equal(got, want) {
				t.Error("the pinned value changed")
			}
			p.Unpin()
			p.Unpin()
			checkStore(t, s, -1)
			q.Unpin()
			checkStore(t, s, 0)
		})
	}
	churn := func(s *Store) {
		for i := range 100 {
			put(t, s, fmt.Sprint(i), Value{}, make([]byte, 300_000))
		}
	}
	f("nothing", func(s *Store) {})
	f("overwrite", func(s *Store) { put(t, s, "k", Value{}, []byte("new")); churn(s) })
	f("same length", func(s *Store) {
		r := s.Lock([]byte("k"), 1000)
		r.Overwrite(make([]byte, r.Len()), 0)
		r.Unlock()
		churn(s)
	})
	f("append", func(s *Store) {
		r := s.Lock([]byte("k"), 1000)
		if err := r.Extend([]byte("x"), false, 0); err != nil {
			t.Error(err)
		}
		r.Unlock()
		churn(s)
	})
	f("delete", func(s *Store) {
		r := s.Lock([]byte("k"), 1000)
		r.Delete()
		r.Unlock()
		churn(s)
	})
	f("evict", churn)
	f("flush", func(s *Store) { s.FlushAll(0, 1000); churn(s) })
	f("flush twice", func(s *Store) { s.FlushAll(0, 1000); s.FlushAll(0, 1000); churn(s) })
	f("shrink", func(s *Store) {
		if err := s.SetLimit(2 << 20); err != nil {
			t.Error(err)
		}
	})
}

func TestFlush(t *testing.T) {
	s := newStoreT(t, Options{})
	put(t, s, "k", Value{}, []byte("v"))
	s.FlushAll(1010, 1000)
	if _, found := get(s, "k", 1009); !found {
		t.Error("gone before its time")
	}
	s.FlushAll(1020, 1009)
	if _, found := get(s, "k", 1019); !found {
		t.Error("the later flush did not replace the first")
	}
	if _, found := get(s, "k", 1020); found {
		t.Error("there after the flush")
	}
	put(t, s, "k", Value{}, []byte("v"))
	if _, found := get(s, "k", 1030); !found {
		t.Error("a store after the flush did not stay")
	}
	for i := range 50_000 {
		put(t, s, fmt.Sprint(i), Value{}, make([]byte, 200))
	}
	s.FlushAll(-1, 1030)
	if st := s.Stats(); st.Items != 0 || st.Bytes != 0 || st.Used > 1<<20 {
		t.Errorf("after a flush: %d items of %d bytes, %d used", st.Items, st.Bytes, st.Used)
	}
	checkStore(t, s, 0)
}

func TestSweepFreesWhatExpired(t *testing.T) {
	s := newStoreT(t, Options{Memory: 32 << 20})
	const n = 20_000
	for i := range n {
		put(t, s, fmt.Sprint(i), Value{Expires: 2000 + int64(i%10)*100}, make([]byte, 100))
	}
	if looked, freed := s.Sweep(1999, 1<<20); looked != 0 || freed != 0 {
		t.Errorf("nothing due: looked at %d, freed %d", looked, freed)
	}
	total := 0
	for {
		looked, freed := s.Sweep(2400, 500)
		if total += freed; looked == 0 {
			break
		}
		if looked > 500+int(s.pool.bytes())/64 {
			t.Errorf("looked at %d", looked)
		}
	}
	if st := s.Stats(); total != n/2 || st.Items != n/2 || st.Reclaimed != n/2 || st.ExpiredUnfetched != n/2 {
		t.Errorf("freed %d; %d items, %d reclaimed, %d unfetched", total, st.Items, st.Reclaimed, st.ExpiredUnfetched)
	}
	if looked, _ := s.Sweep(2400, 1<<20); looked != 0 {
		t.Errorf("nothing due any more, looked at %d", looked)
	}
	checkStore(t, s, 0)
}

func TestExpiryAtLookUp(t *testing.T) {
	s := newStoreT(t, Options{})
	put(t, s, "k", Value{Expires: 1010}, []byte("v"))
	put(t, s, "past", Value{Expires: -5}, []byte("v"))
	if _, found := get(s, "past", 1000); found {
		t.Error("stored with an expiry in the past, but found")
	}
	if _, found := get(s, "k", 1009); !found {
		t.Error("died early")
	}
	r := s.Lock([]byte("k"), 1010)
	if r.Found() {
		t.Error("found when its time had come")
	}
	r.Count(GetMisses)
	r.Unlock()
	if st := s.Stats(); st.Counts[GetExpired] != 1 || st.Reclaimed != 2 {
		t.Errorf("expired %d, reclaimed %d", st.Counts[GetExpired], st.Reclaimed)
	}
	put(t, s, "t", Value{}, []byte("value"))
	r = s.Lock([]byte("t"), 1000)
	r.Touch(1005)
	if string(r.Value()) != "value" || r.Expires() != 1005 {
		t.Errorf("touched: %q until %d", r.Value(), r.Expires())
	}
	r.Unlock()
	if _, found := get(s, "t", 1005); found {
		t.Error("found when its new time had come")
	}
	checkStore(t, s, 0)
}

func TestNoEviction(t *testing.T) {
	s := newStoreT(t, Options{Memory: 2 << 20, NoEvict: true})
	stored := 0
	var err error
	for ; stored < 100_000 && err == nil; stored++ {
		r := s.Lock(fmt.Append(nil, stored), 1000)
		err = r.Put(Value{}, make([]byte, 100))
		r.Unlock()
	}
	if err != ErrNoMemory {
		t.Fatal(err)
	}
	if stored < 10_000 {
		t.Errorf("full after %d items", stored)
	}
	for i := range stored - 1 {
		r := s.Lock(fmt.Append(nil, i), 1000)
		if !r.Found() {
			t.Fatalf("item %d is gone", i)
		}
		r.Touch(2000)
		r.SetCAS(1 << 60)
		r.Unlock()
	}
	st := s.Stats()
	if st.Evictions != 0 || st.OutOf == 0 {
		t.Errorf("%d evictions, %d out of memory", st.Evictions, st.OutOf)
	}
	checkStore(t, s, 0)
}

// TestScan demands that what is there all the time is seen while keys come and go and the index is resized both ways.
func TestScan(t *testing.T) {
	for _, grow := range []bool{true, false} {
		s := newStoreT(t, Options{Memory: 64 << 20, Shards: 2})
		rnd := rand.New(rand.NewPCG(2, 2))
		want := map[string]bool{}
		for i := range 5000 {
			k := fmt.Sprint("stay", i)
			want[k] = true
			put(t, s, k, Value{}, []byte("v"))
		}
		most := 200_000
		if raced {
			most = 40_000
		}
		if !grow {
			for i := range most {
				put(t, s, fmt.Sprint("churn", i), Value{}, []byte("v"))
			}
		}
		n, shown, calls := 0, 0, 0
		for c := uint64(0); ; {
			c = s.Scan(c, 100, 1000, func(r *Ref) { delete(want, string(r.Key())); shown++ })
			if calls++; c == 0 {
				break
			}
			for range 200 {
				if n++; n >= most {
					break
				}
				key := fmt.Append(nil, "churn", n)
				r := s.Lock(key, 1000)
				if grow && rnd.IntN(4) > 0 {
					_ = r.Put(Value{}, []byte("v"))
				} else if !grow {
					r.Delete()
				}
				r.Unlock()
			}
			if calls > 100_000 {
				t.Fatal("the scan does not end")
			}
		}
		if len(want) != 0 {
			t.Errorf("grow %v: %d of 5000 not seen in %d calls", grow, len(want), calls)
		}
		checkStore(t, s, 0)
	}
}

func TestScanShowsEachOnce(t *testing.T) {
	s := newStoreT(t, Options{Memory: 32 << 20, Shards: 4})
	for i := range 100_000 {
		put(t, s, fmt.Sprint(i), Value{Expires: 1500 + int64(i%2)*1000}, []byte("v"))
	}
	seen := map[string]int{}
	for c := s.Scan(0, 1000, 2000, func(r *Ref) { seen[string(r.Key())]++ }); c != 0; {
		c = s.Scan(c, 1000, 2000, func(r *Ref) { seen[string(r.Key())]++ })
	}
	if len(seen) != 50_000 {
		t.Errorf("%d keys, want the 50000 that have not expired", len(seen))
	}
	for k, n := range seen {
		if n != 1 {
			t.Fatalf("%q shown %d times", k, n)
		}
	}
	for _, c := range []uint64{1 << 63, 3 << scanShard, 3<<scanShard | 1<<32, 1<<33 | 1<<32} {
		s.Scan(c, 10, 2000, func(*Ref) {}) // any cursor is safe
	}
}

type tapped struct{ hash, count, weight int }

func (t *tapped) ByHash(_ uint64, _ Kind, weight int)  { t.hash++; t.weight += weight }
func (t *tapped) ByCount(_ uint64, key []byte, _ Kind) { t.count++ }

func TestTapAndWatch(t *testing.T) {
	var tap tapped
	var gone []Gone
	s := newStoreT(t, Options{Memory: 1 << 20, Shards: 1, Tap: &tap, Evicted: func(g Gone) {
		g.Key = bytes.Clone(g.Key)
		gone = append(gone, g)
	}})
	get(s, "k", 1000)
	put(t, s, "k", Value{}, []byte("v"))
	if tap.hash != 0 || tap.count != 0 {
		t.Error("tapped without being asked to")
	}
	s.Sample(1<<63, 10)
	for i := range 1000 {
		put(t, s, fmt.Sprint(i), Value{}, []byte("v"))
	}
	if tap.count != 100 || tap.hash < 400 || tap.hash > 600 || tap.weight < tap.hash*24 {
		t.Errorf("of 1000 accesses: %+v", tap)
	}
	for i := range 2000 {
		put(t, s, fmt.Sprint("x", i), Value{Expires: 1100, Flags: 1}, make([]byte, 1000))
	}
	if len(gone) != 0 {
		t.Error("told of evictions without being asked to")
	}
	s.Watch(true)
	for i := range 2000 {
		put(t, s, fmt.Sprint("x", i), Value{Expires: 1100, Flags: 1}, make([]byte, 1000))
	}
	if len(gone) == 0 || uint64(len(gone)) > s.Stats().Evictions {
		t.Fatalf("told of %d evictions of %d", len(gone), s.Stats().Evictions)
	}
	size := ItemSize(len(gone[len(gone)-1].Key), 1000, 1, true)
	want := Gone{Key: gone[len(gone)-1].Key, Size: size, Class: ClassOf(size), TTL: 100}
	if d := cmp.Diff(want, gone[len(gone)-1]); d != "" {
		t.Error(d)
	}
}

func TestByClass(t *testing.T) {
	s := newStoreT(t, Options{})
	for i := range 10 {
		r := s.Lock(fmt.Append(nil, i), 1000+int64(i))
		_ = r.Put(Value{}, make([]byte, 100))
		r.Count(CmdSet)
		r.Unlock()
	}
	r := s.Lock([]byte("0"), 1050)
	r.Count(GetHits)
	class, size := r.Class(), r.Size()
	r.Delete()
	r.Count(DeleteHits)
	r.Unlock()
	c := s.ByClass()[class]
	want := ClassStats{ChunkSize: ChunkSizes()[class-1], Items: 9, Bytes: 9 * int64(size), GetHits: 1, CmdSet: 10, OldestAge: c.OldestAge}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	if st := s.Stats(); st.Counts[CmdSet] != 10 || st.Counts[DeleteHits] != 1 || st.Total != 10 || st.Bytes != 9*int64(size) {
		t.Errorf("%+v", st)
	}
	s.ResetStats()
	if st := s.Stats(); st.Counts[CmdSet] != 0 || st.Total != 0 || st.Items != 9 {
		t.Errorf("after reset: %+v", st)
	}
}

func TestClassOf(t *testing.T) {
	sizes := ChunkSizes()
	if len(sizes) >= maxClasses {
		t.Fatalf("%d classes", len(sizes))
	}
	for size := 0; size < LargestChunk+100; size += 1 + size/500 {
		want := 1
		for want < len(sizes) && size > sizes[want-1] {
			want++
		}
		if got := ClassOf(size); got != want {
			t.Fatalf("size %d: class %d, want %d", size, got, want)
		}
	}
}

// TestFlood stores keys that all share two lines of the index: it degrades to evictions, not to long searches.
func TestFlood(t *testing.T) {
	if raced {
		t.Skip("one goroutine's search for keys")
	}
	s := newStoreT(t, Options{Memory: 1 << 20, Shards: 1})
	put(t, s, "first", Value{}, nil)
	lines := s.shards[0].index.cur.n
	var keys []string
	for i, b := uint64(0), []byte("flood---"); len(keys) < 3*lineSlots; i++ {
		k := binary.LittleEndian.AppendUint64(b, i)
		if p, q := positions(hashOf(k, s.o.Seed)); scale(p, lines) == 7 && scale(q, lines) == 9 {
			keys = append(keys, string(k))
		}
	}
	for i, k := range keys {
		put(t, s, k, Value{}, []byte(k))
		if got, found := get(s, k, 1000); !found || string(got) != k {
			t.Fatalf("key %d is not there after its store", i)
		}
		checkStore(t, s, 0)
	}
	if st := s.Stats(); st.Crowded != lineSlots || st.Evictions != lineSlots {
		t.Errorf("of %d keys for %d places %d were evicted", len(keys), 2*lineSlots, st.Crowded)
	}
}
