package limit

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	var w Window
	f := func(now time.Duration, n, want uint64) {
		t.Helper()
		if got := w.Add(time.Minute, int64(now), n); got != want {
			t.Errorf("at %v: %d, want %d", now, got, want)
		}
	}
	f(0, 60, 60)
	f(59*time.Second, 0, 60)
	f(60*time.Second, 0, 60)
	f(75*time.Second, 0, 45)
	f(90*time.Second, 10, 40)
	f(80*time.Second, 0, 50) // the clock went back within the interval
	f(30*time.Second, 0, 70) // and before it
	f(119*time.Second, 0, 11)
	f(3*time.Minute, 0, 0) // a whole interval has been empty
	f(3*time.Minute, math.MaxUint64, math.MaxUint64)
	f(4*time.Minute, 5, math.MaxUint64)
	f(1000*time.Hour, 1, 1)
}

func TestWindowUndo(t *testing.T) {
	var w Window
	w.Add(time.Minute, 0, 10)
	w.Add(time.Minute, int64(60*time.Second), 5)
	f := func(at, now time.Duration, n, want uint64) {
		t.Helper()
		w.Undo(time.Minute, int64(at), int64(now), n)
		if got := w.Count(time.Minute, int64(now)); got != want {
			t.Errorf("%d of %v taken back at %v: %d, want %d", n, at, now, got, want)
		}
	}
	f(60*time.Second, 60*time.Second, 2, 13)
	f(59*time.Second, 60*time.Second, 4, 9)
	f(0, 60*time.Second, 0, 9)
	f(70*time.Second, 90*time.Second, 100, 3) // not below none
	f(20*time.Second, 3*time.Minute, 1, 0)    // long forgotten
	w.Add(time.Minute, int64(3*time.Minute), 7)
	f(20*time.Second, 3*time.Minute, 1, 7)
}

// The estimate lies between the count of the current interval and that with the last, as the exact count does, and on
// an even stream it is the exact count within a few per cent.
func TestWindowAgainstExact(t *testing.T) {
	const length = time.Second
	rnd := rand.New(rand.NewPCG(9, 10))
	var w Window
	var times []int64
	sumErr, samples := 0.0, 0
	for now := int64(0); now < int64(30*length); now += rnd.Int64N(int64(4 * time.Millisecond)) {
		times = append(times, now)
		got := w.Add(length, now, 1)
		exact, cur, both := uint64(0), uint64(0), uint64(0)
		start := now - now%int64(length)
		for _, at := range times {
			if at > now-int64(length) {
				exact++
			}
			if at >= start {
				cur++
			}
			if at >= start-int64(length) {
				both++
			}
		}
		if got < cur || got > both || exact < cur || exact > both {
			t.Fatalf("at %d: %d, exact %d, within %d and %d", now, got, exact, cur, both)
		}
		if now > 2*int64(length) {
			sumErr += math.Abs(float64(got)-float64(exact)) / float64(exact)
			samples++
		}
	}
	if mean := sumErr / float64(samples); mean > 0.05 {
		t.Errorf("the mean error is %.3f", mean)
	}
}

func FuzzWindow(f *testing.F) {
	f.Add(int64(60), int64(0), uint64(1), int64(100), uint64(2))
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), uint64(math.MaxUint64), int64(0), uint64(1))
	f.Add(int64(1), int64(5), uint64(3), int64(math.MinInt64), uint64(1))
	f.Fuzz(func(t *testing.T, length, t1 int64, n1 uint64, t2 int64, n2 uint64) {
		if length <= 0 {
			return
		}
		var w Window
		if got := w.Add(time.Duration(length), t1, n1); got != n1 {
			t.Fatalf("%d, want %d", got, n1)
		}
		got := w.Add(time.Duration(length), t2, n2)
		if got < n2 || got > addCapped64(n1, n2) {
			t.Fatalf("%d of %d and %d", got, n1, n2)
		}
		if again := w.Count(time.Duration(length), t2); again != got {
			t.Fatalf("%d, then %d", got, again)
		}
	})
}

func BenchmarkWindow(b *testing.B) {
	var w Window
	now := int64(0)
	for b.Loop() {
		now += 1e6
		w.Add(time.Second, now, 1)
	}
}
