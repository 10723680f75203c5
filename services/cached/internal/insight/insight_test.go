package insight

import (
	"container/list"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// lru is the hit ratio of a plain LRU cache of capacity bytes on the accesses.
func lru(capacity int, accesses []int, weight func(int) int) float64 {
	order, at := list.New(), map[int]*list.Element{}
	used, hits := 0, 0
	for _, k := range accesses {
		if e := at[k]; e != nil {
			hits++
			order.MoveToFront(e)
			continue
		}
		at[k] = order.PushFront(k)
		used += weight(k)
		for used > capacity {
			old := order.Remove(order.Back()).(int)
			delete(at, old)
			used -= weight(old)
		}
	}
	return float64(hits) / float64(len(accesses))
}

func mix(k int) uint64 {
	x := uint64(k)*0x9e3779b97f4a7c15 + 0x7f4a7c15
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

func TestCurveFollowsLRU(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.05, 50, 200_000)
	accesses := make([]int, 200_000)
	for i := range accesses {
		accesses[i] = int(zipf.Uint64())
	}
	weight := func(k int) int { return 50 + int(mix(k)>>40)%900 }
	f := func(keys int, within float64) {
		t.Helper()
		c := NewCurve(keys)
		for _, k := range accesses {
			c.Read(mix(k), weight(k))
		}
		for _, size := range []int64{1 << 20, 4 << 20, 16 << 20, 64 << 20} {
			want := lru(int(size), accesses, weight)
			got := c.Points(size)[0].Ratio
			if math.Abs(got-want) > within {
				t.Errorf("%d keys followed, %d MiB: estimated %.3f, LRU has %.3f", keys, size>>20, got, want)
			}
		}
		if len(c.keys) > keys {
			t.Errorf("%d keys are followed, the bound is %d", len(c.keys), keys)
		}
	}
	f(1<<17, 0.03) // all keys: only the buckets' width is left
	f(8192, 0.05)
}

func TestCurveForgetsWhatWasDeleted(t *testing.T) {
	c := NewCurve(1024)
	if c.Points(1<<20) != nil {
		t.Error("a curve that saw nothing has points")
	}
	c.Write(7, 100)
	c.Remove(7)
	c.Read(7, 0)
	c.Write(8, 100)
	c.Read(8, 100)
	if got := c.Points(1 << 20)[0].Ratio; got != 0.5 {
		t.Errorf("one hit of two reads: %v", got)
	}
	for range 200 {
		c.Fade()
	}
	c.Read(7, 0)
	if got := c.Points(1 << 20)[0].Ratio; got > 0.01 {
		t.Errorf("after the hits faded: %v", got)
	}
}

func TestHotKeysFindsTheHottest(t *testing.T) {
	h, err := NewHotKeys(64, 16)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		k := rng.IntN(50_000) + 10
		switch n := rng.IntN(100); {
		case n < 20:
			k = 1
		case n < 30:
			k = 2
		}
		h.Add(mix(k), fmt.Appendf(nil, "key%d", k))
	}
	top := h.Top(5)
	if len(top) != 2 || top[0].Key != "key1" || top[1].Key != "key2" {
		t.Fatalf("top: %+v, want key1 and key2 alone", top)
	}
	if s := top[0].Share; s < 0.18 || s > 0.22 {
		t.Errorf("share of key1 is %v, want about 0.20", s)
	}
	if a := top[0].Accesses; a < 16*19_000 || a > 16*23_000 {
		t.Errorf("accesses of key1: %d, want about 16 × 20 000", a)
	}
	for range 40 {
		h.Fade()
	}
	if top := h.Top(5); len(top) != 0 {
		t.Errorf("after all faded: %+v", top)
	}
}

func TestWindows(t *testing.T) {
	w := NewWindows()
	if _, ok := w.Ratio(time.Minute); ok {
		t.Error("windows that know nothing have a ratio")
	}
	var hits, misses uint64
	f := func(seconds int, hit bool, at int64) int64 {
		for range seconds {
			if hit {
				hits++
			} else {
				misses++
			}
			at++
			w.Tick(at, hits, misses)
		}
		return at
	}
	want := func(d time.Duration, want float64) {
		t.Helper()
		if got, ok := w.Ratio(d); !ok || math.Abs(got-want) > 0.01 {
			t.Errorf("the last %v: %v, %v; want %v", d, got, ok, want)
		}
	}
	at := f(1, true, 600)
	at = f(7200, true, at)
	at = f(90, false, at)
	want(time.Minute, 0)
	want(3*time.Minute, 0.5)
	want(time.Hour, 1-90.0/3600)
	want(24*time.Hour, 1-90.0/7291)
	hits, misses = 0, 0 // stats reset
	at = f(10, true, at)
	want(5*time.Second, 1)
	want(time.Hour, 1)
}

func BenchmarkCurveRead(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	zipf := rand.NewZipf(rng, 1.05, 50, 200_000)
	run := func(name string, draw func() uint64, followed bool) {
		b.Run(name, func(b *testing.B) {
			c := NewCurve(8192)
			var hashes [1 << 16]uint64
			for i := 0; i < len(hashes); {
				h := draw()
				c.Read(h, 100)
				if !followed || h <= c.threshold {
					hashes[i] = h
					i++
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.Read(hashes[i&(1<<16-1)], 100)
			}
		})
	}
	run("zipf", func() uint64 { return mix(int(zipf.Uint64())) }, false)
	run("followed", func() uint64 { return mix(rng.IntN(200_000)) }, true)
}
