package engine

import (
	"testing"

	"github.com/everup/everup/services/cached/internal/arena"
)

// checkStore verifies every invariant of a store: each unit of each page is exactly one of free, live and loose, the bins hold the free chunks, index,
// policy and pages agree on the items, and the accounts are right. loose is the number of items that are arriving or only kept for readers; -1 not to
// count them.
func checkStore(t testing.TB, s *Store, wantLoose int) {
	t.Helper()
	held, looseItems := 1, 0
	for _, sh := range s.shards {
		sh.mu.Lock()
		c := &checker{TB: t, sh: sh}
		c.index()
		c.pages()
		c.bins()
		c.accounts()
		held += sh.pages + sh.tablePages
		looseItems += c.loose
		if got := int(sh.owns.Load()); got != sh.pages+sh.tablePages {
			t.Errorf("shard %d: owns %d pages, has %d+%d", sh.owner, got, sh.pages, sh.tablePages)
		}
		sh.mu.Unlock()
	}
	p := s.pool
	if p.held != held {
		t.Errorf("pool: %d pages held, the shards have %d", p.held, held)
	}
	if p.held+len(p.warm) > p.limit {
		t.Errorf("pool: %d pages held and %d warm, limit %d", p.held, len(p.warm), p.limit)
	}
	if int(p.high) != p.held+len(p.warm)+len(p.cold) {
		t.Errorf("pool: %d pages ever used, %d held, %d warm, %d cold", p.high, p.held, len(p.warm), len(p.cold))
	}
	if used := p.used(); used > s.Limit() {
		t.Errorf("%d bytes used, limit %d", used, s.Limit())
	}
	if wantLoose >= 0 && looseItems != wantLoose {
		t.Errorf("%d loose items, want %d", looseItems, wantLoose)
	}
	if t.Failed() {
		t.FailNow()
	}
}

type checker struct {
	testing.TB
	sh       *shard
	live     map[uint32]bool // items in the index
	free     map[uint32]bool // free chunks
	pieces   map[uint32]bool // met on the pages
	chained  int             // pieces reached from items
	loose    int
	bytes    int64
	weight   int64
	reserved int64
	freed    int64
	class    [maxClasses]ClassStats
}

// index collects the items of the index and checks that each is found where it belongs.
func (c *checker) index() {
	sh := c.sh
	c.live = map[uint32]bool{}
	keys := map[string]bool{}
	x := &sh.index
	look := func(t *table, i uint32) {
		l := sh.line(t, i)
		if l.n > lineSlots {
			c.Fatalf("line of %d", l.n)
		}
		for k := range int(l.n) {
			h := l.item[k]
			hash := sh.Hash(h)
			if got, slot := sh.place(hash, h); got != l || slot != k || l.tag(k) != tagOf(hash) {
				c.Errorf("item %x: not in its line, or with another tag", h)
			}
			if c.live[h] || keys[string(sh.key(h))] {
				c.Errorf("item %x %q twice in the index", h, sh.key(h))
			}
			if sh.kind(h) != kindItem || sh.item(h).has(loose) {
				c.Errorf("item %x in the index has shape %x", h, sh.shape(h))
			}
			if sh.store.shard(hash) != sh {
				c.Errorf("item %x is another shard's", h)
			}
			c.live[h], keys[string(sh.key(h))] = true, true
		}
	}
	for i := x.front; i < x.cur.n; i++ {
		look(&x.cur, i)
	}
	for i := range min(uint32(len(x.next.dir))*sh.linesPerPage(), x.next.n) {
		look(&x.next, i)
	}
	if len(c.live) != x.items || sh.policy.Len() != x.items {
		c.Errorf("index has %d items, counts %d, policy %d", len(c.live), x.items, sh.policy.Len())
	}
	n := 0
	for _, t := range []table{x.cur, x.next} {
		for _, pn := range t.dir {
			if pn != 0 {
				n++
				if pg := sh.pool.table[pn]; pg.kind != pageIndex || pg.owner != sh.owner {
					c.Errorf("index page %d: %+v", pn, pg)
				}
			}
		}
	}
	if n != sh.tablePages {
		c.Errorf("%d index pages, counted %d", n, sh.tablePages)
	}
}

func (c *checker) pages() {
	sh := c.sh
	c.free, c.pieces = map[uint32]bool{}, map[uint32]bool{}
	seen := 0
	for level, first := range sh.levels {
		if (first != 0) != (sh.top>>level&1 == 1) {
			c.Errorf("level %d: bit %d, list %d", level, sh.top>>level&1, first)
		}
		prev := uint32(0)
		for n := first; n != 0; n = sh.pool.table[n].next {
			pg := &sh.pool.table[n]
			if pg.kind != pageItems || pg.owner != sh.owner || int(pg.level) != level || pg.prev != prev {
				c.Fatalf("page %d in level %d: %+v", n, level, *pg)
			}
			prev = n
			seen++
			c.page(n, pg)
		}
	}
	if seen != sh.pages {
		c.Errorf("%d pages in lists, counted %d", seen, sh.pages)
	}
	if len(c.pieces) != c.chained {
		c.Errorf("%d pieces on pages, %d reached from items", len(c.pieces), c.chained)
	}
	if c.freed != sh.free {
		c.Errorf("%d units free, counted %d", c.freed, sh.free)
	}
}

