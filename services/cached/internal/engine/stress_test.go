package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// stamped is a value of n bytes that says for which key it was made and with what seed, so that any reader can tell whether it is whole.
func stamped(key []byte, n int, seed uint32) []byte {
	d := make([]byte, max(n, 8))
	binary.LittleEndian.PutUint32(d, seed)
	binary.LittleEndian.PutUint32(d[4:], uint32(len(d)))
	fillStamped(d, key, seed)
	return d
}

func fillStamped(d, key []byte, seed uint32) {
	x := seed*2654435761 + uint32(len(key))
	for i := 8; i < len(d); i++ {
		d[i] = byte(x>>16) ^ key[i%len(key)]
		x = x*1664525 + 1013904223
	}
}

// whole reports whether a value is one that stamped made for the key.
func whole(key, d []byte) bool {
	if len(d) < 8 || int(binary.LittleEndian.Uint32(d[4:])) != len(d) {
		return false
	}
	want := bytes.Clone(d)
	fillStamped(want, key, binary.LittleEndian.Uint32(d))
	return bytes.Equal(d, want)
}

type worker struct {
	testing.TB
	s    *Store
	rnd  *rand.Rand
	pins chan stressPin
	buf  []byte
	now  int64
}

type stressPin struct {
	key []byte
	p   Pinned
}

func (w *worker) step() {
	key := fmt.Appendf(nil, "key-%d", w.rnd.IntN(10000))
	size := w.rnd.IntN(1 << (3 + w.rnd.IntN(13)))
	switch op := w.rnd.IntN(100); {
	case op < 30:
		w.get(key, w.s.Lock(key, w.now))
	case op < 40:
		w.multiget()
	case op < 65:
		r := w.s.Lock(key, w.now)
		_ = r.Put(Value{Flags: uint32(op % 2), Expires: w.now + int64(w.rnd.IntN(3000)) - 1}, stamped(key, size, w.rnd.Uint32()))
		r.Unlock()
	case op < 72:
		w.arrive(key, size)
	case op < 76:
		r := w.s.Lock(key, w.now)
		r.Delete()
		r.Unlock()
	case op < 80:
		r := w.s.Lock(key, w.now)
		if r.Found() {
			r.Touch(w.now + int64(w.rnd.IntN(100)))
			if w.rnd.IntN(2) == 0 {
				r.SetCAS(w.rnd.Uint64())
			}
			r.Overwrite(stamped(key, r.Len(), w.rnd.Uint32()), 0)
		}
		r.Unlock()
	case op < 90:
		w.unpin()
	case op < 94:
		w.s.Sweep(w.now, 1000)
	case op < 96:
		w.s.Stats()
		w.s.ByClass()
	case op < 98:
		w.s.Scan(0, 100, w.now, func(r *Ref) {
			if d := r.AppendValue(nil); !whole(r.Key(), d) {
				w.Errorf("scan shows %q with a damaged value of %d bytes", r.Key(), len(d))
			}
		})
	case op < 99 && w.rnd.IntN(200) == 0:
		w.s.FlushAll(0, w.now)
	default:
		if err := w.s.SetLimit(int64(4+w.rnd.IntN(4)) << 20); err != nil {
			w.Error(err)
		}
		w.now++
	}
}

// multiget reads keys that were announced, while others change them.
func (w *worker) multiget() {
	var a Ahead
	var keys [][]byte
	for range w.rnd.IntN(AheadKeys + 1) {
		keys = append(keys, fmt.Appendf(nil, "key-%d", w.rnd.IntN(10000)))
		a.Add(w.s, keys[len(keys)-1])
	}
	a.Fetch(w.s)
	for i, key := range keys {
		w.get(key, a.Lock(w.s, i, key, w.now))
	}
}

func (w *worker) get(key []byte, r Ref) {
	defer r.Unlock()
	if !r.Found() {
		r.Count(GetMisses)
		return
	}
	w.buf = r.AppendValue(w.buf[:0])
	if !whole(key, w.buf) {
		w.Errorf("%q: damaged value of %d bytes", key, len(w.buf))
	}
	r.Use()
	r.Count(GetHits)
	if w.rnd.IntN(4) == 0 {
		p := stressPin{key, r.Pin()}
		select {
		case w.pins <- p:
		default:
			p.p = Pinned{}
			// Unpin takes the lock, which this goroutine has: hand the value to nobody.
			q := r.Pin()
			if q.sh != nil {
				q.sh.unpin(q.h)
				q.sh.unpin(q.h)
			}
		}
	}
}

// arrive reserves memory, fills it and stores it, or gives up.
func (w *worker) arrive(key []byte, size int) {
	var p Pending
	d := stamped(key, size, w.rnd.Uint32())
	if w.s.Reserve(&p, key, len(d), 0, w.now) != nil {
		return
	}
	for n := 0; p.Left() > 0; {
		k := copy(p.Buf(), d[n:])
		n += k
		p.Advance(k)
		if w.rnd.IntN(100) == 0 {
			p.Release()
			return
		}
	}
	r := w.s.Lock(key, w.now)
	defer r.Unlock()
	if w.rnd.IntN(10) == 0 {
		p.Release()
	} else if err := r.Commit(&p, Value{}); err != nil {
		w.Error(err)
	}
}

func (w *worker) unpin() {
	select {
	case p := <-w.pins:
		var d []byte
		for p.p.Len() > 0 {
			b := p.p.Next()
			d = append(d, b...)
			p.p.Advance(len(b))
		}
		if !whole(p.key, d) {
			w.Errorf("%q: pinned value of %d bytes damaged", p.key, len(d))
		}
		p.p.Unpin()
	default:
	}
}

func TestStress(t *testing.T) {
	s, err := New(Options{Memory: 8 << 20, MaxItem: 1 << 20, Shards: 4, Seed: 3, Evicted: func(Gone) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Watch(true)
	steps := 20_000
	if testing.Short() {
		steps = 4000
	}
	pins := make(chan stressPin, 50)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			w := &worker{TB: t, s: s, rnd: rand.New(rand.NewPCG(uint64(i), 5)), pins: pins, now: 1_000_000}
			for range steps {
				w.step()
			}
		})
	}
	wg.Wait()
	close(pins)
	for p := range pins {
		p.p.Unpin()
	}
	for _, sh := range s.shards {
		sh.collect()
	}
	checkStore(t, s, 0)
	st := s.Stats()
	t.Logf("%d items, %d evictions, %d reclaimed, %d out of memory", st.Items, st.Evictions, st.Reclaimed, st.OutOf)
}
