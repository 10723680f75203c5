package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// model is a plain map beside a store. The store may lose items (eviction) but never show a wrong one.
type model struct {
	testing.TB
	s     *Store
	rnd   *rand.Rand
	now   int64
	items map[string]modelItem
	keys  int
	sizes func(*rand.Rand) int
	pins  []modelPin
	pend  []modelPending
	lost  int
	found int
}

type modelItem struct {
	data                []byte
	flags               uint32
	expires             int64
	cas                 uint64
	used                int64
	fetched, stale, won bool
}

type modelPin struct {
	p    Pinned
	want []byte
}

type modelPending struct {
	p    Pending
	key  string
	want []byte
	fill int
}

func (m *model) key() string {
	n := m.rnd.IntN(m.keys)
	k := fmt.Sprintf("key%d-", n)
	for len(k) < 1+n%40 {
		k += "x"
	}
	return k[:max(min(len(k), MaxKey), 1)]
}

// noise is what values are cut from.
var noise = func() []byte {
	b := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}()

func (m *model) data(n int) []byte {
	at := m.rnd.IntN(len(noise) - n)
	return bytes.Clone(noise[at : at+n])
}

func (m *model) ttl() int64 {
	switch m.rnd.IntN(4) {
	case 0:
		return m.now + 1 + int64(m.rnd.IntN(50))
	case 1:
		if m.rnd.IntN(20) == 0 {
			return m.now - 1
		}
	}
	return Never
}

// look checks what a Ref shows against the model and returns what is known of the item.
func (m *model) look(r *Ref, key string) modelItem {
	m.Helper()
	want, known := m.items[key]
	if known && want.expires != Never && want.expires <= m.now {
		known = false
		delete(m.items, key)
	}
	if !r.Found() {
		if known {
			m.lost++
			delete(m.items, key)
		}
		return modelItem{}
	}
	if !known {
		m.Fatalf("%q found, but it is not there", key)
	}
	m.found++
	got := r.AppendValue(nil)
	if !bytes.Equal(got, want.data) {
		m.Fatalf("%q: value of %d bytes differs from the %d stored", key, len(got), len(want.data))
	}
	if r.Len() != len(want.data) || r.Flags() != want.flags || r.Expires() != want.expires || r.Fetched() != want.fetched ||
		r.Stale() != want.stale || r.Won() != want.won || r.LastAccess() != want.used || r.CAS() != want.cas {
		m.Fatalf("%q: len %d flags %d expires %d fetched %v stale %v won %v used %d cas %d, want %+v", key, r.Len(), r.Flags(), r.Expires(),
			r.Fetched(), r.Stale(), r.Won(), r.LastAccess(), r.CAS(), want)
	}
	if len(want.data) <= Contiguous && !bytes.Equal(r.Value(), want.data) {
		m.Fatalf("%q: Value differs", key)
	}
	if r.Size() != ItemSize(len(key), len(want.data), want.flags, true) || r.Class() != ClassOf(r.Size()) {
		m.Fatalf("%q: size %d class %d", key, r.Size(), r.Class())
	}
	return want
}

func (m *model) value() Value {
	v := Value{Expires: m.ttl()}
	if m.rnd.IntN(3) == 0 {
		v.Flags = m.rnd.Uint32()
	}
	switch m.rnd.IntN(8) {
	case 0:
		v.CAS = m.rnd.Uint64()
	case 1:
		v.CAS = uint64(m.rnd.Uint32())
	}
	return v
}