func (c *checker) page(n uint32, pg *page) {
	sh := c.sh
	base := n << sh.pageBits
	var free uint32
	pins := 0
	afterFree := false
	for h := base; h <= base+sh.mask; {
		units := sh.units(h)
		if units < sh.least || h+units > base+sh.mask+1 {
			c.Fatalf("page %d: chunk %x of %d units", n, h, units)
		}
		if got := sh.shape(h)&before != 0; got != afterFree {
			c.Errorf("chunk %x: before %v, want %v", h, got, afterFree)
		}
		switch sh.kind(h) {
		case kindFree:
			if afterFree {
				c.Errorf("free chunk %x follows a free one", h)
			}
			if end := *arena.Field[uint32](sh.a, h, int(units*sh.unit)-4); end != units {
				c.Errorf("free chunk %x: %d units, %d at the end", h, units, end)
			}
			c.free[h] = true
			free += units
		case kindItem:
			if sh.item(h).has(loose) || sh.fixed(h) {
				pins++
			}
			c.item(h, pg)
		case kindPiece:
			c.pieces[h] = true
			if it := sh.piece(h).item; sh.kind(it) != kindItem || !sh.item(it).has(isLong) {
				c.Errorf("piece %x belongs to %x, shape %x", h, it, sh.shape(it))
			}
		default:
			c.Errorf("chunk %x has shape %x", h, sh.shape(h))
		}
		afterFree = sh.kind(h) == kindFree
		h += units
	}
	if free != uint32(pg.free) || int(free<<4>>sh.pageBits) != int(pg.level) || pg.tidied > pg.free {
		c.Errorf("page %d: %d units free, %+v", n, free, *pg)
	}
	if pins != int(pg.pins) {
		c.Errorf("page %d: %d pins, counted %d", n, pins, pg.pins)
	}
	c.freed += int64(free)
}

func (c *checker) item(h uint32, pg *page) {
	sh := c.sh
	weight, vlen := int64(sh.net(h)), int(sh.item(h).vlen)
	if sh.item(h).has(isLong) {
		prev := h
		for p := sh.long(h).first; p != 0; p = sh.piece(p).Next {
			q := sh.piece(p)
			if sh.kind(p) != kindPiece || q.item != h || q.Prev != prev {
				c.Fatalf("item %x: piece %x of %x behind %x", h, p, q.item, q.Prev)
			}
			prev = p
			weight += int64(sh.net(p))
			vlen += int(q.vlen)
			c.chained++
		}
		if vlen != sh.vlen(h) || weight != int64(sh.long(h).weight) {
			c.Errorf("item %x: %d bytes in chunks of %d, has %d and %d", h, vlen, weight, sh.vlen(h), sh.long(h).weight)
		}
	}
	if sh.item(h).has(loose) {
		c.loose++
		c.reserved += weight
		if c.live[h] {
			c.Errorf("loose item %x in the index", h)
		}
		return
	}
	if !c.live[h] {
		c.Errorf("item %x %q is not in the index", h, sh.key(h))
	}
	if e := sh.expires(h); e != Never && e < int64(pg.soonest) {
		c.Errorf("item %x expires at %d, its page knows %d", h, e, pg.soonest)
	}
	c.weight += weight
	size := sh.size(h)
	c.bytes += int64(size)
	c.class[ClassOf(size)].Items++
	c.class[ClassOf(size)].Bytes += int64(size)
}

func (c *checker) bins() {
	sh := c.sh
	n := 0
	for b, first := range sh.bins {
		if (first != 0) != (sh.filled[b/64]>>(b%64)&1 == 1) {
			c.Errorf("bin %d: first %x, bit %d", b, first, sh.filled[b/64]>>(b%64)&1)
		}
		prev := uint32(0)
		for h := first; h != 0; h = sh.chunk(h).Next {
			if !c.free[h] || sh.chunk(h).Prev != prev || binOf(sh.chunk(h).size) != uint32(b) {
				c.Fatalf("bin %d: chunk %x %+v", b, h, *sh.chunk(h))
			}
			prev = h
			n++
		}
	}
	if n != len(c.free) {
		c.Errorf("%d free chunks in bins, %d on pages", n, len(c.free))
	}
}

func (c *checker) accounts() {
	sh := c.sh
	if c.bytes != sh.bytes || c.reserved != sh.reserved || c.weight != int64(sh.policy.Weight()) {
		c.Errorf("bytes %d reserved %d weight %d; counted %d %d %d", c.bytes, c.reserved, c.weight, sh.bytes, sh.reserved, sh.policy.Weight())
	}
	for i := range c.class {
		if got := sh.class[i]; got.Items != c.class[i].Items || got.Bytes != c.class[i].Bytes {
			c.Errorf("class %d: %d items %d bytes; counted %d %d", i, c.class[i].Items, c.class[i].Bytes, got.Items, got.Bytes)
		}
	}
	if sh.held != 0 || sh.spare || sh.resizing {
		c.Errorf("held %x spare %v resizing %v between calls", sh.held, sh.spare, sh.resizing)
	}
}
