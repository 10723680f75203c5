package engine

// taps say which accesses of a shard go to Options.Tap.
type taps struct {
	below uint64 // hashes below it
	every uint32 // and every so manieth access; 0 for none
	left  uint32
}

// Sample says which accesses go to Options.Tap: those of keys whose hash is below a threshold (ByHash; 0 none), and every n-th of each
// shard (ByCount; 0 none). At first there are none.
func (s *Store) Sample(below uint64, every uint32) {
	on := s.o.Tap != nil && (below != 0 || every != 0)
	for _, sh := range s.shards {
		sh.mu.Lock()
		sh.tapping, sh.tap = on, taps{below: below, every: every, left: every}
		sh.mu.Unlock()
	}
}

func (r *Ref) tap(kind Kind) {
	t := &r.sh.tap
	if r.hash < t.below {
		weight := 0
		if r.h != 0 {
			weight = int(r.sh.Weight(r.h))
		}
		r.sh.store.o.Tap.ByHash(r.hash, kind, weight)
	}
	if t.every == 0 {
		return
	}
	if t.left--; t.left == 0 {
		t.left = t.every
		r.sh.store.o.Tap.ByCount(r.hash, r.key, kind)
	}
}

// Watch says whether Options.Evicted is called.
func (s *Store) Watch(on bool) {
	for _, sh := range s.shards {
		sh.mu.Lock()
		sh.watching = on && s.o.Evicted != nil
		sh.mu.Unlock()
	}
}
