package insight

import (
	"math"
	"slices"
	"sync"
)

// Curve estimates the hit ratio that other sizes of the cache would have, from the stack distances of a sample of keys: SHARDS with a
// fixed number of keys (Waldspurger et al., "Efficient MRC Construction with SHARDS", FAST 2015). The distances are bytes, so
// items of unequal size count by what they take.
//
// It simulates least recent use. cached's own policy does better on most traffic; what the curve tells well is where
// more memory stops to matter.
//
// Safe for concurrent use.
type Curve struct {
	mu        sync.Mutex
	threshold uint64            // keys with a hash below it are sampled
	keys      map[uint64]uint32 // by hash: the index in entries
	max       int
	entries   []entry
	free      []uint32 // of entries
	slots     []uint32 // entries by time of last access, oldest first, counted from 1; 0 is a hole
	tree      fenwick
	total     int64 // sum of the tree
	next      int   // the slot of the next access
	hist      [curveBuckets]float64
	cold      float64 // accesses that no size would turn into hits
	reads     float64
}

// entry is a key that is followed.
type entry struct {
	hash   uint64
	slot   uint32
	weight uint32
}

// The histogram of distances has curveSteps buckets to the octave of bytes, from 1 KiB up.
const (
	curveSteps   = 4
	curveFloor   = 10
	curveBuckets = (48 - curveFloor) * curveSteps
)

// NewCurve returns a curve that follows up to keys keys, 1024 at least.
func NewCurve(keys int) *Curve {
	keys = max(keys, 1024)
	return &Curve{
		threshold: math.MaxUint64, max: keys, keys: make(map[uint64]uint32, keys+1),
		entries: make([]entry, 0, keys), free: make([]uint32, 0, keys), slots: make([]uint32, 2*keys), tree: make(fenwick, 2*keys+1),
	}
}

// Threshold is the hash below which keys are sampled now: it only falls.
func (c *Curve) Threshold() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.threshold
}

// Read notes a read of the key with this hash, whose item weighs weight bytes; 0 when it was not found.
func (c *Curve) Read(hash uint64, weight int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hash > c.threshold {
		return
	}
	share := c.scale()
	c.reads += share
	n, known := c.keys[hash]
	if !known {
		c.cold += share
		if weight > 0 {
			c.put(hash, weight)
		}
		return
	}
	e := &c.entries[n]
	above := c.total - c.tree.sum(int(e.slot)+1)
	c.hist[curveBucket((float64(above)+float64(e.weight))*share)] += share
	if weight == 0 {
		weight = int(e.weight) // a miss of a key we still follow
	}
	c.move(n, weight)
}

// Write notes that an item of weight bytes was stored under the key with this hash.
func (c *Curve) Write(hash uint64, weight int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hash > c.threshold {
		return
	}
	if n, known := c.keys[hash]; known {
		if weight == 0 {
			weight = int(c.entries[n].weight)
		}
		c.move(n, weight)
		return
	}
	c.put(hash, weight)
}

// Remove notes that the key with this hash was deleted.
func (c *Curve) Remove(hash uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, known := c.keys[hash]; known {
		c.drop(n)
	}
}

// scale is how many accesses one sampled access stands for.
func (c *Curve) scale() float64 { return math.MaxUint64 / float64(c.threshold) }

func (c *Curve) put(hash uint64, weight int) {
	if len(c.keys) >= c.max {
		c.narrow()
		if hash > c.threshold {
			return
		}
	}
	n := uint32(len(c.entries))
	if k := len(c.free); k > 0 {
		n, c.free = c.free[k-1], c.free[:k-1]
	} else {
		c.entries = append(c.entries, entry{})
	}
	c.entries[n].hash = hash
	c.keys[hash] = n
	c.place(n, weight)
}

// place gives an entry that has no slot the youngest.
func (c *Curve) place(n uint32, weight int) {
	if c.next == len(c.slots) {
		c.compact()
	}
	e := &c.entries[n]
	e.slot, e.weight = uint32(c.next), uint32(weight)
	c.slots[c.next] = n + 1
	c.tree.add(c.next, int64(weight))
	c.total += int64(weight)
	c.next++
}

// leave makes an entry's slot a hole.
func (c *Curve) leave(n uint32) {
	e := &c.entries[n]
	c.slots[e.slot] = 0
	c.tree.add(int(e.slot), -int64(e.weight))
	c.total -= int64(e.weight)
}

func (c *Curve) move(n uint32, weight int) {
	c.leave(n)
	c.place(n, weight)
}

func (c *Curve) drop(n uint32) {
	c.leave(n)
	delete(c.keys, c.entries[n].hash)
	c.free = append(c.free, n)
}

// narrow lowers the threshold until an eighth of the keys are left out.
func (c *Curve) narrow() {
	hashes := make([]uint64, 0, len(c.keys))
	for h := range c.keys {
		hashes = append(hashes, h)
	}
	slices.Sort(hashes)
	c.threshold = hashes[len(hashes)-len(hashes)/8-1] - 1
	for _, h := range hashes {
		if h > c.threshold {
			c.drop(c.keys[h])
		}
	}
}

// compact closes the holes that moves left, so that slots can be given out again.
func (c *Curve) compact() {
	clear(c.tree)
	next := 0
	for _, n := range c.slots[:c.next] {
		if n == 0 {
			continue
		}
		e := &c.entries[n-1]
		e.slot = uint32(next)
		c.slots[next] = n
		c.tree.add(next, int64(e.weight))
		next++
	}
	clear(c.slots[next:])
	c.next = next
}

func curveBucket(distance float64) int {
	b := int((math.Log2(max(distance, 1)) - curveFloor) * curveSteps)
	return min(max(b, 0), curveBuckets-1)
}

// Point is one size of the cache and the hit ratio it would have had.
type Point struct {
	Bytes int64   `json:"bytes"`
	Ratio float64 `json:"hit_ratio"` // 0 to 1
}

// Points returns the estimate for each of sizes, in bytes; nil before anything was read.
func (c *Curve) Points(sizes ...int64) []Point {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reads == 0 {
		return nil
	}
	var out []Point
	for _, size := range sizes {
		end := curveBucket(float64(size))
		var hits float64
		for _, n := range c.hist[:end] {
			hits += n
		}
		out = append(out, Point{Bytes: size, Ratio: hits / c.reads})
	}
	return out
}

// Fade halves what was counted, so that the past weighs less the longer it is ago. The owner calls it periodically.
func (c *Curve) Fade() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.hist {
		c.hist[i] /= 2
	}
	c.cold, c.reads = c.cold/2, c.reads/2
}

// fenwick is a tree of partial sums (Fenwick 1994); index 0 is unused.
type fenwick []int64

// add adds n to element i.
func (t fenwick) add(i int, n int64) {
	for i++; i < len(t); i += i & -i {
		t[i] += n
	}
}

// sum is the sum of the elements before i.
func (t fenwick) sum(i int) (n int64) {
	for ; i > 0; i &= i - 1 {
		n += t[i]
	}
	return n
}
