package engine

// Extend appends data to the item's value, or prepends it when front is set; flags and expiry stay, the CAS is cas or the next,
// marks stay.
func (r *Ref) Extend(data []byte, front bool, cas uint64) error {
	h, at, err := r.longer(len(data), front, cas)
	if err != nil {
		return err
	}
	at.write(data)
	r.link(h)
	return nil
}

// longer makes a loose copy of the item with n bytes more, and returns the place in its value where those belong.
func (r *Ref) longer(n int, front bool, cas uint64) (h uint32, at parts, err error) {
	sh := r.sh
	old := sh.vlen(r.h)
	b := blank{
		key: r.key, vlen: old + n, flags: sh.flags(r.h), expires: sh.expires(r.h), cas: sh.store.number(cas),
		marks: r.item().Spare[atMarks] & (fetched | stale | won),
	}
	if err := sh.store.fits(len(b.key), b.vlen, b.flags); err != nil {
		return 0, parts{}, err
	}
	shape := sh.shapeOf(&b)
	sh.held = r.h
	if r.gone {
		sh.held = 0
	}
	h, ok := sh.create(shape, &b, int(keyAt[shape>>3&15])+len(b.key)+b.vlen)
	if !r.gone {
		r.h, sh.held = sh.held, 0
	}
	if !ok {
		return 0, parts{}, ErrNoMemory
	}
	at = sh.parts(h)
	w := at
	if front {
		w.advance(n)
	} else {
		at.advance(old)
	}
	w.copyFrom(sh.parts(r.h))
	return h, at, nil
}

// Overwrite replaces the value by data of the same length in place, for incr and decr: flags, expiry and marks stay, the
// CAS is cas or the next.
func (r *Ref) Overwrite(data []byte, cas uint64) {
	sh := r.sh
	if it := r.item(); it.has(isLong) && sh.long(r.h).pins > 0 {
		r.rewrite(data, cas)
		return
	}
	sh.write(r.h, data)
	r.item().used = uint32(r.now)
	r.SetCAS(cas)
	if !r.gone {
		sh.policy.Replace(r.h, r.h)
	}
	if sh.tapping {
		r.tap(Write)
	}
}

// rewrite gives the item a new value of the same length because readers hold the old one. Without memory for two the item is evicted.
func (r *Ref) rewrite(data []byte, cas uint64) {
	h, _, err := r.longer(0, false, cas)
	if err != nil {
		r.orphan()
		return
	}
	r.sh.write(h, data)
	r.link(h)
}

// reshape gives the item the optional field that bit stands for. When there is no memory even for that, the item is evicted: it can be read until
// Unlock, and reshape fails.
func (r *Ref) reshape(bit uint8) bool {
	if r.gone {
		return false
	}
	sh := r.sh
	it := r.item() // of one chunk: a long one has all fields
	b := blank{key: r.key, vlen: int(it.vlen), flags: sh.flags(r.h), expires: sh.expires(r.h), cas: sh.cas(r.h), marks: it.Spare[atMarks]}
	shape := it.shape()&^before | bit | loose
	sh.held = r.h
	h, slack, ok := sh.room(sh.fit(int(keyAt[shape>>3&15]) + len(b.key) + b.vlen))
	r.h, sh.held = sh.held, 0
	if !ok {
		r.orphan()
		return false
	}
	used := r.item().used
	sh.fill(h, shape, &b, b.vlen, slack)
	sh.item(h).used = used
	copy(sh.headValue(h), sh.headValue(r.h))
	sh.soon(h)
	sh.swap(r.hash, r.h, h)
	sh.account(h, 1)
	r.h = h
	return true
}

// orphan evicts the item under r and keeps its memory until Unlock: a long item as one of its readers.
func (r *Ref) orphan() {
	if r.gone {
		return
	}
	sh := r.sh
	sh.policy.Remove(r.h)
	sh.evicted(r.h)
	sh.unindex(r.hash, r.h)
	r.gone = true
	if !r.item().has(isLong) {
		sh.setShape(r.h, sh.shape(r.h)|loose)
		return
	}
	sh.pin(r.h)
	sh.discard(r.h)
}

// dropGone frees the item that was evicted under r, if one was.
func (r *Ref) dropGone() {
	if !r.gone {
		return
	}
	if r.item().has(isLong) {
		r.sh.unpin(r.h)
	} else {
		r.sh.drop(r.h, r.sh.units(r.h))
	}
	r.h, r.gone = 0, false
}

// parts goes through a value from its start.
type parts struct {
	space space
	cur   []byte // what is left of the current part
	next  uint32 // piece
}

func (s space) parts(h uint32) parts {
	p := parts{space: s, cur: s.headValue(h)}
	if s.item(h).has(isLong) {
		p.next = s.long(h).first
	}
	p.settle()
	return p
}

// settle goes to the next part when the current one is used up.
func (p *parts) settle() {
	for len(p.cur) == 0 && p.next != 0 {
		p.cur, p.next = p.space.pieceValue(p.next), p.space.piece(p.next).Next
	}
}

// advance moves on by n bytes.
func (p *parts) advance(n int) {
	for n > 0 && len(p.cur) > 0 {
		k := min(n, len(p.cur))
		p.cur = p.cur[k:]
		n -= k
		p.settle()
	}
}

// write copies data to where p is and moves on.
func (p *parts) write(data []byte) {
	for len(data) > 0 && len(p.cur) > 0 {
		n := copy(p.cur, data)
		data = data[n:]
		p.advance(n)
	}
}

// copyFrom copies what from has left to where p is.
func (p *parts) copyFrom(from parts) {
	for len(from.cur) > 0 {
		n := len(from.cur)
		p.write(from.cur)
		from.advance(n)
	}
}
