package limit

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/everup/everup/shared/fault"
)

func mustSketch(t testing.TB, epsilon, delta float64) *Sketch {
	t.Helper()
	s, err := NewSketch(epsilon, delta)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewSketchRefuses(t *testing.T) {
	f := func(epsilon, delta float64) {
		t.Helper()
		if _, err := NewSketch(epsilon, delta); fault.Of(err) != fault.Invalid {
			t.Errorf("NewSketch(%v, %v): %v", epsilon, delta, err)
		}
	}
	f(0, 0.1)
	f(1, 0.1)
	f(0.1, 0)
	f(0.1, 1)
	f(-1, 0.1)
	f(math.NaN(), 0.1)
	f(0.1, math.Inf(1))
	f(1e-9, 0.01)
	f(math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64)
}

// zipfStream returns keys of a skewed stream and their true counts.
func zipfStream(n int, keys uint64) ([]uint64, map[uint64]uint64) {
	z := rand.NewZipf(rand.New(rand.NewPCG(11, 12)), 1.1, 1, keys-1)
	stream, truth := make([]uint64, n), map[uint64]uint64{}
	for i := range stream {
		stream[i] = z.Uint64()
		truth[stream[i]]++
	}
	return stream, truth
}

// Never below the truth; above it by more than epsilon of the total for no more than delta of the keys.
func TestSketchErrorBound(t *testing.T) {
	const epsilon, delta = 0.001, 0.01
	s := mustSketch(t, epsilon, delta)
	stream, truth := zipfStream(200_000, 1<<20)
	for _, k := range stream {
		s.Add(k, 1)
	}
	off := 0
	for k, n := range truth {
		got := uint64(s.Estimate(k))
		if got < n {
			t.Fatalf("key %d: %d, the truth is %d", k, got, n)
		}
		if float64(got-n) > epsilon*float64(s.Total()) {
			off++
		}
	}
	t.Logf("%d of %d keys are off by more than epsilon", off, len(truth))
	if float64(off) > delta*float64(len(truth)) || s.Total() != 200_000 {
		t.Errorf("%d of %d keys are off, total %d", off, len(truth), s.Total())
	}
}

// Halving keeps the promise for halved counts.
func TestSketchDecay(t *testing.T) {
	s := mustSketch(t, 0.01, 0.1)
	stream, truth := zipfStream(10_000, 1000)
	for i, k := range stream {
		s.Add(k, 1)
		if i == len(stream)/2 {
			s.Decay()
			clear(truth)
			for _, k := range stream[:i+1] {
				truth[k]++
			}
			for k := range truth {
				truth[k] /= 2
			}
		} else if i > len(stream)/2 {
			truth[k]++
		}
	}
	for k, n := range truth {
		if got := uint64(s.Estimate(k)); got < n {
			t.Fatalf("key %d: %d, the truth is %d", k, got, n)
		}
	}
	s.Reset()
	if s.Estimate(0) != 0 || s.Total() != 0 {
		t.Error("a reset sketch remembers")
	}
}

func TestSketchStopsAtTheTop(t *testing.T) {
	s := mustSketch(t, 0.1, 0.1)
	s.Add(1, math.MaxUint32-1)
	if got := s.Add(1, 5); got != math.MaxUint32 {
		t.Errorf("%d", got)
	}
	if got := s.Add(1, math.MaxUint32); got != math.MaxUint32 {
		t.Errorf("%d", got)
	}
}

func TestSketchAllocatesNothing(t *testing.T) {
	s := mustSketch(t, 0.01, 0.01)
	if n := testing.AllocsPerRun(100, func() { s.Add(7, 1); s.Estimate(8) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSketch(b *testing.B) {
	s := mustSketch(b, 0.0001, 0.02)
	stream, _ := zipfStream(1<<16, 1<<20)
	i := 0
	for b.Loop() {
		s.Add(stream[i&(1<<16-1)], 1)
		i++
	}
}