func (m *model) step() {
	key := m.key()
	r := m.s.Lock([]byte(key), m.now)
	it := m.look(&r, key)
	found := r.Found()
	save := func() {
		if r.gone {
			delete(m.items, key)
			return
		}
		it.cas = r.CAS()
		m.items[key] = it
		if it.expires == Never || it.expires > m.now {
			m.look(&r, key)
		}
	}
	switch op := m.rnd.IntN(20); {
	case op < 5:
		v, data := m.value(), m.data(m.sizes(m.rnd))
		if err := r.Put(v, data); err != nil {
			if r.Found() != found {
				delete(m.items, key)
			}
			break
		}
		it = modelItem{data: data, flags: v.Flags, expires: v.Expires, used: m.now}
		if v.CAS != 0 && r.CAS() != v.CAS {
			m.Fatalf("CAS %d, want %d", r.CAS(), v.CAS)
		}
		save()
	case op < 6 && len(m.pend) < 10:
		p := modelPending{key: key, want: m.data(m.sizes(m.rnd))}
		r.Unlock()
		if err := m.s.Reserve(&p.p, []byte(key), len(p.want), 0, m.now); err == nil {
			m.pend = append(m.pend, p)
		}
		return
	case op < 7 && len(m.pend) > 0:
		r.Unlock()
		m.pending(m.rnd.IntN(len(m.pend)))
		return
	case op < 9 && len(m.pins) > 0:
		r.Unlock()
		m.unpin(m.rnd.IntN(len(m.pins)))
		return
	case !found:
		r.Count(GetMisses)
	case op < 11:
		r.Use()
		it.fetched, it.used = true, m.now
		save()
	case op < 12:
		it.expires, it.used = m.ttl(), m.now
		if it.expires != Never && it.expires <= m.now {
			it.expires = Never
		}
		r.Touch(it.expires)
		save()
	case op < 13:
		n := m.rnd.Uint64() >> m.rnd.IntN(64)
		r.SetCAS(n)
		save()
	case op < 14:
		it.stale, it.won = m.rnd.IntN(2) == 0, m.rnd.IntN(2) == 0
		r.MarkStale(it.stale)
		r.MarkWon(it.won)
		save()
	case op < 15:
		r.Delete()
		delete(m.items, key)
		if r.Found() {
			m.Fatal("found after Delete")
		}
	case op < 17:
		data, front := m.data(m.sizes(m.rnd)/4), m.rnd.IntN(2) == 0
		if err := r.Extend(data, front, 0); err != nil {
			m.look(&r, key)
			break
		}
		if front {
			it.data = append(bytes.Clone(data), it.data...)
		} else {
			it.data = append(bytes.Clone(it.data), data...)
		}
		it.used = m.now
		save()
	case op < 18:
		data := m.data(len(it.data))
		r.Overwrite(data, 0)
		it.data, it.used = data, m.now
		save()
	case len(m.pins) < 20:
		m.pins = append(m.pins, modelPin{p: r.Pin(), want: it.data})
	}
	r.Unlock()
}

// unpin reads a pinned value in parts, as a slow client would, and lets it go.
func (m *model) unpin(i int) {
	p := &m.pins[i]
	if p.p.Len() != len(p.want) {
		m.Fatalf("pinned %d bytes, want %d", p.p.Len(), len(p.want))
	}
	var all []byte
	for _, b := range p.p.Pieces(nil, 1<<20) {
		all = append(all, b...)
	}
	if !bytes.Equal(all, p.want) {
		m.Fatal("pinned pieces differ")
	}
	n := min(m.rnd.IntN(5000)+1, p.p.Len())
	p.p.Advance(n)
	p.want = p.want[n:]
	if p.p.Next() != nil && m.rnd.IntN(4) != 0 && len(m.pins) < 20 {
		return
	}
	for p.p.Len() > 0 {
		b := p.p.Next()
		if !bytes.Equal(b, p.want[:len(b)]) {
			m.Fatal("pinned value differs")
		}
		p.want = p.want[len(b):]
		p.p.Advance(len(b))
	}
	p.p.Unpin()
	m.pins = append(m.pins[:i], m.pins[i+1:]...)
}

// pending fills a reserved value further and, when it is full, stores it.
func (m *model) pending(i int) {
	p := &m.pend[i]
	for p.p.Left() > 0 {
		b := p.p.Buf()
		if len(b) == 0 {
			m.Fatal("empty Buf with something left")
		}
		n := copy(b[:m.rnd.IntN(len(b))+1], p.want[p.fill:])
		p.fill += n
		p.p.Advance(n)
		if m.rnd.IntN(10) == 0 {
			return
		}
	}
	switch m.rnd.IntN(4) {
	case 0:
		p.p.Release()
	case 1:
		m.extendBy(p)
	default:
		r := m.s.Lock([]byte(p.key), m.now)
		m.look(&r, p.key)
		v := m.value()
		if m.rnd.IntN(8) == 0 { // a store that is refused
			p.p.Release()
		} else if err := r.Commit(&p.p, v); err == nil {
			m.items[p.key] = modelItem{data: p.want, flags: v.Flags, expires: v.Expires, used: m.now, cas: r.CAS()}
			if v.Expires == Never || v.Expires > m.now {
				m.look(&r, p.key)
			}
		} else {
			delete(m.items, p.key)
		}
		r.Unlock()
	}
	if p.p.Held() {
		m.Fatal("held after its end")
	}
	m.pend = append(m.pend[:i], m.pend[i+1:]...)
}

