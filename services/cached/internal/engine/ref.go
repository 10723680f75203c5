package engine

import "github.com/everup/everup/services/cached/internal/arena"

// Ref is a key under its shard's lock, with the item found there, if any. The zero Ref is not usable; Lock makes one.
type Ref struct {
	sh   *shard
	key  []byte
	hash uint64
	now  int64
	h    uint32 // the item, 0 for none
	died bool   // an item was there, but its time had come
	gone bool   // the item is readable until Unlock but in no list any more
}

// Lock locks key's shard and looks the key up; an item that has expired or was flushed is taken out and not found. The key
// has 1 to MaxKey bytes and must stay unchanged until Unlock. now is Unix seconds.
func (s *Store) Lock(key []byte, now int64) Ref {
	return s.lock(key, hashOf(key, s.space.seed), now)
}

func (s *Store) lock(key []byte, hash uint64, now int64) Ref {
	if at := s.flushAt.Load(); at != 0 && now >= at {
		s.flushDue(at)
	}
	sh := s.shard(hash)
	sh.mu.Lock()
	sh.now = now
	r := Ref{sh: sh, key: key, hash: hash, now: now, h: sh.lookup(key, hash)}
	if r.h != 0 && sh.dead(r.h, now) {
		sh.expire(r.h)
		r.h, r.died = 0, true
	}
	return r
}

// Unlock ends the use of r.
func (r *Ref) Unlock() {
	if r.gone {
		r.dropGone()
	}
	r.sh.mu.Unlock()
	if r.sh.handed.Load() != 0 {
		r.sh.collect()
	}
}

// Found reports whether the key has an item. The methods up to Pin are only for a Ref that has one.
func (r *Ref) Found() bool { return r.h != 0 }

// Key returns the key given to Lock.
func (r *Ref) Key() []byte { return r.key }

// Len is the value's length in bytes.
func (r *Ref) Len() int { return r.sh.vlen(r.h) }

// Flags are the client's flags.
func (r *Ref) Flags() uint32 { return r.sh.flags(r.h) }

// CAS is the item's unique number; 0 with Options.NoCAS.
func (r *Ref) CAS() uint64 {
	if r.sh.store.o.NoCAS {
		return 0
	}
	return r.sh.cas(r.h)
}

// Expires is the Unix second at which the item dies, or Never.
func (r *Ref) Expires() int64 { return r.sh.expires(r.h) }

// LastAccess is the Unix second of the last Use, Touch or store.
func (r *Ref) LastAccess() int64 { return int64(r.item().used) }

// Fetched reports whether the item was used since it was stored.
func (r *Ref) Fetched() bool { return r.item().is(fetched) }

// Stale reports whether the item was marked so by MarkStale.
func (r *Ref) Stale() bool { return r.item().is(stale) }

// Won reports whether a client was given the item to rewrite, by MarkWon.
func (r *Ref) Won() bool { return r.item().is(won) }

// Coded reports whether the item was stored under a key given in base64: Value.Coded.
func (r *Ref) Coded() bool { return r.item().is(coded) }

// Size is the item's size as memcached counts it.
func (r *Ref) Size() int { return r.sh.size(r.h) }

// Class is the item's virtual slab class, 1 and up.
func (r *Ref) Class() int { return r.sh.classOf(r.h) }

func (r *Ref) item() *header { return arena.At[header](r.sh.a, r.h) }

// AppendValue appends the whole value to dst.
func (r *Ref) AppendValue(dst []byte) []byte {
	dst = append(dst, r.sh.headValue(r.h)...)
	if !r.item().has(isLong) {
		return dst
	}
	for p := r.sh.long(r.h).first; p != 0; p = r.sh.piece(p).Next {
		dst = append(dst, r.sh.pieceValue(p)...)
	}
	return dst
}

// Value is the value in place, for lengths up to Contiguous; valid until Unlock or the next change.
func (r *Ref) Value() []byte { return r.sh.headValue(r.h) }

// Use notes a read of the item: for eviction, LastAccess and Fetched.
func (r *Ref) Use() {
	// Most uses find both as they leave them; writing them all the same would make memory's caches carry each item back.
	it := r.item()
	if !it.is(fetched) {
		it.Spare[atMarks] |= fetched
	}
	if now := uint32(r.now); it.used != now {
		it.used = now
	}
	if !r.gone {
		r.sh.policy.Hit(r.h, r.hash)
		r.audit()
	}
	if r.sh.tapping {
		r.tap(ReadHit)
	}
}

// Touch sets the expiry and keeps the CAS. It counts as an access (LastAccess), not as a fetch.
func (r *Ref) Touch(expires int64) {
	r.item().used = uint32(r.now)
	if !r.item().has(hasTTL) && expires != Never && !r.reshape(hasTTL) {
		return
	}
	if r.item().has(hasTTL) {
		*r.sh.ttl(r.h) = seconds(expires)
		r.sh.soon(r.h)
	}
	if !r.gone {
		r.sh.policy.Hit(r.h, r.hash)
		r.audit()
	}
}

// seconds is an expiry as it is kept: a time before 1970 has passed as well as the first second after.
func seconds(expires int64) uint32 {
	if expires == Never {
		return 0
	}
	return uint32(min(max(expires, 1), int64(never32)-1))
}

// SetCAS gives the item the number n; 0 the next of the store's counter.
func (r *Ref) SetCAS(n uint64) {
	n = r.sh.store.number(n)
	if n>>48 != 0 && !r.item().has(hasWide) && !r.reshape(hasWide) {
		return
	}
	r.sh.setCAS(r.h, n)
}

// MarkStale sets or clears the mark of an item that waits to be rewritten.
func (r *Ref) MarkStale(on bool) { r.item().mark(stale, on) }

// MarkWon sets or clears the mark that a client was told to rewrite the item.
func (r *Ref) MarkWon(on bool) { r.item().mark(won, on) }

// Delete takes the item out.
func (r *Ref) Delete() {
	if r.h == 0 {
		return
	}
	if r.gone {
		r.dropGone()
		return
	}
	if r.sh.tapping {
		r.tap(Removal)
	}
	r.sh.remove(r.h)
	r.h = 0
	r.sh.resize()
}

// audit lets the shard account for its policy's tables; that may evict and move items, but not this one's.
func (r *Ref) audit() {
	if r.sh.audited() {
		return
	}
	r.sh.held = r.h
	r.sh.audit()
	r.h, r.sh.held = r.sh.held, 0
}
