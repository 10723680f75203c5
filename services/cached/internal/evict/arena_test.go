package evict

import (
	"fmt"
	"testing"
)

// arena is a Space over slices.
type arena struct {
	nodes   []Node
	weights []uint32
	hashes  []uint64
}

func newArena(n int) *arena {
	a := &arena{nodes: make([]Node, n+1), weights: make([]uint32, n+1), hashes: make([]uint64, n+1)}
	for h := range a.hashes {
		a.weights[h], a.hashes[h] = 1, mix(uint64(h)*0x9e3779b97f4a7c15+1)
		a.nodes[h].Spare = [3]uint8{1, 2, 3}
	}
	return a
}

func (a *arena) Node(h uint32) *Node    { return &a.nodes[h] }
func (a *arena) Weight(h uint32) uint32 { return a.weights[h] }
func (a *arena) Hash(h uint32) uint64   { return a.hashes[h] }

// check walks both queues and returns what is wrong with them: links, sums, the queue bit, the sweeper's place.
func check[S Space](c *core[S]) error {
	swept := c.sweep == 0
	for _, q := range []struct {
		name  string
		q     *queue
		state uint8
	}{{"window", &c.window, 0}, {"main", &c.main, stateMain}} {
		items, weight, prev := 0, uint64(0), uint32(0)
		for h := q.q.tail; h != 0; h = c.space.Node(h).Next {
			n := c.space.Node(h)
			if n.Prev != prev || n.State&stateMain != q.state {
				return fmt.Errorf("%s: item %d: %+v after %d", q.name, h, *n, prev)
			}
			if items++; items > q.q.items {
				return fmt.Errorf("%s: more than %d items", q.name, q.q.items)
			}
			swept = swept || q.state == stateMain && h == c.sweep
			weight += uint64(c.space.Weight(h))
			prev = h
		}
		if prev != q.q.head || items != q.q.items || weight != q.q.weight {
			return fmt.Errorf("%s: head %d, %d items, weight %d; counted %d, %d, %d", q.name, q.q.head, q.q.items, q.q.weight, prev, items, weight)
		}
	}
	if !swept {
		return fmt.Errorf("sweeper at %d, which is not in main", c.sweep)
	}
	return nil
}

func mustCheck[S Space](t *testing.T, c *core[S]) {
	t.Helper()
	if err := check(c); err != nil {
		t.Fatal(err)
	}
}
