package engine

// A cursor says how far a scan has come: a shard, whether it looks at items in their first or in their second line, and a
// position of the hash. Lines keep the order of positions, so that a resize of the index changes nothing for a scan.
//
//	bits 0 to 32   position, up to 1<<32
//	bit 33         second lines
//	bits 34 to 42  shard
const (
	scanSecond = 1 << 33
	scanShard  = 34
)

// Scan calls f for items from cursor on, about max of them, each under its shard's lock, and returns the cursor to go on with, 0 at the
// end; begin with 0. An item that is there during the whole scan is seen at least once; growth may show one twice. Expired items are not
// shown. f must not call the store. One call looks at no more than about 8·max items and 64 empty lines.
func (s *Store) Scan(cursor uint64, max int, now int64, f func(r *Ref)) (next uint64) {
	i := cursor >> scanShard
	if i >= uint64(len(s.shards)) {
		return 0
	}
	sh := s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.now = now
	pos, second := cursor&(scanSecond-1), cursor&scanSecond != 0
	seen := 0
	for look := 8*max + 64*lineSlots; seen < max && look > 0; {
		if pos >= 1<<32 || sh.index.cur.n == 0 {
			if second || sh.index.cur.n == 0 {
				if i++; i == uint64(len(s.shards)) {
					return 0
				}
				return i << scanShard
			}
			pos, second = 0, true
		}
		n, end := sh.scanLine(uint32(pos), second, now, f)
		seen += n
		look -= lineSlots
		pos = end
	}
	next = i<<scanShard | pos
	if second {
		next |= scanSecond
	}
	return next
}

// scanLine shows the items of the line at a position, and returns how many they were and the position behind the line.
func (sh *shard) scanLine(pos uint32, second bool, now int64, f func(r *Ref)) (n int, end uint64) {
	x := &sh.index
	i := scale(pos, x.cur.n)
	end = behind(i, x.cur.n)
	if i < x.front {
		end = min(behind(scale(pos, x.next.n), x.next.n), behind(x.front-1, x.cur.n))
	}
	l := sh.at(pos)
	for _, h := range l.item[:l.n] {
		hash := sh.Hash(h)
		p, q := positions(hash)
		inFirst := sh.at(p) == l
		if inFirst == second || second && q < pos || !second && p < pos || sh.dead(h, now) {
			continue
		}
		n++
		f(&Ref{sh: sh, key: sh.key(h), hash: hash, now: now, h: h})
	}
	return n, end
}
