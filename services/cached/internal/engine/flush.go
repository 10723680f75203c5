package engine

// FlushAll drops every item at the Unix second at, which may have come: then all that was stored before the call is gone when
// it returns, and a store after it stays. A later call replaces one whose time has not come. It takes time by the page, not by the item.
func (s *Store) FlushAll(at, now int64) {
	if at > now {
		s.flushAt.Store(at)
		return
	}
	s.flushAt.Store(0)
	s.flush()
}

// flushDue carries out the flush that was due at the given time, unless another call has done so.
func (s *Store) flushDue(at int64) {
	if s.flushAt.CompareAndSwap(at, 0) {
		s.flush()
	}
}

func (s *Store) flush() {
	for _, sh := range s.shards {
		sh.mu.Lock()
		sh.flush()
		sh.mu.Unlock()
	}
}

// flush drops all items of the shard. What readers hold and what is arriving stays until they are done.
func (sh *shard) flush() {
	keep := sh.detach()
	var gone []uint32
	for level := range sh.levels {
		for n := sh.levels[level]; n != 0; {
			next := sh.pool.table[n].next
			if !keep[n] {
				gone = append(gone, n)
			}
			n = next
		}
	}
	for _, t := range []table{sh.index.cur, sh.index.next} {
		for _, n := range t.dir {
			if n != 0 {
				gone = append(gone, n)
			}
		}
	}
	sh.reset()
	for n := range keep {
		sh.rebuild(n)
	}
	for _, n := range gone {
		sh.pool.table[n] = page{}
	}
	sh.owns.Store(int32(sh.pages))
	sh.pool.give(true, gone...)
	sh.audit()
}

// detach makes the items that have readers loose, and returns the pages where chunks of loose items lie.
func (sh *shard) detach() map[uint32]bool {
	keep := map[uint32]bool{}
	for _, first := range sh.levels {
		for n := first; n != 0; n = sh.pool.table[n].next {
			if sh.pool.table[n].pins == 0 {
				continue
			}
			sh.walk(n, func(h, _ uint32) {
				if sh.kind(h) == kindItem && sh.fixed(h) {
					sh.detachItem(h, keep)
				}
			})
		}
	}
	return keep
}

func (sh *shard) detachItem(h uint32, keep map[uint32]bool) {
	it := sh.item(h)
	if !it.has(loose) {
		sh.setShape(h, it.shape()|loose)
		sh.reserved += int64(sh.Weight(h))
	}
	keep[h>>sh.pageBits] = true
	if it.has(isLong) {
		for p := sh.long(h).first; p != 0; p = sh.piece(p).Next {
			keep[p>>sh.pageBits] = true
		}
	}
}

// reset makes the shard empty, without a page.
func (sh *shard) reset() {
	sh.index = index{}
	sh.tablePages, sh.pages, sh.left = 0, 0, 0
	sh.bins, sh.filled, sh.levels, sh.top, sh.free = [numBins]uint32{}, [len(sh.filled)]uint64{}, [numLevels]uint32{}, 0, 0
	sh.bytes = 0
	for i := range sh.class {
		sh.class[i].Items, sh.class[i].Bytes = 0, 0
	}
	sh.policy.Reset()
	sh.budget()
}

// rebuild frees everything on a page but loose items, and takes the page into the lists again.
func (sh *shard) rebuild(n uint32) {
	pg := &sh.pool.table[n]
	base := n << sh.pageBits
	pins := pg.pins
	*pg = page{kind: pageItems, owner: sh.owner, soonest: never32, pins: pins}
	sh.pages++
	sh.enter(n, 0)
	to := base
	for h := base; h <= base+sh.mask; {
		next := h + sh.units(h)
		if sh.fixed(h) {
			sh.gap(to, h)
			to = next
		}
		h = next
	}
	sh.gap(to, base+sh.mask+1)
}
