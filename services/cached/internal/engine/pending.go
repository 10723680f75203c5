package engine

// Pending is memory for a value that is still arriving; it belongs to no key yet. The zero Pending is empty. It must end in
// Commit, ExtendBy or Release. One goroutine uses it.
type Pending struct {
	sh   *shard
	h    uint32
	left int
	to   parts
}

// reserveTurn is how many times Reserve asks other shards for a page before it gives up.
const reserveTurn = 1 << 16

// Reserve takes memory for a value of n bytes for key into p, which must be empty. It fails with ErrTooLarge or ErrNoMemory.
func (s *Store) Reserve(p *Pending, key []byte, n int, flags uint32, now int64) error {
	if err := s.fits(len(key), n, flags); err != nil {
		return err
	}
	sh := s.shard(hashOf(key, s.space.seed))
	b := blank{key: key, vlen: n, flags: flags}
	for range reserveTurn {
		if sh.reserve(p, &b, now) {
			return nil
		}
		if !s.lend(sh) {
			break
		}
	}
	return ErrNoMemory
}

// reserve takes memory for an item that arrives. The parts are found under the lock: a head shares a byte with what its neighbour's owner writes.
func (sh *shard) reserve(p *Pending, b *blank, now int64) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.now = now
	b.marks = arriving
	h, ok := sh.create(shapeFull, b, int(keyAt[shapeFull>>3&15])+len(b.key)+b.vlen)
	if ok {
		sh.page(h).pins++
		sh.reserved += int64(sh.Weight(h))
		*p = Pending{sh: sh, h: h, left: b.vlen, to: sh.parts(h)}
	}
	return ok
}

// Buf is the next part to fill, in one piece and not empty until the value is complete; Advance says how much of it was filled.
func (p *Pending) Buf() []byte { return p.to.cur }

// Advance moves on by n filled bytes.
func (p *Pending) Advance(n int) {
	p.to.advance(n)
	p.left -= n
}

// Left is the number of bytes still to come.
func (p *Pending) Left() int { return p.left }

// Held reports whether p holds memory.
func (p *Pending) Held() bool { return p.sh != nil }

// Release gives the memory back, if there is any; also while a Ref of the key is in use, then when that is unlocked.
func (p *Pending) Release() {
	if sh := p.sh; sh != nil {
		sh.hand(p.h)
		sh.collect()
	}
	*p = Pending{}
}

// hand puts an arriving item on the list of those to be freed. It needs no lock: the list goes through the items' nodes, which
// nobody uses while they are loose, and is only taken as a whole.
func (sh *shard) hand(h uint32) {
	n := sh.Node(h)
	for {
		first := sh.handed.Load()
		n.Next = first
		if sh.handed.CompareAndSwap(first, h) {
			return
		}
	}
}

// collect frees what was handed in, if the lock is free; whoever holds it for a Ref calls collect after unlocking.
func (sh *shard) collect() {
	for sh.handed.Load() != 0 && sh.mu.TryLock() {
		for h := sh.handed.Swap(0); h != 0; {
			next := sh.Node(h).Next
			sh.arrived(h)
			sh.discard(h)
			h = next
		}
		sh.mu.Unlock()
	}
}

// arrived makes an arriving item an ordinary loose one.
func (sh *shard) arrived(h uint32) {
	sh.page(h).pins--
	sh.reserved -= int64(sh.Weight(h))
	sh.item(h).mark(arriving, false)
}

// belongs panics when p is not a complete value for r's key: memory of another shard would be changed without its lock.
func (r *Ref) belongs(p *Pending) {
	if p.sh != r.sh || p.left != 0 || string(p.sh.key(p.h)) != string(r.key) {
		panic("engine: the Pending is not complete, or was reserved for another key")
	}
}

// Commit makes p's data the key's value, as Put does. p must be full and was reserved for the same key; it is used up, whatever the result.
func (r *Ref) Commit(p *Pending, v Value) error {
	r.belongs(p)
	sh, h := r.sh, p.h
	*p = Pending{}
	sh.arrived(h)
	b := blank{key: r.key, flags: v.Flags, expires: v.Expires, cas: sh.store.number(v.CAS)}
	sh.fillFields(h, &b)
	sh.item(h).mark(coded, v.Coded)
	sh.item(h).used = uint32(sh.now)
	if !sh.ready() {
		sh.discard(h)
		return ErrNoMemory
	}
	r.link(h)
	return nil
}

// ExtendBy appends or prepends what p holds, as Extend does; p is used up.
func (r *Ref) ExtendBy(p *Pending, front bool, cas uint64) error {
	r.belongs(p)
	h, at, err := r.longer(r.sh.vlen(p.h), front, cas)
	if err == nil {
		at.copyFrom(r.sh.parts(p.h))
	}
	r.sh.arrived(p.h)
	r.sh.discard(p.h)
	*p = Pending{}
	if err != nil {
		return err
	}
	r.link(h)
	return nil
}
