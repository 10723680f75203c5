package engine

import (
	"sync"
	"sync/atomic"

	"github.com/everup/everup/services/cached/internal/evict"
)

// shard is a cache of its own for a part of the keys. mu guards all of it.
type shard struct {
	mu sync.Mutex
	heap
	store  *Store
	handed atomic.Uint32 // arriving items that were released, linked by their nodes' Next
	index  index
	policy *evict.Policy[space]
	now    int64 // of the last call, Unix seconds
	// held is the item of the Ref in use, 0 for none: it may move while memory is made, but is not evicted unless spare is set, and then
	// held becomes 0.
	held     uint32
	spare    bool
	resizing bool
	fetched  uint8 // see fetch
	left     int   // items that left the index since the last resize

	tapping  bool
	watching bool
	oneChunk int // bytes up to which an item is kept in one chunk
	tap      taps

	tablePages int   // pages of the index
	charged    int64 // what the pool was told of the policy's tables, bytes
	reserved   int64 // bytes of loose chunks
	bytes      int64 // sum of ItemSize
	counts     counts
	class      [maxClasses]classCounts

	_ [64]byte // no neighbour's lock in the same cache line
}

// evictOne evicts the policy's next victim. A victim of one chunk is not freed but returned with its units, since the next store often
// needs just that; otherwise h is 0.
func (sh *shard) evictOne() (h, units uint32, ok bool) {
	h = sh.policy.Victim()
	sh.charge()
	if h != 0 && h == sh.held {
		if !sh.spare {
			hash := sh.Hash(h)
			sh.policy.Admit(h, hash)
			if h = sh.policy.Victim(); h == sh.held && h != 0 {
				sh.policy.Admit(h, hash)
				return 0, 0, false
			}
		} else {
			sh.held = 0
		}
	}
	if h == 0 {
		return 0, 0, false
	}
	sh.evicted(h)
	sh.unindex(sh.Hash(h), h)
	if sh.item(h).has(isLong) {
		sh.discard(h)
		return 0, 0, true
	}
	return h, sh.units(h), true
}

// remove takes an item out of everything and frees it.
func (sh *shard) remove(h uint32) {
	sh.policy.Remove(h)
	sh.account(h, -1)
	sh.unindex(sh.Hash(h), h)
	sh.discard(h)
}

// discard frees the chunks of an item that is in no list any more; one that has readers becomes loose and is freed by the last of them.
func (sh *shard) discard(h uint32) {
	it := sh.item(h)
	if !it.has(isLong) {
		sh.drop(h, sh.units(h))
		return
	}
	if l := sh.long(h); l.pins > 0 {
		sh.setShape(h, it.shape()|loose)
		sh.reserved += int64(l.weight)
		return
	}
	sh.dropLong(h)
}

// dropLong frees a long item's chunks.
func (sh *shard) dropLong(h uint32) {
	for p := sh.long(h).first; p != 0; {
		next := sh.piece(p).Next
		sh.drop(p, sh.units(p))
		p = next
	}
	sh.drop(h, sh.units(h))
}

// expire takes an item out whose time has come.
func (sh *shard) expire(h uint32) {
	c := &sh.class[sh.classOf(h)]
	sh.counts.reclaimed++
	c.Expired++
	if !sh.item(h).is(fetched) {
		sh.counts.expiredUnfetched++
		c.ExpiredUnfetched++
	}
	sh.remove(h)
}

// size is an item's size as memcached counts it.
func (sh *shard) size(h uint32) int {
	it, cas := sh.item(h), !sh.store.o.NoCAS
	if !it.has(isLong | hasFlags) {
		return ItemSize(it.klen(), int(it.vlen), 0, cas)
	}
	return ItemSize(it.klen(), sh.vlen(h), sh.flags(h), cas)
}

func (sh *shard) classOf(h uint32) int { return ClassOf(sh.size(h)) }

// account adds an item to the sizes kept, or with sign -1 takes it away.
func (sh *shard) account(h uint32, sign int64) {
	size := sh.size(h)
	c := &sh.class[ClassOf(size)]
	sh.bytes += sign * int64(size)
	c.Items += sign
	c.Bytes += sign * int64(size)
}

// evicted counts an eviction and tells of it. The item is still readable.
func (sh *shard) evicted(h uint32) {
	it, size := sh.item(h), sh.size(h)
	c := &sh.class[ClassOf(size)]
	idle := max(sh.now-int64(it.used), 0)
	sh.counts.evictions++
	c.Evicted++
	c.EvictedTime = uint64(idle)
	if !it.is(fetched) {
		sh.counts.evictedUnfetched++
		c.EvictedUnfetched++
	}
	ttl := int64(-1)
	if e := sh.expires(h); e != Never {
		ttl = max(e-sh.now, 0)
		sh.counts.evictedNonZero++
		c.EvictedNonZero++
	}
	sh.account(h, -1)
	if sh.watching {
		sh.store.o.Evicted(Gone{Key: sh.key(h), Size: size, Class: ClassOf(size), Fetched: it.is(fetched), TTL: ttl, Idle: idle})
	}
}

// budget tells the policy how much its items may take together.
func (sh *shard) budget() {
	pages := int(sh.pool.fair.Load()) - sh.tablePages
	sh.policy.SetCapacity(uint64(max(pages, 1)) << sh.pool.shift)
}

// policyStep is how far the memory charged for the policy's tables is ahead of what they take, bytes: more than they grow in one call.
const policyStep = 32 << 10

// dues is what should be charged for the policy's tables.
func (sh *shard) dues() int64 { return (sh.policy.Bytes() + 2*policyStep - 1) &^ (policyStep - 1) }

// audited reports whether the memory of the policy's tables is charged as it is, and pages are within the limit.
func (sh *shard) audited() bool { return sh.dues() == sh.charged && !sh.pool.excess.Load() }

// charge accounts for the memory of the policy's tables when it has changed, before they can need more than was charged.
func (sh *shard) charge() {
	if want := sh.dues(); want != sh.charged {
		sh.pool.charge(want - sh.charged)
		sh.charged = want
	}
}

// audit charges for the policy's tables and gives up the pages that this takes, or other shards' where none of this one's can go.
func (sh *shard) audit() {
	sh.charge()
	for sh.pool.excess.Load() && (sh.vacate(!sh.store.o.NoEvict) || sh.store.borrow(sh)) {
	}
}

// walk calls f with each chunk of a page, in order; f may change chunks but not where the next begins.
func (p *heap) walk(n uint32, f func(h, units uint32)) {
	base := n << p.pageBits
	for h := base; h <= base+p.mask; {
		units := p.units(h)
		f(h, units)
		h += units
	}
}
