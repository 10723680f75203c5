// Package sim replays traces against eviction policies and counts hits: the project's adaptive policy, and plain reference implementations of
// the policies it is measured by. It is support for tests; no daemon imports it.
//
// Keys of a trace are dense (0 … Unique-1), so that every reference keeps its items in arrays indexed by key. All policies here honour sizes; with
// sizes of one a capacity is a number of items. A read that misses is followed by a write of the key, as clients of a cache do.
package sim

// Trace is a sequence of reads.
type Trace struct {
	Name   string
	Keys   []uint32 // each below Unique
	Unique int
	Sizes  []uint32 // of each key; nil: all 1
}

// Size of a key.
func (t *Trace) Size(key uint32) uint32 {
	if t.Sizes == nil {
		return 1
	}
	return t.Sizes[key]
}

// Footprint is the sum of the sizes of all keys.
func (t *Trace) Footprint() uint64 {
	if t.Sizes == nil {
		return uint64(t.Unique)
	}
	var sum uint64
	for _, s := range t.Sizes {
		sum += uint64(s)
	}
	return sum
}

// Cache is a policy with the cache it governs.
type Cache interface {
	// Access reads key, stores it if it was not there, and says whether it was.
	Access(key uint32) bool
}

// Maker makes an empty cache of the given capacity for the keys of t.
type Maker func(t *Trace, capacity uint64) Cache

// Run returns the hit ratio in percent.
func Run(t *Trace, capacity uint64, mk Maker) float64 {
	c := mk(t, capacity)
	hits := 0
	for _, k := range t.Keys {
		if c.Access(k) {
			hits++
		}
	}
	return 100 * float64(hits) / float64(max(1, len(t.Keys)))
}

// Hash mixes a key's number into 64 bits (splitmix64's finaliser).
func Hash(key uint32) uint64 {
	x := uint64(key) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
