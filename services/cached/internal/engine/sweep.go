package engine

import "sync"

// sweeper is where the sweep of expired items goes on.
type sweeper struct {
	mu    sync.Mutex
	shard int
}

// Sweep takes back the memory of expired items, looking at no more than about max items, and reports how many it looked at and freed. It walks only
// pages where something has expired. The owner calls it periodically, from one goroutine.
func (s *Store) Sweep(now int64, max int) (looked, freed int) {
	if at := s.flushAt.Load(); at != 0 && now >= at {
		s.flushDue(at)
	}
	s.sweep.mu.Lock()
	defer s.sweep.mu.Unlock()
	for range s.shards {
		if looked >= max {
			break
		}
		sh := s.shards[s.sweep.shard]
		l, f, done := sh.sweep(now, max-looked)
		looked, freed = looked+l, freed+f
		if done {
			s.sweep.shard = (s.sweep.shard + 1) % len(s.shards)
		}
	}
	return looked, freed
}

// sweep takes expired items out of the pages that are due, until it has looked at max items; done when no page is due any more.
func (sh *shard) sweep(now int64, max int) (looked, freed int, done bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.now = now
	for looked < max {
		n := sh.overdue(now)
		if n == 0 {
			done = true
			break
		}
		l, f := sh.sweepPage(n, now)
		looked, freed = looked+l, freed+f
	}
	sh.counts.checked += uint64(looked)
	if freed > 0 {
		sh.resize()
	}
	return looked, freed, done
}

// overdue is a page on which an item has expired, 0 if there is none.
func (sh *shard) overdue(now int64) uint32 {
	for _, first := range sh.levels {
		for n := first; n != 0; n = sh.pool.table[n].next {
			if int64(sh.pool.table[n].soonest) <= now {
				return n
			}
		}
	}
	return 0
}

// sweepPage takes expired items out of a page, 64 at a time, since freeing joins chunks.
func (sh *shard) sweepPage(n uint32, now int64) (looked, freed int) {
	var due [64]uint32
	k := 0
	soonest := never32
	sh.walk(n, func(h, _ uint32) {
		it := sh.item(h)
		if sh.kind(h) != kindItem || it.has(loose) {
			return
		}
		looked++
		if !it.has(hasTTL) {
			return
		}
		switch e := *sh.ttl(h); {
		case e == 0:
		case int64(e) > now:
			soonest = min(soonest, e)
		case k < len(due):
			due[k] = h
			k++
		default:
			soonest = min(soonest, e)
		}
	})
	sh.pool.table[n].soonest = soonest
	for _, h := range due[:k] {
		sh.expire(h)
	}
	return looked, k
}
