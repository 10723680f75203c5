package evict

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestKeep saves a policy in the middle of its work; the one that is loaded from that chooses the same victims.
func TestKeep(t *testing.T) {
	const n, keys = 4000, 8000
	a := newArena(keys)
	p := New(a, Options{Capacity: n})
	in := map[uint32]bool{}
	step := func(p *Policy[*arena], rnd *rand.Rand) (victim uint32) {
		h := 1 + uint32(rnd.ExpFloat64()*keys/4)%keys
		if in[h] {
			p.Hit(h, a.hashes[h])
			return 0
		}
		p.Miss(a.hashes[h])
		if len(in) == n {
			victim = p.Victim()
			delete(in, victim)
		}
		p.Admit(h, a.hashes[h])
		in[h] = true
		return victim
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20 * n {
		step(p, rnd)
	}
	var order []uint32
	p.Each(func(h uint32) { order = append(order, h) })
	state := p.AppendState(nil)
	nodes := slices.Clone(a.nodes)
	want := drain(p)
	copy(a.nodes, nodes)

	q := New(a, Options{Capacity: n})
	q.mode = p.mode
	q.core.resize(n, p.core.mode)
	if err := q.LoadState(state); err != nil {
		t.Fatal(err)
	}
	for _, h := range order {
		q.Adopt(h)
	}
	mustCheck(t, &q.core)
	if q.Len() != len(order) || q.Len() != len(in) || q.Bytes() == 0 {
		t.Errorf("%d items of %d, %d bytes of ghosts", q.Len(), len(in), q.Bytes())
	}
	if string(q.AppendState(nil)) != string(state) {
		t.Error("the state written again differs")
	}
	if len(want) != len(order) || !slices.Equal(drain(q), want) {
		t.Errorf("other victims, or not all: %d of %d items", len(want), len(order))
	}
	q.Reset()
	if q.Len() != 0 || q.Weight() != 0 || q.Bytes() != 0 || q.Victim() != 0 {
		t.Errorf("after a reset: %d items, %d bytes", q.Len(), q.Bytes())
	}
}

func drain(p *Policy[*arena]) (victims []uint32) {
	for h := p.Victim(); h != 0; h = p.Victim() {
		victims = append(victims, h)
	}
	return victims
}

func FuzzLoadState(f *testing.F) {
	a := newArena(10)
	p := New(a, Options{Capacity: 5})
	for h := uint32(1); h <= 9; h++ {
		p.Admit(h, a.hashes[h])
		p.Victim()
	}
	f.Add(p.AppendState(nil))
	f.Add([]byte{stateVersion, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := New(newArena(10), Options{Capacity: 5})
		if p.LoadState(b) == nil {
			if got := p.AppendState(nil); string(got) != string(b) {
				t.Errorf("%x read and written is %x", b, got)
			}
			for h := uint32(1); h <= 9; h++ {
				p.Admit(h, a.hashes[h])
			}
			p.Victim()
		}
	})
}

// TestHitsThinTheSample: a policy that goes on with a store's items sees hits before it sees a store; the shadows must stay as small as ever.
func TestHitsThinTheSample(t *testing.T) {
	const n = 20 * shadowItems
	a := newArena(n)
	p := New(a, Options{Capacity: 2 * n})
	for h := uint32(1); h <= n; h++ {
		p.Adopt(h)
	}
	for h := uint32(1); h <= n; h++ {
		p.Hit(h, a.hashes[h])
	}
	for i, s := range p.advisor.shadows {
		if got := s.core.items(); got > shadowItems+batch {
			t.Errorf("%s: %d items in a shadow", modes[i].name, got)
		}
	}
	if st := p.advisor.Status(); st.Sample > 1.0/16 || st.Bytes > 1<<20 {
		t.Errorf("%+v", st)
	}
}
