package evict

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func TestUsedItemsStay(t *testing.T) {
	for m := range modes {
		a := newArena(100)
		c := newCore(a, 100, &modes[m])
		for h := uint32(1); h <= 100; h++ {
			c.admit(h, a.hashes[h])
		}
		c.pass(1)
		for range 14 { // a later epoch, so that order by use differs from order by age
			c.pass(1)
		}
		for range 3 {
			c.hit(1)
			c.hit(2)
		}
		for range 50 {
			if v := c.victim(); v <= 2 {
				t.Errorf("%s: %d left, which was read", modes[m].name, v)
			}
			mustCheck(t, &c)
		}
	}
}

func TestEmpty(t *testing.T) {
	a := newArena(3)
	p := New(a, Options{Capacity: 3})
	if v := p.Victim(); v != 0 {
		t.Errorf("victim %d of an empty policy", v)
	}
	p.Admit(1, a.hashes[1])
	p.Admit(2, a.hashes[2])
	p.Remove(1)
	if v := p.Victim(); v != 2 {
		t.Errorf("victim %d, want the only item", v)
	}
	if p.Victim() != 0 || p.Len() != 0 || p.Weight() != 0 {
		t.Errorf("%d items, weight %d left", p.Len(), p.Weight())
	}
}

func TestLRUOrder(t *testing.T) {
	const n = 800
	a := newArena(2 * n)
	c := newCore(a, n, &modes[modeRecent])
	for h := uint32(1); h <= n; h++ {
		c.admit(h, a.hashes[h])
	}
	c.hit(5)
	for h := uint32(n + 1); h <= n+n/2; h++ {
		c.admit(h, a.hashes[h])
		if v := c.victim(); v == 5 {
			t.Fatalf("item 5 left after %d evictions, though it was the last that was read", h-n)
		}
	}
	mustCheck(t, &c)
}

// TestLoopIsHeld: of a loop of twice the capacity, all modes with a main part keep what fits there, where LRU keeps nothing.
func TestLoopIsHeld(t *testing.T) {
	const n = 1000
	for _, m := range []int{modeSteady, modeMixed} {
		a := newArena(2 * n)
		c := newCore(a, n, &modes[m])
		in := make([]bool, 2*n+1)
		hits := 0
		for i := range 20 * n {
			h := uint32(i%(2*n)) + 1
			if in[h] {
				c.hit(h)
				hits++
				continue
			}
			c.admit(h, a.hashes[h])
			in[h] = true
			for c.weight() > n {
				in[c.victim()] = false
			}
		}
		if want := int(c.mainCap) * 20 * n / (2 * n) * 8 / 10; hits < want {
			t.Errorf("%s: %d hits, want %d", modes[m].name, hits, want)
		}
	}
}

// drive applies the operations in ops, one a byte pair, to a policy and to a set that says what is there, and checks the queues.
func drive(t *testing.T, ops []byte, every int) {
	const keys = 200
	a := newArena(2 * keys)
	p := New(a, Options{Capacity: 64})
	in := make(map[uint32]bool)
	weight := uint64(0)
	where := make([]uint32, keys+1) // handle of a key: itself or itself+keys
	for i := 0; i+2 < len(ops); i += 3 {
		key := uint32(ops[i+1])%keys + 1
		arg := uint32(ops[i+2])
		if where[key] == 0 {
			where[key] = key
		}
		h := where[key]
		switch ops[i] % 8 {
		case 0, 1, 2: // read, and store when it is not there
			if in[h] {
				p.Hit(h, a.hashes[h])
				break
			}
			p.Miss(a.hashes[h])
			a.weights[h] = arg%16 + 1
			p.Admit(h, a.hashes[h])
			in[h] = true
			weight += uint64(a.weights[h])
			for p.Weight() > 64 {
				v := p.Victim()
				if !in[v] {
					t.Fatalf("victim %d is not there", v)
				}
				delete(in, v)
				weight -= uint64(a.weights[v])
			}
		case 3:
			if !in[h] {
				p.Forget(a.hashes[h])
				break
			}
			p.Remove(h)
			delete(in, h)
			weight -= uint64(a.weights[h])
		case 4, 5: // to the key's other handle
			if !in[h] {
				break
			}
			now := key + keys
			if h == now {
				now = key
			}
			a.hashes[now], a.weights[now] = a.hashes[h], a.weights[h]
			if ops[i]%8 == 4 {
				p.Move(h, now)
			} else {
				a.weights[now] = arg%16 + 1
				weight += uint64(a.weights[now]) - uint64(a.weights[h])
				p.Replace(h, now)
			}
			delete(in, h)
			in[now], where[key] = true, now
		case 6: // overwritten in place
			if !in[h] {
				break
			}
			before := a.weights[h]
			a.weights[h] = arg%16 + 1
			weight += uint64(a.weights[h]) - uint64(before)
			p.Reweigh(h, before)
			p.Replace(h, h)
		case 7:
			p.SetCapacity(uint64(arg))
		}
		if p.Weight() != weight || p.Len() != len(in) {
			t.Fatalf("%d items of %d, want %d of %d", p.Len(), p.Weight(), len(in), weight)
		}
		if i%(3*every) == 0 {
			mustCheck(t, &p.core)
			for _, s := range p.advisor.shadows {
				mustCheck(t, &s.core)
			}
		}
	}
	for n := p.Len(); n > 0; n-- {
		if v := p.Victim(); !in[v] {
			t.Fatalf("victim %d is not there", v)
		}
	}
	for h := range a.nodes {
		if a.nodes[h].Spare != [3]uint8{1, 2, 3} {
			t.Fatalf("item %d: the engine's bytes were written: %v", h, a.nodes[h].Spare)
		}
	}
}

