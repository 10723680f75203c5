package engine

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/everup/everup/services/cached/internal/arena"
	"github.com/zeebo/xxh3"
)

// restore makes a store of the pages in a and the tables. It checks every checksum, and every handle, length and page number before it follows it.
func restore(o Options, l layout, a *arena.Arena, b *superblock, t *tables) (*Store, error) {
	if err := checkPages(t, b, l); err != nil {
		return nil, err
	}
	memory := o.Memory
	o.Memory = max(memory, int64(a.Size())) // until all is there; then the limit is set and may evict
	s, err := newStore(o, l, a)
	if err != nil {
		return nil, err
	}
	s.o.Memory = memory
	s.lastCAS.Store(b.lastCAS)
	s.flushAt.Store(b.flushAt)
	s.pool.adoptImage(t)
	s.populate(t)
	if err := parallel(len(s.shards), func(i int) error { return s.shards[i].restore(t, &t.shards[i]) }); err != nil {
		return nil, err
	}
	if err := s.SetLimit(memory); err != nil {
		return nil, err
	}
	return s, nil
}

// populate maps the pages of an image, runs of neighbours by one call.
func (s *Store) populate(t *tables) {
	const run = 1024
	_ = parallel((len(t.pages)+run-1)/run, func(i int) error {
		begin, end := i*run, min((i+1)*run, len(t.pages))
		for begin < end {
			n := begin
			for n < end && t.pages[n].kind != pageFree {
				n++
			}
			if n > begin {
				s.space.a.Populate(uint64(begin)<<s.pool.shift, uint64(n-begin)<<s.pool.shift)
			}
			begin = n + 1
		}
		return nil
	})
}

// parallel calls f with 0 to n-1, as many at a time as there are processors, and returns the first error.
func parallel(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	var next atomic.Int64
	var first atomic.Pointer[error]
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && first.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := first.Load(); err != nil {
		return *err
	}
	return nil
}

// checkPages checks that each page has one use, and that each index has the pages it needs.
func checkPages(t *tables, b *superblock, l layout) error {
	used := make([]bool, len(t.pages))
	lines := uint64(1) << (l.pageShift - lineLog)
	for owner, s := range t.shards {
		for _, dir := range [][]uint32{s.cur, s.next} {
			for _, n := range dir {
				if n == 0 {
					continue
				}
				if used[n] || t.pages[n].kind != pageIndex || int(t.pages[n].owner) != owner {
					return errors.New("tables: a page of an index is not the index's")
				}
				used[n] = true
			}
		}
		if err := s.check(lines); err != nil {
			return err
		}
	}
	for n, p := range t.pages {
		if p.kind > pageIndex || p.kind == pageIndex && !used[n] || uint32(p.owner) >= b.shards || n == 0 && p.kind != pageFree {
			return fmt.Errorf("tables: page %d is nobody's", n)
		}
	}
	return nil
}

// check checks that every line that a position can lead to lies on a page.
func (s *shardImage) check(lines uint64) error {
	curN, nextN, front := uint64(s.curN), uint64(s.nextN), uint64(s.front)
	bad := errors.New("tables: an index lacks pages")
	if curN%lines != 0 || nextN%lines != 0 || curN/lines != uint64(len(s.cur)) || nextN/lines < uint64(len(s.next)) ||
		front > 0 && front >= curN || front > 0 && nextN == 0 || curN == 0 && s.items != 0 {
		return bad
	}
	for i, n := range s.cur {
		if (n == 0) != (uint64(i+1)*lines <= front) {
			return bad
		}
	}
	for _, n := range s.next {
		if n == 0 {
			return bad
		}
	}
	if front > 0 && (front*nextN-1)/curN >= uint64(len(s.next))*lines {
		return bad
	}
	return nil
}

// adoptImage makes the pool own the pages of an image.
func (p *pool) adoptImage(t *tables) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.high = uint32(len(t.pages))
	for n := len(t.pages) - 1; n > 0; n-- {
		if t.pages[n].kind == pageFree {
			p.cold = append(p.cold, uint32(n))
		} else {
			p.held++
		}
	}
	p.adjust()
}

// restore makes the shard that an image describes.
func (sh *shard) restore(t *tables, im *shardImage) error {
	sh.index = index{cur: table{im.curN, im.cur}, next: table{im.nextN, im.next}, front: im.front, items: int(im.items)}
	var c census
	for i := range t.pages {
		n := uint32(i)
		if t.pages[i].kind == pageFree || t.pages[i].owner != sh.owner {
			continue
		}
		if xxh3.Hash(sh.a.Bytes(n<<sh.pageBits, 0, int(sh.pool.bytes()))) != t.pages[i].sum {
			return fmt.Errorf("page %d damaged", n)
		}
		sh.owns.Add(1)
		if t.pages[i].kind == pageIndex {
			sh.pool.table[n] = page{kind: pageIndex, owner: sh.owner, soonest: never32}
			sh.tablePages++
			continue
		}
		if err := sh.restorePage(n, &c); err != nil {
			return err
		}
	}
	if err := sh.restoreIndex(&c); err != nil {
		return err
	}
	sh.budget()
	if err := sh.restorePolicy(im); err != nil {
		return err
	}
	sh.audit()
	return nil
}

// census counts what the pages hold, to be compared with what the index leads to.
type census struct{ items, pieces int }

var errChunk = errors.New("a chunk is malformed")

