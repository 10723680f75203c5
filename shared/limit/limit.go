// Package limit decides who has had enough and finds who takes most, within bounded memory: token buckets for one and
// for many keys, a sliding count, a count-min sketch, the heaviest keys of a stream, and a gate that bounds what runs
// at once and what waits.
//
// Everything here is pure: time is an argument, nothing locks and nothing starts a goroutine. The caller guards a value
// by its own lock or gives each loop its own. A time is a count of nanoseconds from any fixed point, from 0 to 2^62 (146
// years), best of a monotonic clock. What is outside counts as the nearer end. A clock that goes back never lets more
// through.
//
// Keys are 64-bit hashes. Where an adversary chooses the keys, the caller hashes them with a secret seed (hash/maphash),
// lest some be made to collide.
package limit

import "math"

// maxTime is the end of time. It leaves room to add the depth of any Rate.
const maxTime = 1 << 62

// clamp returns the time, or the nearer end of those that are allowed.
func clamp(now int64) int64 { return max(0, min(now, maxTime)) }

// mix spreads a hash that may be weak in some bits over all 64 (the finalizer of Steele's SplitMix64).
func mix(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}

// addCapped is a+b, or the greatest uint32 if that is too much.
func addCapped(a, b uint32) uint32 {
	if s := a + b; s >= a {
		return s
	}
	return math.MaxUint32
}

// addCapped64 is a+b, or the greatest uint64 if that is too much.
func addCapped64(a, b uint64) uint64 {
	if s := a + b; s >= a {
		return s
	}
	return math.MaxUint64
}

// ceilPow2 returns the least power of two that is not below n, for n from 1 to 2^62.
func ceilPow2(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}
