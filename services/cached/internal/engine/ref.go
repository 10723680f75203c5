package engine

// Ref is a key under its shard's lock, with the item found there, if any. The zero Ref is not usable; Lock makes one.
type Ref struct {
	s    *Store
	key  []byte
	hash uint64
	now  int64
	it   *item
}

// Lock locks key's shard and looks the key up; an item that has expired or was flushed is taken out and not found. The key
// has 1 to MaxKey bytes and must stay unchanged until Unlock. now is Unix seconds.
func (s *Store) Lock(key []byte, now int64) Ref {
	s.mu.Lock()
	if s.flush != 0 && now >= s.flush {
		s.clear()
	}
	it := s.items[string(key)]
	if it != nil && it.expires != Never && it.expires <= now {
		s.unlink(it)
		s.stats.Reclaimed++
		it = nil
	}
	return Ref{s: s, key: key, now: now, it: it}
}

// Unlock ends the use of r.
func (r *Ref) Unlock() { r.s.mu.Unlock() }

// Found reports whether the key has an item. The methods up to Pin are only for a Ref that has one.
func (r *Ref) Found() bool { return r.it != nil }

// Key returns the key given to Lock.
func (r *Ref) Key() []byte { return r.key }

// Len is the value's length in bytes.
func (r *Ref) Len() int { return len(r.it.data) }

// Flags are the client's flags.
func (r *Ref) Flags() uint32 { return r.it.flags }

// CAS is the item's unique number; 0 with Options.NoCAS.
func (r *Ref) CAS() uint64 {
	if r.s.o.NoCAS {
		return 0
	}
	return r.it.cas
}

// Expires is the Unix second at which the item dies, or Never.
func (r *Ref) Expires() int64 { return r.it.expires }

// LastAccess is the Unix second of the last Use, Touch or store.
func (r *Ref) LastAccess() int64 { return r.it.used }

// Fetched reports whether the item was used since it was stored.
func (r *Ref) Fetched() bool { return r.it.fetched }

// Stale reports whether the item was marked so by MarkStale.
func (r *Ref) Stale() bool { return r.it.stale }

// Won reports whether a client was given the item to rewrite, by MarkWon.
func (r *Ref) Won() bool { return r.it.won }

// Size is the item's size as memcached counts it.
func (r *Ref) Size() int { return ItemSize(len(r.key), len(r.it.data), r.it.flags, !r.s.o.NoCAS) }

// Class is the item's virtual slab class, 1 and up.
func (r *Ref) Class() int { return ClassOf(r.Size()) }

// AppendValue appends the whole value to dst.
func (r *Ref) AppendValue(dst []byte) []byte { return append(dst, r.it.data...) }

// Value is the value in place, for lengths up to Contiguous; valid until Unlock or the next change.
func (r *Ref) Value() []byte { return r.it.data }

// Pin keeps the value as it is now until Unpin, also after Unlock.
func (r *Ref) Pin() Pinned { return Pinned{data: r.it.data, n: len(r.it.data)} }

// Use notes a read of the item: for eviction, LastAccess and Fetched.
func (r *Ref) Use() { r.it.fetched, r.it.used = true, r.now }

// Touch sets the expiry and keeps the CAS. It counts as an access (LastAccess), not as a fetch.
func (r *Ref) Touch(expires int64) { r.it.expires, r.it.used = expires, r.now }

// SetCAS gives the item the number n; 0 the next of the store's counter.
func (r *Ref) SetCAS(n uint64) { r.it.cas = r.s.number(n) }

// MarkStale sets or clears the mark of an item that waits to be rewritten.
func (r *Ref) MarkStale(on bool) { r.it.stale = on }

// MarkWon sets or clears the mark that a client was told to rewrite the item.
func (r *Ref) MarkWon(on bool) { r.it.won = on }

// Count adds one to a counter of the store; the counters that memcached keeps by slab class are also kept for the
// item's class when the Ref has an item.
func (r *Ref) Count(c Counter) { r.s.stats.Counts[c]++ }

// Delete takes the item out.
func (r *Ref) Delete() {
	if r.it != nil {
		r.s.unlink(r.it)
		r.it = nil
	}
}

// Put stores data as the key's value, in place of the item that was there, and leaves r at the new one: a new CAS (v.CAS or the
// next), no marks, not fetched. data is copied. On an error nothing has changed: memcached's habit to drop the old value
// then is the caller's.
func (r *Ref) Put(v Value, data []byte) error {
	if err := r.s.fits(len(r.key), len(data), v.Flags); err != nil {
		return err
	}
	return r.link(v, append([]byte(nil), data...))
}

// Extend appends data to the item's value, or prepends it when front is set; flags and expiry stay, the CAS is v's or the next,
// marks stay.
func (r *Ref) Extend(data []byte, front bool, cas uint64) error {
	it := r.it
	if err := r.s.fits(len(r.key), len(it.data)+len(data), it.flags); err != nil {
		return err
	}
	var n []byte
	if front {
		n = append(append(n, data...), it.data...)
	} else {
		n = append(append(n, it.data...), data...)
	}
	r.s.bytes += int64(len(data))
	it.data, it.cas, it.used = n, r.s.number(cas), r.now
	return nil
}

// Overwrite replaces the value by data of the same length in place, for incr and decr: flags, expiry and marks stay, the
// CAS is cas or the next.
func (r *Ref) Overwrite(data []byte, cas uint64) {
	r.it.data = append([]byte(nil), data...)
	r.it.cas = r.s.number(cas)
}

// Commit makes p's data the key's value, as Put does. p must be full and was reserved for the same key; it is used up, whatever the result.
func (r *Ref) Commit(p *Pending, v Value) error {
	d := p.data
	p.Release()
	return r.link(v, d)
}

// ExtendBy appends or prepends what p holds, as Extend does; p is used up.
func (r *Ref) ExtendBy(p *Pending, front bool, cas uint64) error {
	d := p.data
	p.Release()
	return r.Extend(d, front, cas)
}

func (r *Ref) link(v Value, data []byte) error {
	if r.it != nil {
		r.s.unlink(r.it)
	}
	it := &item{key: string(r.key), data: data, flags: v.Flags, expires: v.Expires, used: r.now, cas: r.s.number(v.CAS)}
	r.s.items[it.key] = it
	r.s.bytes += int64(ItemSize(len(it.key), len(data), v.Flags, !r.s.o.NoCAS))
	r.s.stats.Total++
	r.it = it
	for r.s.bytes > r.s.o.Memory {
		for _, victim := range r.s.items {
			if victim != it {
				r.s.unlink(victim)
				r.s.stats.Evictions++
				break
			}
		}
	}
	return nil
}
