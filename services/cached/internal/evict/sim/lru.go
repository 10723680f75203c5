package sim

// lru evicts what was read longest ago.
type lru struct {
	t        *Trace
	capacity uint64
	in       []bool
	q        list
}

// LRU is the least recently used policy.
func LRU(t *Trace, capacity uint64) Cache {
	return &lru{t: t, capacity: capacity, in: make([]bool, t.Unique), q: list{l: newLinks(t.Unique)}}
}

func (c *lru) Access(key uint32) bool {
	w := c.t.Size(key)
	if c.in[key] {
		c.q.remove(key, w)
		c.q.push(key, w)
		return true
	}
	if uint64(w) > c.capacity {
		return false
	}
	for c.q.weight+uint64(w) > c.capacity {
		v := c.q.last()
		c.q.remove(v, c.t.Size(v))
		c.in[v] = false
	}
	c.in[key] = true
	c.q.push(key, w)
	return false
}