func (m *model) extendBy(p *modelPending) {
	r := m.s.Lock([]byte(p.key), m.now)
	defer r.Unlock()
	it := m.look(&r, p.key)
	if !r.Found() {
		p.p.Release()
		return
	}
	if err := r.ExtendBy(&p.p, true, 0); err != nil {
		m.look(&r, p.key)
		return
	}
	it.data = append(bytes.Clone(p.want), it.data...)
	it.used, it.cas = m.now, r.CAS()
	m.items[p.key] = it
	m.look(&r, p.key)
}

// loose is the number of items that no key has but that are held.
func (m *model) loose() int {
	seen := map[*header]bool{}
	for i := range m.pins {
		if p := &m.pins[i].p; p.sh != nil && p.sh.item(p.h).has(loose) {
			seen[p.sh.item(p.h)] = true
		}
	}
	return len(seen) + len(m.pend)
}

func (m *model) end() {
	for len(m.pins) > 0 {
		m.pins[0].p.Unpin()
		m.pins = m.pins[1:]
	}
	for i := range m.pend {
		m.pend[i].p.Release()
	}
	m.pend = nil
	checkStore(m, m.s, 0)
}

func newModel(t testing.TB, o Options, seed uint64, keys int, sizes func(*rand.Rand) int) *model {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{TB: t, s: s, rnd: rand.New(rand.NewPCG(seed, 1)), now: 1_000_000, items: map[string]modelItem{}, keys: keys, sizes: sizes}
	t.Cleanup(func() {
		if !t.Failed() { // a failure may have left a lock taken
			m.s.Close()
		}
	})
	return m
}

func upTo(n int) func(*rand.Rand) int { return func(r *rand.Rand) int { return r.IntN(n + 1) } }

// mixed draws sizes from all ranges.
func mixed(r *rand.Rand) int { return r.IntN(1 << (2 + r.IntN(17))) }

func TestModel(t *testing.T) {
	f := func(name string, o Options, keys, steps, every int, sizes func(*rand.Rand) int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() || raced {
				steps /= 5
			}
			o.Seed = 1
			m := newModel(t, o, 7, keys, sizes)
			for i := range steps {
				m.step()
				if m.rnd.IntN(50) == 0 {
					m.now++
				}
				if m.rnd.IntN(2000) == 0 {
					m.s.Sweep(m.now, 1+m.rnd.IntN(10000))
				}
				if m.rnd.IntN(20000) == 0 {
					m.s.FlushAll(0, m.now)
					m.items = map[string]modelItem{}
				}
				if m.rnd.IntN(5000) == 0 && !o.NoEvict {
					if err := m.s.SetLimit(o.Memory * int64(4+m.rnd.IntN(8)) / 8); err != nil {
						t.Fatal(err)
					}
				}
				if i%every == 0 {
					checkStore(t, m.s, m.loose())
				}
			}
			st := m.s.Stats()
			t.Logf("%d found, %d lost; %d items, %d evictions, %d reclaimed, used %d of %d, free %d, crowded %d", m.found, m.lost, st.Items, st.Evictions,
				st.Reclaimed, st.Used, st.Limit, st.Free, st.Crowded)
			if o.NoEvict && st.Evictions > 0 {
				t.Error("evicted with eviction off")
			}
			m.end()
		})
	}
	const mb = 1 << 20
	f("roomy", Options{Memory: 64 * mb, MaxItem: mb, Shards: 4}, 2000, 40_000, 4000, upTo(1000))
	f("small items", Options{Memory: 1 * mb, MaxItem: mb, Shards: 1}, 20000, 100_000, 5000, upTo(100))
	f("medium items", Options{Memory: 2 * mb, MaxItem: mb, Shards: 2}, 20000, 100_000, 5000, upTo(3000))
	f("long items", Options{Memory: 8 * mb, MaxItem: mb, Shards: 2}, 2000, 15_000, 500, upTo(100_000))
	f("large pages", Options{Memory: 32 * mb, MaxItem: 4 * mb, Shards: 2}, 2000, 8_000, 500, upTo(300_000))
	f("all sizes", Options{Memory: 4 * mb, MaxItem: mb, Shards: 4}, 20000, 60_000, 2000, mixed)
	f("no eviction", Options{Memory: 2 * mb, MaxItem: mb, Shards: 2, NoEvict: true}, 20000, 40_000, 2000, mixed)
}
