package sim

import "github.com/everup/everup/services/cached/internal/evict"

// space holds the items of a simulated shard: the handle of a key is its number plus one.
type space struct {
	t     *Trace
	nodes []evict.Node
}

func (s *space) Node(h uint32) *evict.Node { return &s.nodes[h] }
func (s *space) Weight(h uint32) uint32    { return s.t.Size(h - 1) }
func (s *space) Hash(h uint32) uint64      { return Hash(h - 1) }

// adaptive is a cache of one shard.
type adaptive struct {
	t        *Trace
	capacity uint64
	in       []bool
	p        *evict.Policy[*space]
}

func newAdaptive(t *Trace, capacity uint64, opts evict.Options) *adaptive {
	s := &space{t: t, nodes: make([]evict.Node, t.Unique+1)}
	return &adaptive{t: t, capacity: capacity, in: make([]bool, t.Unique), p: evict.New(s, opts)}
}

func (c *adaptive) Access(key uint32) bool {
	h := Hash(key)
	if c.in[key] {
		c.p.Hit(key+1, h)
		return true
	}
	c.p.Miss(h)
	if uint64(c.t.Size(key)) > c.capacity {
		return false
	}
	c.p.Admit(key+1, h)
	c.in[key] = true
	for c.p.Weight() > c.capacity {
		c.in[c.p.Victim()-1] = false
	}
	return false
}

// Adaptive is the policy of package evict, one shard.
func Adaptive(t *Trace, capacity uint64) Cache {
	return newAdaptive(t, capacity, evict.Options{Capacity: capacity})
}
