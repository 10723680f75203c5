package sim

const (
	s3None = iota
	s3Small
	s3Main
	s3Ghost
)

// s3fifo is S3-FIFO (SOSP '23): small 10 %, main 90 %, a ghost as large as main, two bits of frequency.
type s3fifo struct {
	t                  *Trace
	capacity, smallCap uint64
	promote            uint8 // reads in small that lead to main
	where, freq        []uint8
	small, main, ghost list
}

// S3FIFO moves an item to main that was read twice while in the small queue, as in the paper's listing.
func S3FIFO(t *Trace, capacity uint64) Cache { return newS3(t, capacity, 2) }

// S3FIFOOnce asks for one read only.
func S3FIFOOnce(t *Trace, capacity uint64) Cache { return newS3(t, capacity, 1) }

func newS3(t *Trace, capacity uint64, promote uint8) Cache {
	l := newLinks(t.Unique)
	return &s3fifo{t: t, capacity: capacity, smallCap: max(1, capacity/10), promote: promote,
		where: make([]uint8, t.Unique), freq: make([]uint8, t.Unique), small: list{l: l}, main: list{l: l}, ghost: list{l: l}}
}

func (c *s3fifo) Access(key uint32) bool {
	w := c.t.Size(key)
	if c.where[key] == s3Small || c.where[key] == s3Main {
		c.freq[key] = min(3, c.freq[key]+1)
		return true
	}
	if uint64(w) > c.capacity {
		return false
	}
	toMain := c.where[key] == s3Ghost
	if toMain {
		c.ghost.remove(key, w)
		c.where[key] = s3None
	}
	for c.small.weight+c.main.weight+uint64(w) > c.capacity {
		if c.small.weight >= c.smallCap && c.small.n > 0 || c.main.n == 0 {
			c.evictSmall()
		} else {
			c.evictMain()
		}
	}
	c.freq[key] = 0
	if toMain {
		c.where[key] = s3Main
		c.main.push(key, w)
	} else {
		c.where[key] = s3Small
		c.small.push(key, w)
	}
	return false
}

func (c *s3fifo) evictSmall() {
	for c.small.n > 0 {
		v := c.small.last()
		w := c.t.Size(v)
		c.small.remove(v, w)
		if c.freq[v] >= c.promote {
			c.freq[v], c.where[v] = 0, s3Main
			c.main.push(v, w)
			continue
		}
		c.where[v] = s3Ghost
		c.ghost.push(v, w)
		for c.ghost.weight > c.capacity-c.smallCap {
			g := c.ghost.last()
			c.ghost.remove(g, c.t.Size(g))
			c.where[g] = s3None
		}
		return
	}
}

func (c *s3fifo) evictMain() {
	for c.main.n > 0 {
		v := c.main.last()
		w := c.t.Size(v)
		c.main.remove(v, w)
		if c.freq[v] > 0 {
			c.freq[v]--
			c.main.push(v, w)
			continue
		}
		c.where[v] = s3None
		return
	}
}
