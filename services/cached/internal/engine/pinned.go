package engine

import "bytes"

// Pinned is a value kept alive for sending. The zero Pinned is empty. One goroutine uses it, which may be another than the one that pinned.
type Pinned struct {
	sh   *shard // nil when the value was copied
	h    uint32
	left int
	from parts
}

// Pin keeps the value as it is now until Unpin, also after Unlock. A short value is copied.
func (r *Ref) Pin() Pinned {
	sh := r.sh
	if !r.item().has(isLong) {
		data := bytes.Clone(r.Value())
		return Pinned{left: len(data), from: parts{cur: data}}
	}
	sh.pin(r.h)
	return Pinned{sh: sh, h: r.h, left: sh.vlen(r.h), from: sh.parts(r.h)}
}

// pin adds a reader to the long item at h.
func (sh *shard) pin(h uint32) {
	l := sh.long(h)
	if l.pins++; l.pins == 1 {
		sh.page(h).pins++
	}
}

// Len is the number of bytes not yet taken by Advance.
func (p *Pinned) Len() int { return p.left }

// Next is the next piece to send, nil at the end.
func (p *Pinned) Next() []byte {
	if len(p.from.cur) == 0 {
		return nil
	}
	return p.from.cur
}

// Pieces appends up to max pieces, from the next on, to dst: for writev.
func (p *Pinned) Pieces(dst [][]byte, max int) [][]byte {
	for f := p.from; len(f.cur) > 0 && max > 0; max-- {
		dst = append(dst, f.cur)
		f.advance(len(f.cur))
	}
	return dst
}

// Advance moves on by n sent bytes.
func (p *Pinned) Advance(n int) {
	p.from.advance(n)
	p.left -= n
}

// Unpin lets the value go. Calling it on an empty Pinned does nothing. The caller holds no Ref.
func (p *Pinned) Unpin() {
	if sh := p.sh; sh != nil {
		sh.mu.Lock()
		sh.unpin(p.h)
		sh.mu.Unlock()
	}
	*p = Pinned{}
}

// unpin ends one reader's hold on the item at h, and the item when it is only kept for that one.
func (sh *shard) unpin(h uint32) {
	l := sh.long(h)
	if l.pins--; l.pins > 0 {
		return
	}
	sh.page(h).pins--
	if sh.item(h).has(loose) {
		sh.reserved -= int64(l.weight)
		sh.dropLong(h)
	}
}
