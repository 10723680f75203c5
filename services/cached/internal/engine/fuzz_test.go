package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// stream is a source of random numbers that a fuzzer decides. No two are alike, since callers draw again until a number suits them.
type stream struct {
	b []byte
	n uint64
}

func (s *stream) Uint64() uint64 {
	var w [2]byte
	k := copy(w[:], s.b)
	s.b = s.b[k:]
	s.n += 0x9e3779b97f4a7c15
	return mix*(uint64(binary.LittleEndian.Uint16(w[:]))<<32+uint64(w[1])) + s.n
}

// FuzzOperations lets the fuzzer choose the operations, keys and sizes of the model test, in a store so small that everything is evicted and moved.
func FuzzOperations(f *testing.F) {
	seed := make([]byte, 4096)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range seed {
		seed[i] = byte(rnd.Uint32())
	}
	f.Add(seed, false)
	f.Add(seed[:1000], true)
	f.Fuzz(func(t *testing.T, ops []byte, keep bool) {
		o := Options{Memory: 600 << 10, MaxItem: 256 << 10, Shards: 1, Seed: 1, NoEvict: keep}
		m := newModel(t, o, 1, 30, upTo(40_000))
		src := &stream{b: ops}
		m.rnd = rand.New(src)
		for n := 0; len(src.b) > 0 && n < 5000; n++ {
			m.step()
			switch m.rnd.IntN(64) {
			case 0:
				m.now++
			case 1:
				m.s.Sweep(m.now, 100)
			case 2:
				m.s.FlushAll(0, m.now)
				m.items = map[string]modelItem{}
			case 3:
				checkStore(t, m.s, m.loose())
			}
		}
		checkStore(t, m.s, m.loose())
		m.end()
	})
}
