package engine

import "fmt"

// pagesLeast is the number of pages of a shard below which no limit makes sense.
const pagesLeast = 4

// SetLimit changes the bound of memory; a lower one evicts before it returns. It fails when the address space reserved at
// the start does not reach so far, or when the bound is below what the tables need.
func (s *Store) SetLimit(bytes int64) error {
	p := s.pool
	p.mu.Lock()
	least := p.overhead + int64(len(s.shards)*pagesLeast)*(p.bytes()+pageEntry)
	if bytes < least || bytes > int64(s.space.a.Size()) {
		p.mu.Unlock()
		return fmt.Errorf("engine: memory limit of %d bytes is not within %d and %d", bytes, least, s.space.a.Size())
	}
	lower := bytes < p.memory
	p.memory = bytes
	over := p.adjust()
	p.mu.Unlock()
	s.limit.Store(bytes)
	if lower {
		s.space.a.Sparse()
	}
	for over > 0 && s.shrink() {
		over = p.over()
	}
	for _, sh := range s.shards {
		sh.mu.Lock()
		sh.budget()
		sh.mu.Unlock()
	}
	return nil
}

// shrink takes a page from the richest shard that can give one.
func (s *Store) shrink() bool {
	var tried [maxShards]bool
	for range s.shards {
		sh := s.richest(nil, &tried)
		sh.mu.Lock()
		ok := sh.vacate(true)
		sh.mu.Unlock()
		if ok {
			return true
		}
		tried[sh.owner] = true
	}
	return false
}

// richest is the shard with most pages, other than not and those tried; nil if there is none.
func (s *Store) richest(not *shard, tried *[maxShards]bool) *shard {
	var best *shard
	for _, sh := range s.shards {
		if sh != not && !tried[sh.owner] && (best == nil || sh.owns.Load() > best.owns.Load()) {
			best = sh
		}
	}
	return best
}

// borrow makes the richest other shard give a page to the pool. The caller holds to's lock, so it only tries the others': whoever cannot get a
// second lock at once goes on without, and nobody waits for a lock while holding one.
func (s *Store) borrow(to *shard) bool {
	var tried [maxShards]bool
	for range len(s.shards) - 1 {
		sh := s.richest(to, &tried)
		if sh.owns.Load() <= pagesLeast {
			return false
		}
		if sh.mu.TryLock() {
			ok := sh.vacate(!s.o.NoEvict)
			sh.mu.Unlock()
			if ok {
				return true
			}
		}
		tried[sh.owner] = true
	}
	return false
}

// lend makes the richest shard other than to give a page to the pool. The caller holds no lock.
func (s *Store) lend(to *shard) bool {
	var tried [maxShards]bool
	for range len(s.shards) - 1 {
		sh := s.richest(to, &tried)
		if sh.owns.Load() <= pagesLeast {
			return false
		}
		sh.mu.Lock()
		ok := sh.vacate(!s.o.NoEvict)
		sh.mu.Unlock()
		if ok {
			return true
		}
		tried[sh.owner] = true
	}
	return false
}
