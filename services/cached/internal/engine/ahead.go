package engine

import (
	"math/bits"

	"github.com/everup/everup/services/cached/internal/arena"
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
	sum  uint64 // of what Fetch read, which the compiler would else leave out
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

// chain links the keys of an Ahead that belong to the same shard: an index counted from 1 for each, 0 at the end.
type chain [AheadKeys + 1]uint8

// Fetch brings what the look-ups of the keys will touch into the processor's caches. Each shard that has some of the keys is locked once, one at a time.
func (a *Ahead) Fetch(s *Store) {
	var first [maxShards]uint8
	var next chain
	for i := a.n; i > 0; i-- {
		n := shardBits(a.hash[i-1]) >> s.shift
		next[i], first[n] = first[n], uint8(i)
	}
	for i := range a.n {
		n := shardBits(a.hash[i]) >> s.shift
		if first[n] == 0 {
			continue
		}
		sh := s.shards[n]
		sh.mu.Lock()
		a.sum += sh.fetchAhead(a, first[n], &next)
		sh.mu.Unlock()
		first[n] = 0
	}
}

// fetchAhead reads the lines of the index for some keys, the second ones only for those that are not in the first, then the items that these lead
// to. Within each of its loops no read needs another's outcome, so the processor does a dozen at a time.
func (sh *shard) fetchAhead(a *Ahead, first uint8, next *chain) (sum uint64) {
	if sh.index.cur.n == 0 {
		return 0
	}
	var lines [AheadKeys]*line
	var items [AheadKeys]uint32
	var tags [AheadKeys]uint8 // of keys that are not in their first line
	n, found := 0, 0
	for k := first; k != 0; k = next[k] {
		pos, _ := positions(a.hash[k-1])
		lines[n] = sh.at(pos)
		sum += lines[n].tags8
		n++
	}
	n, missed := 0, 0
	for k := first; k != 0; k = next[k] {
		l, hash := lines[n], a.hash[k-1]
		n++
		if i := l.candidate(tagOf(hash)); i < int(l.n) {
			items[found] = l.item[i]
			found++
			continue
		}
		_, pos := positions(hash)
		lines[missed] = sh.at(pos)
		sum += lines[missed].tags8
		tags[missed] = tagOf(hash)
		missed++
	}
	for n, l := range lines[:missed] {
		if i := l.candidate(tags[n]); i < int(l.n) {
			items[found] = l.item[i]
			found++
		}
	}
	for _, h := range items[:found] {
		sum += uint64(sh.item(h).vlen)
	}
	for _, h := range items[:found] {
		sum += sh.sip(h)
	}
	return sum
}

// candidate is the first slot whose tag is t, and beyond the line's end if there is none.
func (l *line) candidate(t uint8) int {
	m, k := l.match(t)
	i := bits.TrailingZeros64(m) >> 3
	if m == 0 {
		i = bits.TrailingZeros32(k)>>3 + 8
	}
	return i
}

// aheadBytes is how much of an item Fetch reads; of a longer one the processor foresees the rest.
const aheadBytes = 256

// sip reads a byte of each cache line of the item at h.
func (sh *shard) sip(h uint32) (sum uint64) {
	it := sh.item(h)
	end := min(it.keyAt()+it.klen()+int(it.vlen), aheadBytes)
	for i := lineSize; i < end; i += lineSize {
		sum += uint64(*arena.Field[byte](sh.a, h, i))
	}
	return sum + uint64(*arena.Field[byte](sh.a, h, end-1))
}