// restorePage walks a page of items, checks each chunk and lists the free ones.
func (sh *shard) restorePage(n uint32, c *census) error {
	pg := &sh.pool.table[n]
	*pg = page{kind: pageItems, owner: sh.owner, soonest: never32}
	sh.pages++
	sh.enter(n, 0)
	base := n << sh.pageBits
	prev := uint8(kindItem)
	for h := base; h <= base+sh.mask; {
		units, ok := sh.sound(h)
		shape := sh.shape(h)
		if !ok || (shape&before != 0) != (prev == kindFree) {
			return errChunk
		}
		switch prev = shape & kindMask; prev {
		case kindFree:
			sh.list(h, units)
			sh.count(h, int(units))
		case kindItem:
			c.items++
			sh.item(h).mark(arriving, true) // until the index leads here
			sh.soon(h)
		case kindPiece:
			c.pieces++
		}
		h += units
	}
	return nil
}

// sound reports whether the chunk at h can be what it says and ends on its page, and its size.
func (sh *shard) sound(h uint32) (units uint32, ok bool) {
	left := sh.mask + 1 - h&sh.mask
	shape := sh.shape(h)
	it := sh.item(h)
	room := int(left) * int(sh.unit)
	switch shape & kindMask {
	case kindFree:
		units = sh.chunk(h).size
		ok = units >= sh.least && units <= left && *arena.Field[uint32](sh.a, h, int(units*sh.unit)-4) == units
		return units, ok && shape&^before == kindFree
	case kindItem:
		if room < it.keyAt() || it.klen() < 1 || it.klen() > MaxKey || shape&loose != 0 {
			return 0, false
		}
		if shape&isLong != 0 && sh.long(h).pins != 0 {
			return 0, false
		}
	case kindPiece:
		if room < pieceSize || sh.piece(h).vlen > uint32(room) {
			return 0, false
		}
	default:
		return 0, false
	}
	units = sh.units(h)
	return units, units <= left
}

// known reports whether h may be followed: it lies on one of the shard's pages of items, with room for a header behind it.
func (sh *shard) known(h uint32) bool {
	n := h >> sh.pageBits
	if n == 0 || n >= sh.pool.high {
		return false
	}
	pg := &sh.pool.table[n]
	return pg.kind == pageItems && pg.owner == sh.owner && (sh.mask+1-h&sh.mask)*sh.unit >= headerSize
}

// restoreIndex follows every entry of the index and counts what it finds.
func (sh *shard) restoreIndex(c *census) error {
	x := &sh.index
	n := 0
	look := func(l *line) error {
		if l.n > lineSlots {
			return errors.New("a line of the index is malformed")
		}
		n += int(l.n)
		for _, h := range l.item[:l.n] {
			if !sh.known(h) {
				return errors.New("the index leads astray")
			}
		}
		sh.fetch(l)
		for i := range int(l.n) {
			if err := sh.restoreItem(l, i, c); err != nil {
				return err
			}
		}
		return nil
	}
	for i := x.front; i < x.cur.n; i++ {
		if err := look(sh.line(&x.cur, i)); err != nil {
			return err
		}
	}
	for i := range uint32(len(x.next.dir)) * sh.linesPerPage() {
		if err := look(sh.line(&x.next, i)); err != nil {
			return err
		}
	}
	if n != x.items || c.items != 0 || c.pieces != 0 {
		return errors.New("index and pages do not agree")
	}
	return nil
}

// restoreItem checks the item in slot i of l: that it is one that the walk has met, once, under its own key, and its pieces.
func (sh *shard) restoreItem(l *line, i int, c *census) error {
	h := l.item[i]
	if sh.kind(h) != kindItem {
		return errChunk
	}
	if _, ok := sh.sound(h); !ok || !sh.item(h).is(arriving) {
		return errChunk
	}
	sh.item(h).mark(arriving, false)
	sh.item(h).mark(listed, true) // until the policy has it
	hash := sh.Hash(h)
	first, second := positions(hash)
	if sh.at(first) != l && sh.at(second) != l || l.tag(i) != tagOf(hash) || sh.store.shard(hash) != sh {
		return errors.New("an item is not where its key belongs")
	}
	c.items--
	if sh.item(h).has(isLong) {
		if err := sh.restoreLong(h, c); err != nil {
			return err
		}
	}
	sh.account(h, 1)
	return nil
}

func (sh *shard) restoreLong(h uint32, c *census) error {
	l := sh.long(h)
	total, weight, prev := uint64(sh.item(h).vlen), sh.net(h), h
	for p := l.first; p != 0; p = sh.piece(p).Next {
		if c.pieces == 0 || !sh.known(p) || sh.kind(p) != kindPiece {
			return errChunk
		}
		q := sh.piece(p)
		if _, ok := sh.sound(p); !ok || q.item != h || q.Prev != prev {
			return errChunk
		}
		c.pieces--
		total += uint64(q.vlen)
		weight += sh.net(p)
		prev = p
	}
	if total != uint64(l.total) || weight != l.weight {
		return errChunk
	}
	return nil
}

// restorePolicy rebuilds the policy: its tables, then its queues, whose order is listed beside the nodes and not trusted to their links.
func (sh *shard) restorePolicy(im *shardImage) error {
	if len(im.order) != sh.index.items {
		return errors.New("the order of the items is malformed")
	}
	if err := sh.policy.LoadState(im.policy); err != nil {
		return err
	}
	for left := im.order; len(left) > 0; {
		l := line{n: uint8(min(len(left), lineSlots))}
		copy(l.item[:], left)
		left = left[l.n:]
		for _, h := range l.item[:l.n] {
			if !sh.known(h) {
				return errChunk
			}
		}
		sh.fetch(&l)
		for _, h := range l.item[:l.n] {
			if sh.kind(h) != kindItem || !sh.item(h).is(listed) {
				return errChunk
			}
			sh.item(h).mark(listed, false)
			sh.policy.Adopt(h)
		}
	}
	return nil
}
