package load

import (
	"math"
	"math/bits"
)

// Hist counts durations (or any numbers from 0 to histMax) in buckets that are at most 1/1024 of their value wide: below 2048
// exact, above in 1024 equal steps for each power of two, as HdrHistogram does. What Quantile answers is the middle of
// a bucket and thus off by 0.05 % at most. The zero value is ready.
type Hist struct {
	counts   []uint64
	n        uint64
	sum      float64
	min, max int64
}

const (
	histBits = 11                                  // values of so many bits are counted exactly
	histStep = 1 << (histBits - 1)                 // buckets for each further power of two
	histTop  = 40                                  // bits of histMax: 2^40 ns are 18 minutes
	histMax  = 1<<histTop - 1                      // what is larger is counted as this; Max tells the truth
	histSize = (histTop - histBits + 2) * histStep // buckets
)

// Record counts one value; a negative one counts as 0.
func (h *Hist) Record(v int64) {
	h.allocate()
	v = max(v, 0)
	h.counts[bucket(min(v, histMax))]++
	h.n++
	h.sum += float64(v)
	h.min, h.max = min(h.min, v), max(h.max, v)
}

// allocate makes the buckets, unless they are there.
func (h *Hist) allocate() {
	if h.counts == nil {
		h.counts = make([]uint64, histSize)
		h.min = math.MaxInt64
	}
}

// bucket returns the number of the bucket of v, which is 0 to histMax.
func bucket(v int64) int {
	shift := max(bits.Len64(uint64(v))-histBits, 0)
	return shift*histStep + int(v>>shift)
}

// middle returns the value in the middle of a bucket.
func middle(b int) int64 {
	shift := max(b/histStep-1, 0)
	low := int64(b-shift*histStep) << shift
	return low + (int64(1)<<shift-1)/2
}

// Count returns how many values were recorded.
func (h *Hist) Count() uint64 { return h.n }

// Max returns the largest value, exactly; 0 when there is none.
func (h *Hist) Max() int64 { return h.max }

// Mean returns the mean, exactly; 0 when there is no value.
func (h *Hist) Mean() float64 {
	if h.n == 0 {
		return 0
	}
	return h.sum / float64(h.n)
}

// Quantile returns the smallest value that at least the share q (0 to 1) of all values does not exceed; 0 when there is none.
func (h *Hist) Quantile(q float64) int64 {
	if h.n == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(h.n))), 1)
	if rank >= h.n {
		return h.max
	}
	var seen uint64
	for b, c := range h.counts {
		if seen += c; seen >= rank {
			return min(max(middle(b), h.min), h.max)
		}
	}
	return h.max
}

// Add adds what another histogram counted.
func (h *Hist) Add(o *Hist) {
	if o.n == 0 {
		return
	}
	h.allocate()
	for b, c := range o.counts {
		h.counts[b] += c
	}
	h.n, h.sum = h.n+o.n, h.sum+o.sum
	h.min, h.max = min(h.min, o.min), max(h.max, o.max)
}
