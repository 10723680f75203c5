package sim

// sieve is one queue with a hand that spares what was visited (NSDI '24).
type sieve struct {
	t        *Trace
	capacity uint64
	in, used []bool
	q        list
	hand     uint32 // key+1, 0: begin at the tail
}

// SIEVE is the policy of that name.
func SIEVE(t *Trace, capacity uint64) Cache {
	return &sieve{t: t, capacity: capacity, in: make([]bool, t.Unique), used: make([]bool, t.Unique), q: list{l: newLinks(t.Unique)}}
}

func (c *sieve) Access(key uint32) bool {
	w := c.t.Size(key)
	if c.in[key] {
		c.used[key] = true
		return true
	}
	if uint64(w) > c.capacity {
		return false
	}
	for c.q.weight+uint64(w) > c.capacity {
		c.evict()
	}
	c.in[key], c.used[key] = true, false
	c.q.push(key, w)
	return false
}

func (c *sieve) evict() {
	h := c.hand
	if h == 0 {
		h = c.q.tail
	}
	for c.used[h-1] {
		c.used[h-1] = false
		if h = c.q.l.next[h]; h == 0 {
			h = c.q.tail
		}
	}
	c.hand = c.q.l.next[h]
	c.in[h-1] = false
	c.q.remove(h-1, c.t.Size(h-1))
}
