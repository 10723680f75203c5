package session

import (
	"math/bits"
	"time"
)

// histBucket is the bucket of ns nanoseconds.
func histBucket(ns uint64) int {
	if ns < 1<<histShift {
		return 0
	}
	octave := bits.Len64(ns) - 1
	quarter := int(ns>>(octave-2)) & 3
	return min((octave-histShift)*4+quarter+1, HistBuckets-1)
}

// HistBound is the upper bound of bucket i, exclusive; of the last there is none, and the largest Duration stands for it.
func HistBound(i int) time.Duration {
	if i >= HistBuckets-1 {
		return 1<<63 - 1
	}
	octave, quarter := i/4+histShift, i%4
	return time.Duration(uint64(4+quarter) << (octave - 2))
}

// Bucket is the count of bucket i.
func (h *Hist) Bucket(i int) uint64 { return h.bucket[i].Load() }

// Sum is the sum of the durations counted.
func (h *Hist) Sum() time.Duration { return time.Duration(h.sum.Load()) }
