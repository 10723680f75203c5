package engine

import (
	"math/bits"
	"sync/atomic"

	"github.com/everup/everup/services/cached/internal/arena"
)

// heap cuts a shard's pages into chunks of any size. Free chunks lie in bins by size: below fineBins one bin a unit, then
// sixteen an octave. A chunk that is freed is joined with free neighbours, so that what is freed by small items serves large ones and
// the other way round: no memory is bound to a size.
type heap struct {
	space
	pool     *pool
	owner    uint16
	pageBits uint   // of a page's size in units
	mask     uint32 // units of a page, less one
	least    uint32 // units of the smallest chunk

	bins   [numBins]uint32
	filled [(numBins + 63) / 64]uint64 // bins that hold something
	levels [numLevels]uint32           // pages by sixteenths that are free
	top    uint32                      // bits of the levels that hold something
	free   int64                       // units in free chunks
	pages  int                         // pages of items
	owns   atomic.Int32                // pages in use, for other shards
	watch  uint32                      // a page; 0 as soon as it was given back
}

const (
	fineBins  = 256
	numBins   = fineBins + 7*16
	numLevels = 17
)

// binOf is the bin of a chunk of n units.
func binOf(n uint32) uint32 {
	if n < fineBins {
		return n
	}
	octave := uint32(bits.Len32(n)) - 1
	return fineBins + (octave-8)<<4 + n>>(octave-4)&15
}

func (p *heap) page(h uint32) *page { return &p.pool.table[h>>p.pageBits] }

// last reports whether h is the end of a page: nothing follows there.
func (p *heap) last(h uint32) bool { return h&p.mask == 0 }

// list puts the n units at h into their bin. The chunk before is not free.
func (p *heap) list(h, n uint32) {
	c := p.chunk(h)
	b := binOf(n)
	c.Next, c.Prev, c.size = p.bins[b], 0, n
	c.Spare[atShape] = kindFree
	*arena.Field[uint32](p.a, h, int(n*p.unit)-4) = n
	if c.Next != 0 {
		p.chunk(c.Next).Prev = h
	}
	p.bins[b] = h
	p.filled[b/64] |= 1 << (b % 64)
	if end := h + n; !p.last(end) {
		p.setShape(end, p.shape(end)|before)
	}
}

// unlist takes the free chunk at h out of its bin.
func (p *heap) unlist(h uint32) (n uint32) {
	c := p.chunk(h)
	if c.Next != 0 {
		p.chunk(c.Next).Prev = c.Prev
	}
	if c.Prev != 0 {
		p.chunk(c.Prev).Next = c.Next
	} else {
		b := binOf(c.size)
		if p.bins[b] = c.Next; c.Next == 0 {
			p.filled[b/64] &^= 1 << (b % 64)
		}
	}
	return c.size
}

// count notes that a page has n more units free.
func (p *heap) count(h uint32, n int) {
	pg := p.page(h)
	pg.free = uint16(int(pg.free) + n)
	p.free += int64(n)
	pg.tidied = min(pg.tidied, pg.free)
	if level := uint8(uint32(pg.free) << 4 >> p.pageBits); level != pg.level {
		p.leave(h >> p.pageBits)
		p.enter(h>>p.pageBits, level)
	}
}

func (p *heap) enter(n uint32, level uint8) {
	pg := &p.pool.table[n]
	pg.level, pg.prev, pg.next = level, 0, p.levels[level]
	if pg.next != 0 {
		p.pool.table[pg.next].prev = n
	}
	p.levels[level] = n
	p.top |= 1 << level
}

func (p *heap) leave(n uint32) {
	pg := &p.pool.table[n]
	if pg.next != 0 {
		p.pool.table[pg.next].prev = pg.prev
	}
	if pg.prev != 0 {
		p.pool.table[pg.prev].next = pg.next
	} else if p.levels[pg.level] = pg.next; pg.next == 0 {
		p.top &^= 1 << pg.level
	}
}

// first is the lowest bin from b on that holds something, numBins if there is none.
func (p *heap) first(b uint32) uint32 {
	for w := b / 64; w < uint32(len(p.filled)); w++ {
		word := p.filled[w]
		if w == b/64 {
			word &= ^uint64(0) << (b % 64)
		}
		if word != 0 {
			return w*64 + uint32(bits.TrailingZeros64(word))
		}
	}
	return numBins
}

// binLook is how many chunks of its own bin a large request looks at.
const binLook = 8

// find takes a chunk of at least n units out of its bin and cuts it to that; 0 if there is none.
func (p *heap) find(n uint32) (h uint32, slack uint8) {
	b := binOf(n)
	if n >= fineBins {
		h := p.bins[b]
		for range binLook {
			if h == 0 {
				break
			}
			if c := p.chunk(h); c.size >= n {
				return h, p.cut(h, n)
			} else {
				h = c.Next
			}
		}
		b++
	}
	if b = p.first(b); b == numBins {
		return 0, 0
	}
	h = p.bins[b]
	return h, p.cut(h, n)
}

// largest is the size of a chunk of the highest bin that holds something, and the chunk.
func (p *heap) largest() (h, n uint32) {
	for w := len(p.filled) - 1; w >= 0; w-- {
		if p.filled[w] != 0 {
			h = p.bins[w*64+bits.Len64(p.filled[w])-1]
			return h, p.chunk(h).size
		}
	}
	return 0, 0
}

// cut takes the free chunk at h for use and gives what is beyond n units back; what is too small for a chunk stays as slack.
func (p *heap) cut(h, n uint32) (slack uint8) {
	size := p.unlist(h)
	rest := size - n
	if rest >= p.least {
		p.list(h+n, rest)
	} else {
		n = size
		slack = uint8(rest)
		if end := h + n; !p.last(end) {
			p.setShape(end, p.shape(end)&^before)
		}
	}
	p.count(h, -int(n))
	p.setShape(h, kindItem|loose)
	return slack
}

// drop frees the n units at h.
func (p *heap) drop(h, n uint32) {
	at, size := h, n
	if p.shape(h)&before != 0 {
		k := *arena.Field[uint32](p.a, h, -4)
		at -= k
		p.unlist(at)
		size += k
	}
	if end := h + n; !p.last(end) && p.kind(end) == kindFree {
		size += p.unlist(end)
	}
	if size == p.mask+1 {
		p.yield(at >> p.pageBits)
		p.free -= int64(size - n)
		return
	}
	p.list(at, size)
	p.count(h, int(n))
}

// yield gives a page without chunks to the pool.
func (p *heap) yield(n uint32) {
	p.leave(n)
	p.pool.table[n] = page{}
	p.pages--
	p.owns.Add(-1)
	if n == p.watch {
		p.watch = 0
	}
	p.pool.give(false, n)
}

// grow gets a page from the pool and makes it one free chunk.
func (p *heap) grow() bool {
	n := p.pool.take()
	if n == 0 {
		return false
	}
	p.adopt(n)
	return true
}

func (p *heap) adopt(n uint32) {
	p.pool.table[n] = page{kind: pageItems, owner: p.owner, soonest: never32}
	p.pages++
	p.owns.Add(1)
	p.enter(n, 0)
	h := n << p.pageBits
	p.setShape(h, 0)
	p.list(h, p.mask+1)
	p.count(h, int(p.mask+1))
}

// never32 stands for no expiry in a page's soonest.
const never32 = ^uint32(0)

// soon notes that the item at h expires at e.
func (p *heap) soon(h uint32) {
	if p.item(h).has(hasTTL) {
		if e, pg := *p.ttl(h), p.page(h); e != 0 && e < pg.soonest {
			pg.soonest = e
		}
	}
}
