package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The error of a quantile against the same samples sorted: 0.05 % of the value.
func TestQuantiles(t *testing.T) {
	f := func(name string, draw func(*rand.Rand) float64) {
		t.Helper()
		rng := rand.New(rand.NewPCG(7, 7))
		var h Hist
		all := make([]int64, 200_000)
		sum := 0.0
		for i := range all {
			all[i] = int64(draw(rng))
			sum += float64(all[i])
			h.Record(all[i])
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1} {
			want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
			if got := h.Quantile(q); math.Abs(float64(got-want)) > float64(want)/2000+0.5 {
				t.Errorf("%s: quantile %v = %d, want %d", name, q, got, want)
			}
		}
		if h.Count() != uint64(len(all)) || h.Max() != all[len(all)-1] || math.Abs(h.Mean()-sum/float64(len(all))) > 1e-6*sum {
			t.Errorf("%s: count %d max %d mean %v", name, h.Count(), h.Max(), h.Mean())
		}
	}
	f("constant", func(*rand.Rand) float64 { return 123_456_789 })
	f("uniform", func(r *rand.Rand) float64 { return r.Float64() * 5_000_000 })
	f("small", func(r *rand.Rand) float64 { return float64(r.IntN(2048)) })
	f("exponential", func(r *rand.Rand) float64 { return r.ExpFloat64() * 100_000 })
	f("heavy tail", func(r *rand.Rand) float64 { return 1000 * math.Pow(r.Float64(), -1.1) })
}

// The percentiles of an exponential distribution are known without sorting: −mean·ln(1−q).
func TestQuantilesOfExponential(t *testing.T) {
	var h Hist
	rng := rand.New(rand.NewPCG(1, 2))
	const mean = 100_000
	for range 2_000_000 {
		h.Record(int64(rng.ExpFloat64() * mean))
	}
	for _, q := range []float64{0.5, 0.99, 0.999} {
		want := -mean * math.Log(1-q)
		if got := float64(h.Quantile(q)); math.Abs(got-want) > 0.02*want {
			t.Errorf("quantile %v = %v, want %v", q, got, want)
		}
	}
}

func TestBuckets(t *testing.T) {
	last := -1
	for _, v := range []int64{0, 1, 2047, 2048, 2049, 2050, 4095, 4096, 4099, 4100, 1 << 20, 1<<30 + 12345, histMax} {
		b := bucket(v)
		if b < last || b >= histSize {
			t.Errorf("bucket(%d) = %d after %d", v, b, last)
		}
		last = b
		if m := middle(b); math.Abs(float64(m-v)) > float64(v)/2000 {
			t.Errorf("middle of the bucket of %d is %d", v, m)
		}
	}
	if bucket(histMax) != histSize-1 {
		t.Errorf("the last bucket is %d, not %d", histSize-1, bucket(histMax))
	}
}

func TestHistAdd(t *testing.T) {
	var a, b, both Hist
	for i := range int64(3000) {
		both.Record(i * i)
		if i%2 == 0 {
			a.Record(i * i)
		} else {
			b.Record(i * i)
		}
	}
	a.Add(&b)
	a.Add(&Hist{})
	for _, q := range []float64{0, 0.3, 0.99, 1} {
		if a.Quantile(q) != both.Quantile(q) {
			t.Errorf("quantile %v: %d, want %d", q, a.Quantile(q), both.Quantile(q))
		}
	}
	if a.Count() != 3000 || a.Mean() != both.Mean() || new(Hist).Quantile(0.5) != 0 {
		t.Errorf("count %d, mean %v and %v", a.Count(), a.Mean(), both.Mean())
	}
}
