package evict

const (
	ghostSlots   = 8    // entries of a bucket, 2 bytes each
	pageBuckets  = 1024 // buckets of a page, 16 KiB
	smallBuckets = 4096 // up to this many buckets (64 KiB) there are four entries an item, beyond two
	growSteps    = 4    // buckets added or dropped a call
)

// ghosts remembers the keys that were evicted lately and when they were last used: eleven bits of the key's hash and the epoch in two bytes,
// in buckets of eight, the oldest entry making room. The table grows and shrinks by single buckets (linear hashing); a bucket that is split
// is copied, since the entries do not hold the bit that would tell them apart, and the useless half ages away.
type ghosts struct {
	pages [][]uint16
	n     int // buckets in use
	low   int // largest power of two ≤ n, less one
	sweep int // next bucket to clean of old entries
}

// entry returns the bucket of a key and its fingerprint in place.
func (g *ghosts) entry(hash uint64) (bucket []uint16, print uint16) {
	x := mix(hash)
	i := int(x>>32) & (g.low<<1 | 1)
	if i >= g.n {
		i &= g.low
	}
	return g.bucket(i), uint16(x>>16) &^ epochMask
}

func (g *ghosts) bucket(i int) []uint16 {
	at := i % pageBuckets * ghostSlots
	return g.pages[i/pageBuckets][at : at+ghostSlots : at+ghostSlots]
}

// add remembers a key last used in epoch e.
func (g *ghosts) add(hash uint64, e, now uint8) {
	if g.n == 0 || e == ancient {
		return
	}
	b, print := g.entry(hash)
	oldest, at := uint8(0), 0
	for i, x := range b {
		if x == 0 || x&^epochMask == print {
			at = i
			break
		}
		if a := age(uint8(x&epochMask), now); a >= oldest {
			oldest, at = a, i
		}
	}
	b[at] = print | uint16(e)
}

// take forgets a key and returns the epoch of its last use; 0 if it was not remembered.
func (g *ghosts) take(hash uint64, now uint8) uint8 {
	if g.n == 0 {
		return ancient
	}
	b, print := g.entry(hash)
	for i, x := range b {
		if x != 0 && x&^epochMask == print {
			b[i] = 0
			if age(uint8(x&epochMask), now) > memory {
				return ancient
			}
			return uint8(x & epochMask)
		}
	}
	return ancient
}

// tend brings the table a step closer to the size that suits items, and forgets what is old in one bucket.
func (g *ghosts) tend(items int, now uint8) {
	want := max(items/4, min(items/2, smallBuckets), 16)
	for range growSteps {
		switch {
		case g.n < want:
			g.grow()
		case g.n > want+want/4:
			g.shrink()
		}
	}
	if g.sweep >= g.n {
		g.sweep = 0
	}
	b := g.bucket(g.sweep)
	for i, x := range b {
		if x != 0 && age(uint8(x&epochMask), now) > memory {
			b[i] = 0
		}
	}
	g.sweep++
}

// grow splits one bucket.
func (g *ghosts) grow() {
	if g.n == len(g.pages)*pageBuckets {
		g.pages = append(g.pages, make([]uint16, pageBuckets*ghostSlots))
	}
	i := g.n
	if i > 0 {
		copy(g.bucket(i), g.bucket(i&g.low))
	}
	g.n++
	if g.n > g.low<<1|1 {
		g.low = g.low<<1 | 1
	}
}

// shrink drops the last bucket with what it remembers.
func (g *ghosts) shrink() {
	clear(g.bucket(g.n - 1))
	g.n--
	for g.low > 0 && g.low >= g.n {
		g.low >>= 1
	}
	if len(g.pages) > 1 && g.n <= (len(g.pages)-1)*pageBuckets {
		g.pages[len(g.pages)-1] = nil
		g.pages = g.pages[:len(g.pages)-1]
	}
}

// bytes of memory held.
func (g *ghosts) bytes() int64 { return int64(len(g.pages)) * (pageBuckets*ghostSlots*2 + 24) }
