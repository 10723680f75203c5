package engine

import (
	"math/bits"
	"unsafe"
)

// counts are a shard's.
type counts struct {
	counter                            [NumCounters]uint64
	total, evictions, evictedUnfetched uint64
	evictedNonZero                     uint64
	reclaimed, expiredUnfetched        uint64
	checked, outOfMemory, crowded      uint64
}

// classCounts are those of a virtual slab class in a shard.
type classCounts struct{ ClassStats }

// Count adds one to a counter of the store; the counters that memcached keeps by slab class are also kept for the
// item's class when the Ref has an item. GetMisses also tells the policy of the miss, and counts GetExpired when an item was there whose time had come.
func (r *Ref) Count(c Counter) {
	sh := r.sh
	sh.counts.counter[c]++
	if c == GetMisses {
		r.missed()
		return
	}
	if r.h != 0 && byClass>>c&1 != 0 {
		if n := sh.class[sh.classOf(r.h)].counter(c); n != nil {
			*n++
		}
	}
}

// byClass has a bit for each Counter that classCounts.counter knows.
const byClass = 1<<GetHits | 1<<CmdSet | 1<<DeleteHits | 1<<IncrHits | 1<<DecrHits | 1<<CasHits | 1<<CasBadval | 1<<TouchHits | 1<<StoreNoMemory

func (r *Ref) missed() {
	if r.died {
		r.sh.counts.counter[GetExpired]++
	}
	r.sh.policy.Miss(r.hash)
	r.audit()
	if r.sh.tapping {
		r.tap(ReadMiss)
	}
}

// counter is the class's own count for c, nil if there is none.
func (c *classCounts) counter(n Counter) *uint64 {
	switch n {
	case GetHits:
		return &c.GetHits
	case CmdSet:
		return &c.CmdSet
	case DeleteHits:
		return &c.DeleteHits
	case IncrHits:
		return &c.IncrHits
	case DecrHits:
		return &c.DecrHits
	case CasHits:
		return &c.CasHits
	case CasBadval:
		return &c.CasBadval
	case TouchHits:
		return &c.TouchHits
	case StoreNoMemory:
		return &c.OOM
	}
	return nil
}

// Stats returns sizes and counts. It locks one shard at a time, for less than a microsecond.
func (s *Store) Stats() Stats {
	st := Stats{Limit: s.Limit(), Used: s.pool.used(), Shards: len(s.shards)}
	var lines int64
	for _, sh := range s.shards {
		sh.mu.Lock()
		st.Items += int64(sh.index.items)
		st.Bytes += sh.bytes
		st.HashBytes += int64(sh.tablePages) << sh.pool.shift
		st.Reserved += sh.reserved
		st.Free += sh.free * int64(sh.unit)
		lines += int64(sh.index.cur.n)
		st.add(&sh.counts)
		sh.mu.Unlock()
	}
	st.HashPower = int64(bits.Len64(uint64(max(lines*lineSlots-1, 0))))
	return st
}

func (st *Stats) add(c *counts) {
	for i, n := range c.counter {
		st.Counts[i] += n
	}
	st.Total += c.total
	st.Evictions += c.evictions
	st.DirectReclaims += c.evictions
	st.EvictedUnfetched += c.evictedUnfetched
	st.EvictedNonZero += c.evictedNonZero
	st.Reclaimed += c.reclaimed
	st.ExpiredUnfetched += c.expiredUnfetched
	st.SweeperChecked += c.checked
	st.OutOf += c.outOfMemory
	st.Crowded += c.crowded
}

// ResetStats sets the counts to zero, as memcached's `stats reset`. Sizes stay.
func (s *Store) ResetStats() {
	for _, sh := range s.shards {
		sh.mu.Lock()
		sh.counts = counts{}
		for i := range sh.class {
			c := &sh.class[i]
			*c = classCounts{ClassStats{Items: c.Items, Bytes: c.Bytes}}
		}
		sh.mu.Unlock()
	}
}

// ByClass returns the statistics of each virtual slab class that has any; the index is the class. OldestAge is that of the least lately
// used item in a sample of each shard.
func (s *Store) ByClass() []ClassStats {
	all := make([]ClassStats, len(chunkSizes)+1)
	for _, sh := range s.shards {
		sh.mu.Lock()
		for i := range all {
			all[i].add(&sh.class[i].ClassStats)
		}
		sh.sampleAges(all)
		sh.mu.Unlock()
	}
	for i, size := range chunkSizes {
		all[i+1].ChunkSize = size
	}
	return all
}

func (c *ClassStats) add(o *ClassStats) {
	c.Items += o.Items
	c.Bytes += o.Bytes
	c.GetHits += o.GetHits
	c.CmdSet += o.CmdSet
	c.DeleteHits += o.DeleteHits
	c.IncrHits += o.IncrHits
	c.DecrHits += o.DecrHits
	c.CasHits += o.CasHits
	c.CasBadval += o.CasBadval
	c.TouchHits += o.TouchHits
	c.Evicted += o.Evicted
	c.EvictedNonZero += o.EvictedNonZero
	c.EvictedUnfetched += o.EvictedUnfetched
	c.EvictedTime = max(c.EvictedTime, o.EvictedTime)
	c.Expired += o.Expired
	c.ExpiredUnfetched += o.ExpiredUnfetched
	c.OOM += o.OOM
}

// ageSample is the number of lines of the index that are looked at for the oldest items, spread over it.
const ageSample = 16

func (sh *shard) sampleAges(all []ClassStats) {
	if sh.index.cur.n == 0 {
		return
	}
	for i := range uint32(ageSample) {
		l := sh.at(i << (32 - 4))
		for _, h := range l.item[:l.n] {
			c := &all[sh.classOf(h)]
			c.OldestAge = max(c.OldestAge, sh.now-int64(sh.item(h).used))
		}
	}
}

// shardSize is what a shard's own tables take, bytes.
const shardSize = int64(unsafe.Sizeof(shard{}))
