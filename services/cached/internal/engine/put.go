package engine

import "github.com/everup/everup/services/cached/internal/arena"

// blank describes an item to be made.
type blank struct {
	key     []byte
	vlen    int
	flags   uint32
	expires int64
	cas     uint64
	marks   uint8
}

// marks are those of a new item.
func (v *Value) marks() uint8 {
	if v.Coded {
		return coded
	}
	return 0
}

// wide reports whether a number needs more than 48 bits.
func wide(cas uint64) bool { return cas>>48 != 0 }

// shapeOf is the shape of an item in one chunk. A store that does not evict gives each item an expiry and a wide CAS, so that Touch and SetCAS
// need no memory.
func (sh *shard) shapeOf(b *blank) uint8 {
	shape := uint8(kindItem | loose)
	if b.flags != 0 {
		shape |= hasFlags
	}
	if b.expires != Never || sh.store.o.NoEvict {
		shape |= hasTTL
	}
	if wide(b.cas) || sh.store.o.NoEvict {
		shape |= hasWide
	}
	return shape
}

// shapeFull is the shape of an item about which not all is known: the optional fields are all there.
const shapeFull = kindItem | loose | hasFlags | hasTTL | hasWide

// fill writes an item's header, optional fields and key into the chunk at h.
func (sh *shard) fill(h uint32, shape uint8, b *blank, vlen int, slack uint8) {
	it := sh.item(h)
	it.Spare[atKey] = uint8(len(b.key))
	it.Spare[atShape] = it.Spare[atShape]&before | shape
	it.Spare[atMarks] = b.marks&^slackMask | slack<<slackShift
	it.vlen = uint16(vlen)
	it.used = uint32(sh.now)
	sh.fillFields(h, b)
	copy(sh.key(h), b.key)
}

// fillFields writes the fields that need not be known when the memory is taken.
func (sh *shard) fillFields(h uint32, b *blank) {
	it := sh.item(h)
	if it.has(hasFlags) {
		*arena.Field[uint32](sh.a, h, sh.optional(it)) = b.flags
	}
	if it.has(hasTTL) {
		*sh.ttl(h) = seconds(b.expires)
	}
	sh.setCAS(h, b.cas)
}

// Put stores data as the key's value, in place of the item that was there, and leaves r at the new one: a new CAS (v.CAS or the
// next), no marks, not fetched. data is copied. On an error nothing has changed, except that a failed attempt to make room
// may have evicted the old value; memcached's habit to drop the old value then is the caller's.
func (r *Ref) Put(v Value, data []byte) error {
	sh := r.sh
	if err := sh.store.fits(len(r.key), len(data), v.Flags); err != nil {
		return err
	}
	b := blank{key: r.key, vlen: len(data), flags: v.Flags, expires: v.Expires, cas: sh.store.number(v.CAS), marks: v.marks()}
	shape := sh.shapeOf(&b)
	n := int(keyAt[shape>>3&15]) + len(b.key) + len(data)
	if n <= sh.oneChunk && r.overwrite(shape, &b, data, n) {
		return nil
	}
	sh.held, sh.spare = r.h, true
	h, ok := sh.create(shape, &b, n)
	r.h, sh.held, sh.spare = sh.held, 0, false
	if !ok {
		return ErrNoMemory
	}
	sh.write(h, data)
	r.link(h)
	return nil
}

// overwrite stores into the chunk of the item that is there, if the new one takes the same.
func (r *Ref) overwrite(shape uint8, b *blank, data []byte, n int) bool {
	sh := r.sh
	if r.h == 0 || r.gone || sh.item(r.h).has(isLong) {
		return false
	}
	units, need := sh.units(r.h), sh.fit(n)
	if units < need || units-need >= sh.least {
		return false
	}
	sh.account(r.h, -1)
	weight := sh.Weight(r.h)
	sh.fill(r.h, shape&^loose, b, len(data), uint8(units-need))
	copy(sh.headValue(r.h), data)
	sh.account(r.h, 1)
	sh.soon(r.h)
	sh.counts.total++
	if weight != sh.Weight(r.h) {
		sh.policy.Reweigh(r.h, weight)
	}
	sh.policy.Replace(r.h, r.h)
	if sh.tapping {
		r.tap(Write)
	}
	return true
}

