package engine

import (
	"math/bits"

	"github.com/everup/everup/services/cached/internal/prefetch"
)

// AheadKeys is how many keys an Ahead holds: enough that a shard has several of them, so few that all they touch stays in the
// processor's first cache.
const AheadKeys = 64

// Ahead is a list of keys that will be looked up soon. In a store larger than the processor's caches a look-up waits for memory several
// times; where the keys are known beforehand, Fetch lets it wait for all of them at once. This is a matter of speed alone: what a Ref
// finds is what is there when it locks its key. The zero value is an empty list; the Store that it is used with must be one and the same.
type Ahead struct {
	n    int
	hash [AheadKeys]uint64
}

// Clear empties the list.
func (a *Ahead) Clear() { a.n = 0 }

// Len is the number of keys in the list.
func (a *Ahead) Len() int { return a.n }

// Full reports whether the list holds AheadKeys keys.
func (a *Ahead) Full() bool { return a.n == AheadKeys }

// Add puts key at the end of the list, which must not be full.
func (a *Ahead) Add(s *Store, key []byte) {
	a.hash[a.n] = hashOf(key, s.space.seed)
	a.n++
}

// Lock is Store.Lock for the i-th key of the list, which must be key.
func (a *Ahead) Lock(s *Store, i int, key []byte, now int64) Ref { return s.lock(key, a.hash[i], now) }

// Fetch brings what the look-ups of the keys will touch into the processor's caches. It goes over the keys twice, first to the lines of the
// index, then to the items that these lead to; each shard that has some of the keys is locked once in each, one at a time.
func (a *Ahead) Fetch(s *Store) {
	order := a.byShard(s)
	var sh *shard
	for _, i := range order[:a.n] {
		sh = s.change(sh, a.hash[i])
		first, _ := positions(a.hash[i])
		sh.fetchLine(first)
	}
	late := 0
	for _, i := range order[:a.n] {
		sh = s.change(sh, a.hash[i])
		first, second := positions(a.hash[i])
		if !sh.fetchItem(first, tagOf(a.hash[i])) {
			sh.fetchLine(second)
			order[late] = i
			late++
		}
	}
	for _, i := range order[:late] {
		sh = s.change(sh, a.hash[i])
		_, second := positions(a.hash[i])
		sh.fetchItem(second, tagOf(a.hash[i]))
	}
	if sh != nil {
		sh.mu.Unlock()
	}
}

// byShard returns the indices of the keys, those of a shard one behind the other.
func (a *Ahead) byShard(s *Store) (order [AheadKeys]uint8) {
	var first [maxShards]uint8    // of each shard's keys, counted from 1
	var next [AheadKeys + 1]uint8 // of the same shard, 0 at the end
	for i := a.n; i > 0; i-- {
		n := s.shardNumber(a.hash[i-1])
		next[i], first[n] = first[n], uint8(i)
	}
	done := 0
	for _, hash := range a.hash[:a.n] {
		n := s.shardNumber(hash)
		for k := first[n]; k != 0; k = next[k] {
			order[done] = k - 1
			done++
		}
		first[n] = 0
	}
	return order
}

// change returns the shard of a key, locked, instead of from, which was locked unless it is nil.
func (s *Store) change(from *shard, hash uint64) *shard {
	to := s.shard(hash)
	if to == from {
		return to
	}
	if from != nil {
		from.mu.Unlock()
	}
	to.mu.Lock()
	return to
}

// fetchLine fetches the line of a position.
func (sh *shard) fetchLine(pos uint32) {
	if sh.index.cur.n != 0 {
		prefetch.Line(sh.at(pos))
	}
}

// fetchItem fetches the beginning of the item that the line of a position seems to have for a key, by its tag. It reports whether there is one.
func (sh *shard) fetchItem(pos uint32, tag uint8) bool {
	if sh.index.cur.n == 0 {
		return true
	}
	l := sh.at(pos)
	m, k := l.match(tag)
	i := bits.TrailingZeros64(m) >> 3
	if m == 0 {
		i = bits.TrailingZeros32(k)>>3 + 8
	}
	if i >= int(l.n) {
		return false
	}
	prefetch.Lines(sh.item(l.item[i]))
	return true
}
