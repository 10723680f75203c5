package engine

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/everup/everup/services/cached/internal/arena"
	"github.com/everup/everup/services/cached/internal/evict"
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

// restore makes the shard that an image describes. It reads each page once and in order, first those of the index: then all of it is close by
// when the items are looked up there.
func (sh *shard) restore(t *tables, im *shardImage) error {
	sh.index = index{cur: table{im.curN, im.cur}, next: table{im.nextN, im.next}, front: im.front, items: int(im.items)}
	if err := sh.eachPage(t, pageIndex, sh.restoreIndexPage); err != nil {
		return err
	}
	if err := sh.countIndex(); err != nil {
		return err
	}
	c := census{shard: sh, roll: evict.NewRoll()}
	if err := sh.eachPage(t, pageItems, c.page); err != nil {
		return err
	}
	if err := c.finish(); err != nil {
		return err
	}
	sh.budget()
	if err := sh.policy.LoadState(im.policy); err != nil {
		return err
	}
	for q, o := range im.order {
		c.roll.List(q, o)
	}
	if err := sh.policy.Adopt(c.roll); err != nil {
		return err
	}
	sh.audit()
	return nil
}

// eachPage calls f with the shard's pages of a kind, once their checksums were found right.
func (sh *shard) eachPage(t *tables, kind uint8, f func(n uint32) error) error {
	for i := range t.pages {
		if t.pages[i].kind != kind || t.pages[i].owner != sh.owner {
			continue
		}
		n := uint32(i)
		if xxh3.Hash(sh.a.Bytes(n<<sh.pageBits, 0, int(sh.pool.bytes()))) != t.pages[i].sum {
			return fmt.Errorf("page %d damaged", n)
		}
		sh.owns.Add(1)
		if err := f(n); err != nil {
			return err
		}
	}
	return nil
}

func (sh *shard) restoreIndexPage(n uint32) error {
	sh.pool.table[n] = page{kind: pageIndex, owner: sh.owner, soonest: never32}
	sh.tablePages++
	return nil
}

// countIndex checks that every line can be read and that together they hold as many items as the tables say.
func (sh *shard) countIndex() error {
	x := &sh.index
	n := 0
	count := func(t *table, i uint32) bool {
		l := sh.line(t, i)
		n += int(l.n)
		return l.n <= lineSlots
	}
	ok := true
	for i := x.front; i < x.cur.n; i++ {
		ok = count(&x.cur, i) && ok
	}
	for i := range uint32(len(x.next.dir)) * sh.linesPerPage() {
		ok = count(&x.next, i) && ok
	}
	if !ok || n != x.items {
		return errors.New("the index is malformed")
	}
	return nil
}