// create takes memory for an item and writes all of it but the value. n is the size in bytes in one chunk. The item is loose. On failure
// nothing is taken.
func (sh *shard) create(shape uint8, b *blank, n int) (h uint32, ok bool) {
	if !sh.ready() {
		sh.counts.outOfMemory++
		return 0, false
	}
	if n > sh.oneChunk {
		return sh.createLong(b)
	}
	h, slack, ok := sh.room(sh.fit(n))
	if !ok {
		sh.counts.outOfMemory++
		return 0, false
	}
	sh.fill(h, shape, b, b.vlen, slack)
	return h, true
}

// createLong takes the chunks of a long item. It has all optional fields, so that its head never needs to grow.
func (sh *shard) createLong(b *blank) (uint32, bool) {
	const shape = shapeFull | isLong
	head := int(keyAt[shape>>3&15]) + len(b.key)
	want := min(head+b.vlen, sh.oneChunk)
	h, units, slack, ok := sh.part(sh.fit(want), sh.fit(min(head+sh.leastPart(b.vlen), want)))
	if !ok {
		sh.counts.outOfMemory++
		return 0, false
	}
	n := min(b.vlen, int(units*sh.unit)-head)
	sh.fill(h, shape, b, n, slack)
	l := sh.long(h)
	*l = long{total: uint32(b.vlen), weight: sh.net(h)}
	prev := h
	for left := b.vlen - n; left > 0; {
		p, ok := sh.createPiece(h, prev, left, sh.leastPart(b.vlen))
		if !ok {
			sh.dropLong(h)
			sh.counts.outOfMemory++
			return 0, false
		}
		left -= int(sh.piece(p).vlen)
		prev = p
	}
	return h, true
}

// leastPart is the least part of a value of n bytes that is worth a chunk of its own.
func (sh *shard) leastPart(n int) int {
	return max(min(n/256, int(sh.mask+1)*int(sh.unit)/8), leastPiece)
}

// createPiece takes a piece for up to left bytes of the value of the item at h, behind prev.
func (sh *shard) createPiece(h, prev uint32, left, least int) (uint32, bool) {
	q, units, slack, ok := sh.part(sh.fit(pieceSize+left), sh.fit(pieceSize+min(left, least)))
	if !ok {
		return 0, false
	}
	p := sh.piece(q)
	p.Next, p.Prev, p.item = 0, prev, h
	p.vlen = uint32(min(left, int(units*sh.unit)-pieceSize))
	p.Spare = [3]uint8{0, p.Spare[atShape]&before | kindPiece, slack << slackShift}
	if prev == h {
		sh.long(h).first = q
	} else {
		sh.piece(prev).Next = q
	}
	sh.long(h).weight += sh.net(q)
	return q, true
}

// write copies data into the value of the item at h from its start; both have the same length.
func (sh *shard) write(h uint32, data []byte) {
	if !sh.item(h).has(isLong) {
		copy(sh.headValue(h), data)
		return
	}
	w := sh.parts(h)
	w.write(data)
}

// link makes the loose item at h the key's, in place of the one that is there. It uses it up.
func (r *Ref) link(h uint32) {
	sh := r.sh
	sh.soon(h)
	sh.counts.total++
	if r.h != 0 && !r.gone {
		sh.swap(r.hash, r.h, h)
	} else {
		r.dropGone()
		sh.enindex(r.hash, h)
		sh.setShape(h, sh.shape(h)&^loose)
		sh.policy.Admit(h, r.hash)
	}
	sh.account(h, 1)
	r.h = h
	r.audit()
	if sh.tapping {
		r.tap(Write)
	}
}

// swap puts the loose item at h in the place of old and frees that.
func (sh *shard) swap(hash uint64, old, h uint32) {
	sh.account(old, -1)
	sh.exchange(hash, old, h)
	sh.setShape(h, sh.shape(h)&^loose)
	sh.policy.Replace(old, h)
	sh.discard(old)
}
