package ring

import (
	"cmp"
	"slices"
)

// turns says whose turn it is. The kth turn of a backend of weight w, k from 0, is at the virtual time k/w; turns of
// one time go in the order of names. So the share of turns is the share of weight at every moment, equal weights give
// the plain round robin of the paper, and a change of one weight leaves the order among all others as it was.
//
// Backends of one weight take their kth turns together, hence they form a class and the heap holds classes only.
type turns struct {
	heap []*class
}

// class is the backends of one weight.
type class struct {
	weight  uint64
	turn    uint64   // k of the turn that is going on
	members []uint16 // by name
	at      int      // whose turn it is among them
}

func newTurns(backends []Backend) *turns {
	byWeight := map[int]*class{}
	t := &turns{}
	for i, b := range backends {
		if b.Weight == 0 {
			continue
		}
		c := byWeight[b.Weight]
		if c == nil {
			c = &class{weight: uint64(b.Weight)}
			byWeight[b.Weight] = c
			t.heap = append(t.heap, c)
		}
		c.members = append(c.members, uint16(i))
	}
	slices.SortFunc(t.heap, compareClasses) // a sorted slice is a heap
	return t
}

// compareClasses orders by virtual time, then by name. The products stay below 2^27: at most Size turns and MaxWeight.
func compareClasses(a, b *class) int {
	if c := cmp.Compare(a.turn*b.weight, b.turn*a.weight); c != 0 {
		return c
	}
	return cmp.Compare(a.members[a.at], b.members[b.at])
}

// next returns whose turn it is and moves on.
func (t *turns) next() int {
	c := t.heap[0]
	i := int(c.members[c.at])
	if c.at++; c.at == len(c.members) {
		c.at = 0
		c.turn++
	}
	if len(t.heap) > 1 {
		t.sink()
	}
	return i
}

// sink restores the heap after its first class has moved on.
func (t *turns) sink() {
	h := t.heap
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if compareClasses(h[child], h[least]) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
