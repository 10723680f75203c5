package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// benchItems is the number of items of the benchmarks: far more than the processor's caches hold.
const benchItems = 5_000_000

func benchKey(b []byte, i uint64) []byte {
	b = append(b[:0], "bench-k-"...)
	return binary.BigEndian.AppendUint64(b, i*0x9e3779b97f4a7c15)
}

func filled(tb testing.TB, memory int64, items int, size int) *Store {
	tb.Helper()
	s, err := New(Options{Memory: memory, MaxItem: 1 << 20, Threads: 2, Seed: 1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	fill(tb, s, items, size)
	return s
}

// fill stores items of size bytes under the first keys.
func fill(tb testing.TB, s *Store, items, size int) {
	tb.Helper()
	data := make([]byte, size)
	var key [16]byte
	for i := range items {
		r := s.Lock(benchKey(key[:0], uint64(i)), 1000)
		if err := r.Put(Value{}, data); err != nil {
			tb.Fatal(err)
		}
		r.Unlock()
	}
}

// rss is the process's resident memory in bytes.
func rss(tb testing.TB) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		tb.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n * int64(os.Getpagesize())
}

// cpu is the processor time the process has used so far, nanoseconds: on a shared machine the only measure that means something.
func cpu() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// timed runs a benchmark's loop and reports its processor time.
func timed(b *testing.B, op func()) {
	b.ReportAllocs()
	begin := cpu()
	for b.Loop() {
		op()
	}
	b.ReportMetric(float64(cpu()-begin)/float64(b.N), "cpu-ns/op")
}

func BenchmarkGet(b *testing.B) {
	s := filled(b, 2<<30, benchItems, 100)
	get := func(b *testing.B, i uint64, dst, key []byte) []byte {
		r := s.Lock(benchKey(key, i), 1001)
		if r.Found() {
			dst = r.AppendValue(dst[:0])
			r.Use()
			r.Count(GetHits)
		} else {
			r.Count(GetMisses)
		}
		r.Unlock()
		return dst
	}
	b.Run("hit", func(b *testing.B) {
		rnd := rand.New(rand.NewPCG(1, 2))
		key, dst := make([]byte, 16), make([]byte, 0, 200)
		timed(b, func() {
			dst = get(b, rnd.Uint64N(benchItems), dst, key)
		})
	})
	b.Run("miss", func(b *testing.B) {
		rnd := rand.New(rand.NewPCG(1, 2))
		key, dst := make([]byte, 16), make([]byte, 0, 200)
		timed(b, func() {
			dst = get(b, benchItems+rnd.Uint64N(benchItems), dst, key)
		})
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			rnd := rand.New(rand.NewPCG(rand.Uint64(), 2))
			key, dst := make([]byte, 16), make([]byte, 0, 200)
			for pb.Next() {
				dst = get(b, rnd.Uint64N(benchItems), dst, key)
			}
		})
	})
	b.Run("overwrite", func(b *testing.B) {
		rnd := rand.New(rand.NewPCG(1, 2))
		key, data := make([]byte, 16), make([]byte, 100)
		timed(b, func() {
			r := s.Lock(benchKey(key, rnd.Uint64N(benchItems)), 1001)
			if err := r.Put(Value{}, data); err != nil {
				b.Fatal(err)
			}
			r.Unlock()
		})
	})
	b.Run("overwrite mixed sizes", func(b *testing.B) {
		rnd := rand.New(rand.NewPCG(1, 2))
		key, data := make([]byte, 16), make([]byte, 200)
		timed(b, func() {
			r := s.Lock(benchKey(key, rnd.Uint64N(benchItems)), 1001)
			if err := r.Put(Value{}, data[:rnd.IntN(200)]); err != nil {
				b.Fatal(err)
			}
			r.Unlock()
		})
	})
}

func BenchmarkSetEvict(b *testing.B) {
	f := func(name string, size func(*rand.Rand) int) {
		b.Run(name, func(b *testing.B) {
			s := filled(b, 512<<20, benchItems, 100)
			rnd := rand.New(rand.NewPCG(1, 2))
			key, data := make([]byte, 16), make([]byte, 1<<20)
			i := uint64(benchItems)
			set := func() {
				r := s.Lock(benchKey(key, i), 1001)
				i++
				if err := r.Put(Value{}, data[:size(rnd)]); err != nil {
					b.Fatal(err)
				}
				r.Unlock()
			}
			for i < benchItems*3/2 {
				for range 10000 {
					set()
				}
			}
			timed(b, set)
			st := s.Stats()
			b.ReportMetric(float64(st.Free)*100/float64(st.Limit), "%free")
			b.ReportMetric(float64(st.HashBytes)/float64(st.Items), "index-B/item")
			b.ReportMetric(float64(st.Used-(st.Bytes-59*st.Items))/float64(st.Items), "overhead-B/item") // 59: what memcached counts beside key and value
		})
	}
	f("100", func(*rand.Rand) int { return 100 })
	f("0-200", func(r *rand.Rand) int { return r.IntN(200) })
	f("0-2000", func(r *rand.Rand) int { return r.IntN(2000) })
}

func BenchmarkSetNew(b *testing.B) {
	for b.Loop() {
		begin := cpu()
		s := filled(b, 2<<30, benchItems, 100)
		st := s.Stats()
		b.ReportMetric(float64(cpu()-begin)/benchItems, "cpu-ns/set")
		b.ReportMetric(float64(st.HashBytes)/float64(st.Items), "index-B/item")
		b.ReportMetric(float64(st.Used)/float64(st.Items), "B/item")
	}
}

// BenchmarkOverhead measures what the process grows by for 5 million items beyond their keys and values. The store is as large as it takes to hold them, so
// nothing is evicted; the growth of the index is in it, wherever in its cycle it stands.
func BenchmarkOverhead(b *testing.B) {
	for b.Loop() {
		debug.FreeOSMemory()
		before := rss(b)
		s := filled(b, 1<<30, benchItems, 100)
		debug.FreeOSMemory()
		st := s.Stats()
		if st.Items != benchItems {
			b.Fatalf("%d items", st.Items)
		}
		b.ReportMetric(float64(rss(b)-before)/benchItems-116, "RSS-overhead-B/item")
		b.ReportMetric(float64(st.HashBytes)/benchItems, "index-B/item")
		s.Close()
	}
}

// BenchmarkRestart measures how long New takes to have 10 million items back from a file.
func BenchmarkRestart(b *testing.B) {
	o := Options{Memory: 3 << 30, MaxItem: 1 << 20, Threads: 2, Seed: 1, File: filepath.Join(shm(b), "cache")}
	s, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	fill(b, s, 2*benchItems, 100)
	for b.Loop() {
		begin, used := time.Now(), cpu()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "close-s")
		b.ReportMetric(float64(cpu()-used)/1e9, "close-cpu-s")
		used = cpu()
		if s, err = New(o); err != nil {
			b.Fatal(err)
		}
		if r := s.Recovery(); r.Items != 2*benchItems {
			b.Fatalf("%+v", r)
		}
		b.ReportMetric(s.Recovery().Took.Seconds(), "back-s")
		b.ReportMetric(float64(cpu()-used)/1e9, "back-cpu-s")
	}
	s.Close()
}
