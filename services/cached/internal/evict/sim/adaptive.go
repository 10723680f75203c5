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

// shard is a part of a simulated cache with a policy of its own.
type shard struct {
	capacity uint64
	p        *evict.Policy[*space]
}

// adaptive is a cache under the policy of package evict.
type adaptive struct {
	t      *Trace
	in     []bool
	shards []shard
}

// Adaptive is the policy of package evict in one shard.
func Adaptive(t *Trace, capacity uint64) Cache {
	return newAdaptive(t, capacity, 1, evict.NewAdvisor())
}

// AdaptiveShards returns a Maker of the policy in n shards with a common Advisor.
func AdaptiveShards(n int) Maker {
	return func(t *Trace, capacity uint64) Cache { return newAdaptive(t, capacity, n, evict.NewAdvisor()) }
}

func newAdaptive(t *Trace, capacity uint64, n int, a *evict.Advisor) *adaptive {
	c := &adaptive{t: t, in: make([]bool, t.Unique)}
	s := &space{t: t, nodes: make([]evict.Node, t.Unique+1)}
	for i := range n {
		part := capacity*uint64(i+1)/uint64(n) - capacity*uint64(i)/uint64(n)
		c.shards = append(c.shards, shard{part, evict.New(s, evict.Options{Capacity: part, Advisor: a})})
	}
	return c
}

func (c *adaptive) Access(key uint32) bool {
	h := Hash(key)
	s := &c.shards[h%uint64(len(c.shards))]
	if c.in[key] {
		s.p.Hit(key+1, h)
		return true
	}
	s.p.Miss(h)
	if uint64(c.t.Size(key)) > s.capacity {
		return false
	}
	s.p.Admit(key+1, h)
	c.in[key] = true
	for s.p.Weight() > s.capacity {
		c.in[s.p.Victim()-1] = false
	}
	return false
}
