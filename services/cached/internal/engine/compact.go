package engine

// squeeze moves items together when the free chunks are too small for a request though much is free in all: a freeShare-th of the shard's
// memory. It reports whether it has compacted a page; then the request may find its chunk, or a page in the pool.
func (sh *shard) squeeze() bool {
	if sh.free < int64(sh.pages)*int64(sh.mask+1)/freeShare+int64(sh.mask+1)/2 {
		return false
	}
	pn := sh.emptiest(func(pg *page, _ uint32) bool { return uint32(pg.free-pg.tidied) > sh.mask/worthShare })
	if pn == 0 {
		return false
	}
	sh.compact(pn)
	return true
}

const (
	// freeShare is the part of a shard's memory that may be free in small chunks before items are moved instead of evicted.
	freeShare = 32
	// worthShare is the part of a page that must have been freed since it was last compacted.
	worthShare = 24
	// candidates bounds how many pages a choice looks at.
	candidates = 64
)

// emptiest is a page that suits, of those with most free; 0 if there is none among the first.
func (sh *shard) emptiest(suits func(pg *page, n uint32) bool) uint32 {
	look := candidates
	for level := numLevels - 1; level >= 0 && look > 0; level-- {
		for n := sh.levels[level]; n != 0 && look > 0; n = sh.pool.table[n].next {
			if look--; suits(&sh.pool.table[n], n) {
				return n
			}
		}
	}
	return 0
}

// bound reports whether a page holds a chunk that can neither be moved nor evicted.
func (sh *shard) bound(n uint32) (bound bool) {
	sh.walk(n, func(h, _ uint32) {
		item := h
		if sh.kind(h) == kindPiece {
			item = sh.piece(h).item
		}
		bound = bound || sh.fixed(h) || item == sh.held
	})
	return bound
}

// fixed reports whether a chunk must stay where it is: it is loose, or a reader holds it.
func (sh *shard) fixed(h uint32) bool {
	switch sh.kind(h) {
	case kindFree:
		return false
	case kindPiece:
		h = sh.piece(h).item
	}
	it := sh.item(h)
	return it.has(loose) || it.has(isLong) && sh.long(h).pins > 0
}

// vacate gives one of the shard's pages to the pool. With evict set, items are evicted in the policy's order until a page's worth is free; the page with
// most free is compacted, and what finds no other place is evicted too.
func (sh *shard) vacate(evict bool) bool {
	had := sh.pages
	for evict && sh.free < int64(sh.mask+1)*9/8 {
		h, units, ok := sh.evictOne()
		if !ok {
			break
		}
		if h != 0 {
			sh.drop(h, units)
		}
		if sh.pages < had {
			return true // the evicted one had a page to itself, which went to the pool as it left
		}
	}
	if sh.free <= int64(sh.mask) && !evict {
		return false
	}
	n := sh.emptiest(func(_ *page, n uint32) bool { return !sh.bound(n) })
	if n == 0 {
		return false
	}
	sh.watch = n
	sh.compact(n)
	for evict && sh.watch == n {
		sh.clearFirst(n)
	}
	gone := sh.watch == 0
	sh.watch = 0
	return gone
}

// clearFirst evicts the item whose chunk is the first of a page that is not free.
func (sh *shard) clearFirst(n uint32) {
	h := n << sh.pageBits
	if sh.kind(h) == kindFree {
		h += sh.chunk(h).size
	}
	if sh.kind(h) == kindPiece {
		h = sh.piece(h).item
	}
	sh.policy.Remove(h)
	sh.evicted(h)
	sh.unindex(sh.Hash(h), h)
	sh.discard(h)
}

// compact moves the chunks of a page to free chunks of other pages, and what finds none there to its front. A page that gets empty
// goes to the pool.
func (sh *shard) compact(n uint32) {
	pg := &sh.pool.table[n]
	base := n << sh.pageBits
	sh.walk(n, func(h, _ uint32) {
		if sh.kind(h) == kindFree {
			sh.unlist(h)
		}
	})
	sh.count(base, -int(pg.free))
	to := base // what lies below stays
	for h := base; h <= base+sh.mask; {
		units := sh.units(h)
		next := h + units
		switch {
		case sh.kind(h) == kindFree:
		case sh.fixed(h):
			sh.gap(to, h)
			to = next
		case sh.relocate(h, units):
		default:
			sh.slide(h, to, units)
			to += units
		}
		h = next
	}
	if to == base {
		sh.yield(n)
		return
	}
	sh.gap(to, base+sh.mask+1)
	pg.tidied = pg.free
}

// gap frees the units from h to end, if any; what lies before h is in use.
func (sh *shard) gap(h, end uint32) {
	if h < end {
		sh.list(h, end-h)
		sh.count(h, int(end-h))
	} else if !sh.last(end) {
		sh.setShape(end, sh.shape(end)&^before)
	}
}

// relocate moves the chunk at h to another page, if there is a free chunk for it.
func (sh *shard) relocate(h, units uint32) bool {
	need := units - sh.slack(h)
	to, slack := sh.find(need)
	if to == 0 {
		return false
	}
	sh.move(h, to, need)
	sh.setSlack(to, slack)
	sh.setShape(to, sh.shape(to)&^before)
	return true
}

// slide moves the chunk at h down to to, in the same page; both may overlap. What lies before to is in use.
func (sh *shard) slide(h, to, units uint32) {
	switch {
	case to == h:
	case to+units <= h || sh.kind(h) == kindPiece:
		sh.move(h, to, units)
	default: // the policy reads the old node while it writes the new one, so the node goes by way of a scratch place
		s := sh.store.scratch(sh)
		copy(sh.a.Bytes(s, 0, scratchSize), sh.a.Bytes(h, 0, int(min(units*sh.unit, scratchSize))))
		sh.policy.Move(h, s)
		sh.copyUnits(h, to, units)
		sh.policy.Move(s, to)
		sh.relink(h, to)
	}
	sh.setShape(to, sh.shape(to)&^before)
}

// move copies the chunk at h to to and tells everything that knows it.
func (sh *shard) move(h, to, units uint32) {
	sh.copyUnits(h, to, units)
	if sh.kind(to) == kindItem {
		sh.policy.Move(h, to)
	}
	sh.relink(h, to)
}

func (sh *shard) copyUnits(h, to, units uint32) {
	n := int(units * sh.unit)
	copy(sh.a.Bytes(to, 0, n), sh.a.Bytes(h, 0, n))
}

// relink makes the index and the pieces of a chunk that moved from h know its new place. Only the new one is read.
func (sh *shard) relink(h, to uint32) {
	if sh.kind(to) == kindPiece {
		p := sh.piece(to)
		if p.Next != 0 {
			sh.piece(p.Next).Prev = to
		}
		if p.Prev == p.item {
			sh.long(p.item).first = to
		} else {
			sh.piece(p.Prev).Next = to
		}
		return
	}
	sh.exchange(sh.Hash(to), h, to)
	sh.soon(to)
	if h == sh.held {
		sh.held = to
	}
	if !sh.item(to).has(isLong) {
		return
	}
	prev := h
	for p := sh.long(to).first; p != 0; p = sh.piece(p).Next {
		sh.piece(p).item = to
		if sh.piece(p).Prev == prev {
			sh.piece(p).Prev = to
		}
		prev = 0
	}
}
