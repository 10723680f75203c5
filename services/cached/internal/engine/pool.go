package engine

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/everup/everup/services/cached/internal/arena"
)

// What a page is used for.
const (
	pageFree  = iota
	pageItems // cut into chunks
	pageIndex // lines of an index
)

// page describes one page; its shard's lock guards it, or the pool's while it is free.
type page struct {
	next, prev uint32 // pages of the same shard and level, 0 at the ends
	soonest    uint32 // no item here expires before; ^0 for never
	free       uint16 // units in free chunks
	tidied     uint16 // units that were free and in one chunk when the page was last compacted
	pins       uint16 // items that begin here and are loose or have readers
	owner      uint16
	kind       uint8
	level      uint8 // sixteenths that are free
}

// pageEntry is what a page costs in tables, bytes: its entry, its place in the lists of free pages or in an index's directory.
const pageEntry = 32

// pool hands out the pages of a store. Page 0 is never handed out: handle 0 is none, and it holds what the store needs for itself.
//
// Pages in use and free pages that still have memory behind them are together never more than the limit. The pool's lock is taken under a
// shard's, never the other way round.
type pool struct {
	a     *arena.Arena
	shift uint // of a page's size in bytes
	table []page

	mu       sync.Mutex
	warm     []uint32 // free pages with memory behind them
	cold     []uint32 // free pages without
	high     uint32   // pages from here on were never used
	held     int      // pages in use, with page 0
	limit    int      // bound of held and warm
	most     int      // pages of the reservation
	memory   int64    // Options.Memory, as changed
	overhead int64    // bytes of tables beside the pages
	shards   int
	full     atomic.Bool
	excess   atomic.Bool  // more pages are in use than the limit leaves
	fair     atomic.Int32 // pages that each shard may have when all want more
}

func newPool(a *arena.Arena, shift uint, shards int) *pool {
	most := int(a.Size() >> shift)
	return &pool{a: a, shift: shift, table: make([]page, most), high: 1, held: 1, most: most, shards: shards}
}

// bytes is the size of a page.
func (p *pool) bytes() int64 { return 1 << p.shift }

// adjust computes the number of pages that the limit leaves beside the tables. It reports how many pages too many are in use. Under mu.
func (p *pool) adjust() (over int) {
	p.limit = min(int((p.memory-p.overhead)/(p.bytes()+pageEntry)), p.most)
	for len(p.warm) > 0 && p.held+len(p.warm) > p.limit {
		p.chill(p.warm[len(p.warm)-1])
		p.warm = p.warm[:len(p.warm)-1]
	}
	p.noteFull()
	return max(p.held-p.limit, 0)
}

func (p *pool) noteFull() {
	p.full.Store(p.held >= p.limit)
	p.excess.Store(p.held > p.limit)
	p.fair.Store(int32(max(p.limit-1, 0) / p.shards))
}

// chill takes a free page's memory away.
func (p *pool) chill(n uint32) {
	p.a.Discard(uint64(n)<<p.shift, uint64(p.bytes()))
	p.cold = append(p.cold, n)
}

// charge adds to the memory that tables need beside the pages.
func (p *pool) charge(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.overhead += bytes
	p.adjust()
}

// over is the number of pages in use beyond the limit.
func (p *pool) over() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.held-p.limit, 0)
}

// take hands out a page, 0 if the limit is reached.
func (p *pool) take() uint32 {
	if p.full.Load() {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held >= p.limit {
		return 0
	}
	n := p.pick()
	if n != 0 {
		p.held++
		p.noteFull()
	}
	return n
}

// pick takes a free page: one with memory if there is any, else it makes sure that there is memory.
func (p *pool) pick() uint32 {
	if k := len(p.warm); k > 0 {
		n := p.warm[k-1]
		p.warm = p.warm[:k-1]
		return n
	}
	var n uint32
	if k := len(p.cold); k > 0 {
		n = p.cold[k-1]
	} else if int(p.high) < p.most {
		n = p.high
	} else {
		return 0
	}
	if !p.back(n) {
		p.limit = min(p.limit, p.held) // the file system is full: what we have is all there is, until the limit is set anew
		p.noteFull()
		return 0
	}
	if k := len(p.cold); k > 0 {
		p.cold = p.cold[:k-1]
	} else {
		p.high++
	}
	return n
}

// openStep is how much of the arena is opened at once.
const openStep = 4 << 20

func (p *pool) back(n uint32) bool {
	end := uint64(n+1) << p.shift
	if err := p.a.Open(min((end+openStep-1)&^(openStep-1), p.a.Size())); err != nil {
		return false
	}
	return p.a.Back(uint64(n)<<p.shift, uint64(p.bytes())) == nil
}

// give takes pages back; cool also gives their memory to the kernel.
func (p *pool) give(cool bool, pages ...uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held -= len(pages)
	if cool {
		p.discard(pages)
	} else {
		p.warm = append(p.warm, pages...)
	}
	p.adjust()
}

// discard gives the memory of pages back, neighbours by one call.
func (p *pool) discard(pages []uint32) {
	slices.Sort(pages)
	for len(pages) > 0 {
		n := 1
		for n < len(pages) && pages[n] == pages[0]+uint32(n) {
			n++
		}
		p.a.Discard(uint64(pages[0])<<p.shift, uint64(n)<<p.shift)
		p.cold = append(p.cold, pages[:n]...)
		pages = pages[n:]
	}
	slices.SortFunc(p.cold, func(a, b uint32) int { return int(b) - int(a) }) // the lowest is handed out first
}

// used is the memory taken from the limit, bytes.
func (p *pool) used() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.held+len(p.warm))*(p.bytes()+pageEntry) + p.overhead
}
