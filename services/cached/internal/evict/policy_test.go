package evict

import "testing"

// arena is a Space over a slice.
type arena struct {
	nodes   []Node
	weights []uint32
	hashes  []uint64
}

func newArena(n int) *arena {
	return &arena{nodes: make([]Node, n+1), weights: make([]uint32, n+1), hashes: make([]uint64, n+1)}
}

func (a *arena) Node(h uint32) *Node    { return &a.nodes[h] }
func (a *arena) Weight(h uint32) uint32 { return a.weights[h] }
func (a *arena) Hash(h uint32) uint64   { return a.hashes[h] }

func TestUsedItemsStay(t *testing.T) {
	a := newArena(4)
	p := New(a, Options{Capacity: 3})
	for h := uint32(1); h <= 3; h++ {
		a.weights[h], a.hashes[h] = 1, uint64(h)
		p.Admit(h, uint64(h))
	}
	p.Hit(1, 1)
	if v := p.Victim(); v != 2 {
		t.Errorf("victim %d, want 2: 1 was read", v)
	}
	p.Remove(3)
	if v := p.Victim(); v != 1 {
		t.Errorf("victim %d, want 1: all that is left", v)
	}
	if v := p.Victim(); v != 0 || p.Len() != 0 || p.Weight() != 0 {
		t.Errorf("empty policy: victim %d, %d items, weight %d", v, p.Len(), p.Weight())
	}
}
