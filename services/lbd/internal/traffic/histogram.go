package traffic

import (
	"math/bits"
	"time"
)

// Buckets: 0 is below 16 µs, then four for each doubling, the last is from 2^maxPower µs on.
const (
	minPower = 4
	maxPower = 26
	buckets  = (maxPower-minPower)*4 + 2
)

// bucketOf returns the bucket of a duration.
func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0)) / uint64(time.Microsecond)
	n := bits.Len64(us) // us is from 2^(n-1) on
	switch {
	case n <= minPower:
		return 0
	case n > maxPower:
		return buckets - 1
	}
	return 1 + (n-1-minPower)*4 + int(us>>(n-3)&3)
}

// upper returns the end of a bucket, which is not in it; of the last its beginning.
func upper(i int) time.Duration {
	if i == 0 {
		return 1 << minPower * time.Microsecond
	}
	i = min(i, buckets-2) - 1
	return time.Duration(5+i%4) << (minPower + i/4) / 4 * time.Microsecond
}

// Bounds are the bounds of exported histograms in seconds: powers of two of a microsecond, 64 µs to 17 s. Buckets do not cross
// them.
func Bounds() (out []float64) {
	for p := boundsFrom; p <= boundsTo; p++ {
		out = append(out, (time.Microsecond << p).Seconds())
	}
	return out
}

const (
	boundsFrom = 6
	boundsTo   = 24
)

// fold adds up buckets between Bounds.
func fold(from *[buckets]uint64, counts []uint64) {
	for i, n := range from {
		at := len(counts) - 1
		if i < buckets-1 {
			at = min(max((i+3)/4+minPower-boundsFrom, 0), at)
		}
		counts[at] += n
	}
}

// quantile returns a bound that a share q of the observations is below; 0 if there are none.
func quantile(from *[buckets]uint64, q float64) time.Duration {
	var all uint64
	for _, n := range from {
		all += n
	}
	if all == 0 {
		return 0
	}
	rank := uint64(q*float64(all-1)) + 1
	for i, n := range from {
		if n >= rank {
			return upper(i)
		}
		rank -= n
	}
	return upper(buckets - 1)
}