func TestRandomOperations(t *testing.T) {
	n := 200_000
	if testing.Short() {
		n = 20_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	ops := make([]byte, 3*n)
	for i := range len(ops) / 8 {
		binary.LittleEndian.PutUint64(ops[8*i:], r.Uint64())
	}
	drive(t, ops, 50)
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 1, 1, 3, 1, 0})
	f.Add([]byte{0, 1, 15, 0, 2, 15, 0, 3, 15, 0, 4, 15, 0, 5, 15, 5, 3, 2, 6, 4, 9, 7, 0, 3, 0, 6, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		drive(t, ops[:min(len(ops), 3000)], 1)
	})
}

func TestAllModesKeepTheirQueues(t *testing.T) {
	const keys, capacity = 3000, 1000
	a := newArena(keys)
	r := rand.New(rand.NewPCG(3, 4))
	c := newCore(a, capacity, &modes[0])
	in := make([]bool, keys+1)
	for i := range 60_000 {
		if i%1500 == 0 {
			c.resize(uint64(capacity/2+r.IntN(capacity)), &modes[r.IntN(modeCount)])
		}
		h := uint32(r.IntN(r.IntN(keys)+1)) + 1
		switch {
		case in[h] && r.IntN(40) == 0:
			c.remove(h)
			in[h] = false
		case in[h]:
			c.hit(h)
		default:
			c.admit(h, a.hashes[h])
			in[h] = true
		}
		for c.weight() > capacity {
			in[c.victim()] = false
		}
		if i%100 == 0 {
			mustCheck(t, &c)
		}
	}
}

// churn fills a policy and keeps it full with keys drawn as 1/rank.
type churn struct {
	a  *arena
	p  *Policy[*arena]
	in []bool
	r  *rand.Rand
	n  int
}

func newChurn(keys int) *churn {
	a := newArena(keys)
	c := &churn{a: a, p: New(a, Options{Capacity: uint64(keys / 4)}), in: make([]bool, keys+1), r: rand.New(rand.NewPCG(5, 6)), n: keys}
	for range 4 * keys {
		c.step()
	}
	return c
}

func (c *churn) step() {
	h := uint32(c.r.IntN(c.r.IntN(c.n)+1)) + 1
	if c.in[h] {
		c.p.Hit(h, c.a.hashes[h])
		return
	}
	c.p.Miss(c.a.hashes[h])
	c.p.Admit(h, c.a.hashes[h])
	c.in[h] = true
	for c.p.Weight() > uint64(c.n/4) {
		c.in[c.p.Victim()] = false
	}
}

func TestNoAllocations(t *testing.T) {
	c := newChurn(1 << 16)
	if got := testing.AllocsPerRun(20, func() {
		for range 5000 {
			c.step()
		}
	}); got != 0 {
		t.Errorf("%v allocations in 5000 operations", got)
	}
}

func TestMemory(t *testing.T) {
	sizes := []int{1000, 100_000, 1_000_000}
	if testing.Short() {
		sizes = sizes[:2]
	}
	for _, keys := range sizes {
		a := newArena(keys)
		p := New(a, Options{Capacity: uint64(keys)})
		for h := uint32(1); int(h) <= keys; h++ {
			p.Admit(h, a.hashes[h])
		}
		if got := p.Bytes(); got != 0 {
			t.Errorf("%d items: %d bytes before the first eviction", keys, got)
		}
		for range 2 * keys {
			h := p.Victim()
			p.Admit(h, a.hashes[h])
		}
		if got, most := p.Bytes(), max(256<<10, 5*int64(keys)); got > most || got == 0 {
			t.Errorf("%d items: %d bytes, at most %d allowed", keys, got, most)
		}
		if got := p.advisor.Status().Bytes; got > 1<<20 {
			t.Errorf("%d items: %d bytes of shadows", keys, got)
		}
	}
}

func BenchmarkHit(b *testing.B) {
	c := newChurn(1 << 20)
	var hot []uint32
	for h, in := range c.in {
		if in {
			hot = append(hot, uint32(h))
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h := hot[(i*7919)%len(hot)]
		c.p.Hit(h, c.a.hashes[h])
	}
}

func benchmarkReplaceAll(b *testing.B, keys int) {
	c := newChurn(keys)
	next := uint32(1)
	b.ReportAllocs()
	for b.Loop() {
		for c.in[next] {
			next = next%uint32(c.n) + 1
		}
		c.p.Admit(next, c.a.hashes[next])
		c.in[next] = true
		c.in[c.p.Victim()] = false
	}
}

func BenchmarkAdmitVictim(b *testing.B)      { benchmarkReplaceAll(b, 1<<20) }
func BenchmarkAdmitVictimSmall(b *testing.B) { benchmarkReplaceAll(b, 1<<12) }

func BenchmarkMixed(b *testing.B) {
	c := newChurn(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		c.step()
	}
}
