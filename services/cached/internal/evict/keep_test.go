package evict

import (
	"encoding/binary"
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
	roll, items := roll(p)
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
	if err := q.Adopt(roll); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, &q.core)
	if q.Len() != items || q.Len() != len(in) || q.Bytes() == 0 {
		t.Errorf("%d items of %d, %d bytes of ghosts", q.Len(), len(in), q.Bytes())
	}
	if string(q.AppendState(nil)) != string(state) {
		t.Error("the state written again differs")
	}
	if len(want) != items || !slices.Equal(drain(q), want) {
		t.Errorf("other victims, or not all: %d of %d items", len(want), items)
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

// lists are the handles in the queues of a policy, as List takes them.
func lists(p *Policy[*arena]) (out [Queues][]byte) {
	for q, e := range p.Ends() {
		for h := e.Tail; h != 0; h = p.core.space.Node(h).Next {
			out[q] = binary.LittleEndian.AppendUint32(out[q], h)
		}
	}
	return out
}

// roll is a Roll of all items of a policy, and their number.
func roll(p *Policy[*arena]) (r *Roll, items int) {
	r = NewRoll()
	for q, l := range lists(p) {
		r.List(q, l)
		for ; len(l) > 0; l = l[4:] {
			h := binary.LittleEndian.Uint32(l)
			r.Meet(h, p.core.space.Node(h), p.core.space.Weight(h))
			items++
		}
	}
	return r, items
}

// TestRollRefuses: a policy takes over no items whose nodes say anything else than the lists.
func TestRollRefuses(t *testing.T) {
	const n = 100
	f := func(name string, wantErr bool, spoil func(a *arena, l *[Queues][]byte)) {
		t.Run(name, func(t *testing.T) {
			a := newArena(n + 1)
			p := New(a, Options{Capacity: n})
			for h := uint32(1); h <= n; h++ {
				p.Admit(h, a.hashes[h])
			}
			l := lists(p)
			spoil(a, &l)
			r := NewRoll()
			for h := uint32(1); h <= n; h++ {
				r.Meet(h, a.Node(h), a.Weight(h))
			}
			for q := range l {
				r.List(q, l[q])
			}
			if err := New(a, Options{Capacity: n}).Adopt(r); (err != nil) != wantErr {
				t.Errorf("%v", err)
			}
		})
	}
	swap := func(b []byte, i, j int) {
		for k := range 4 {
			b[4*i+k], b[4*j+k] = b[4*j+k], b[4*i+k]
		}
	}
	f("nothing", false, func(*arena, *[Queues][]byte) {})
	f("other order", true, func(_ *arena, l *[Queues][]byte) { swap(l[1], 3, 4) })
	f("item left out", true, func(_ *arena, l *[Queues][]byte) { l[0] = l[0][4:] })
	f("item twice", true, func(_ *arena, l *[Queues][]byte) { copy(l[1][4:], l[1][:4]) })
	f("item that is none", true, func(_ *arena, l *[Queues][]byte) {
		l[0] = binary.LittleEndian.AppendUint32(l[0], n+1)
	})
	f("no list", true, func(_ *arena, l *[Queues][]byte) { l[0], l[1] = nil, nil })
	f("queues exchanged", true, func(_ *arena, l *[Queues][]byte) { l[0], l[1] = l[1], l[0] })
	f("next", true, func(a *arena, _ *[Queues][]byte) { a.Node(7).Next++ })
	f("previous", true, func(a *arena, _ *[Queues][]byte) { a.Node(7).Prev++ })
	f("queue of an item", true, func(a *arena, _ *[Queues][]byte) { a.Node(7).State ^= stateMain })
	f("ring", true, func(a *arena, l *[Queues][]byte) { // of the items from the third on, without them in the list; every link has one back
		first, last := binary.LittleEndian.Uint32(l[1][8:]), binary.LittleEndian.Uint32(l[1][len(l[1])-4:])
		a.Node(a.Node(first).Prev).Next = 0
		a.Node(first).Prev, a.Node(last).Next = last, first
		l[1] = l[1][:8]
	})
}

// TestHitsThinTheSample: a policy that goes on with a store's items sees hits before it sees a store; the shadows must stay as small as ever.
func TestHitsThinTheSample(t *testing.T) {
	const n = 20 * shadowItems
	a := newArena(n)
	p := New(a, Options{Capacity: 2 * n})
	for h := uint32(1); h <= n; h++ {
		pushHead(a, &p.core.window, h)
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
