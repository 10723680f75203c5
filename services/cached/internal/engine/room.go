package engine

// room returns a chunk of n units for use, shape loose, and the units beyond n that stay its slack. Memory is made as the need arises, in
// this order: a free chunk; a page of the pool; moving items together when much is free in pieces too small; a page of the richest shard
// while this one has less than its share; evicting, one item after the other. It fails when nothing can be evicted. It may move and
// evict any item that is not loose; held is treated as stated there.
func (sh *shard) room(n uint32) (h uint32, slack uint8, ok bool) {
	if h, slack = sh.find(n); h != 0 {
		return h, slack, true
	}
	for {
		if sh.grow() || sh.squeeze() || sh.obtain() {
			if h, slack = sh.find(n); h != 0 {
				return h, slack, true
			}
			continue
		}
		v, units, ok := sh.makeRoom()
		if !ok {
			return 0, 0, false
		}
		if v == 0 {
			continue
		}
		if units >= n && units-n < sh.least {
			sh.setShape(v, sh.shape(v)&before|kindItem|loose)
			return v, uint8(units - n), true
		}
		sh.drop(v, units)
		if h, slack = sh.find(n); h != 0 {
			return h, slack, true
		}
	}
}

// makeRoom evicts an item, or gets a page from another shard when there is none to evict.
func (sh *shard) makeRoom() (h, units uint32, ok bool) {
	if !sh.store.o.NoEvict {
		if h, units, ok = sh.evictOne(); ok {
			return h, units, true
		}
	}
	return 0, 0, sh.store.borrow(sh)
}

// part returns a chunk of want units for use, or a smaller one of at least least units, its size and its slack.
func (sh *shard) part(want, least uint32) (h, units uint32, slack uint8, ok bool) {
	want = min(want, sh.mask+1)
	least = min(least, want)
	if want > sh.mask/2 {
		sh.grow() // a page of the pool serves a long piece best
	}
	if h, slack = sh.find(want); h != 0 {
		return h, want, slack, true
	}
	if h, units = sh.largest(); h != 0 && units >= least {
		units = min(units, want)
		return h, units, sh.cut(h, units), true
	}
	h, slack, ok = sh.room(least)
	return h, least, slack, ok
}

// obtain gets a page from a richer shard while this one has clearly less than its share.
func (sh *shard) obtain() bool {
	fair := int(sh.pool.fair.Load())
	return sh.pages+sh.tablePages < fair-max(fair/8, 2) && sh.store.borrow(sh)
}
