package engine

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// BenchmarkMultiget looks up a hundred keys drawn at random: one after the other, and announced beforehand.
func BenchmarkMultiget(b *testing.B) {
	for _, items := range []int{200_000, benchItems} {
		b.Run(strconv.Itoa(items), func(b *testing.B) { benchMultiget(b, items) })
	}
}

func benchMultiget(b *testing.B, items int) {
	const keys = 100
	s := filled(b, 2<<30, items, 100)
	rnd := rand.New(rand.NewPCG(1, 2))
	var key [keys][16]byte
	dst := make([]byte, 0, 32<<10)
	var a Ahead
	run := func(name string, ahead bool) {
		b.Run(name, func(b *testing.B) {
			before := cpu()
			for b.Loop() {
				for i := range key {
					benchKey(key[i][:], rnd.Uint64N(uint64(items)))
				}
				dst = dst[:0]
				for i := range key {
					if ahead && i%AheadKeys == 0 {
						a.Clear()
						for k := i; k < keys && !a.Full(); k++ {
							a.Add(s, key[k][:])
						}
						a.Fetch(s)
					}
					var r Ref
					if ahead {
						r = a.Lock(s, i%AheadKeys, key[i][:], 1001)
					} else {
						r = s.Lock(key[i][:], 1001)
					}
					if !r.Found() {
						b.Fatal("missed")
					}
					dst = r.AppendValue(dst)
					r.Count(CmdGet)
					r.Count(GetHits)
					r.Use()
					r.Unlock()
				}
			}
			b.ReportMetric(float64(cpu()-before)/float64(b.N)/keys, "cpu-ns/key")
		})
	}
	run("single", false)
	run("ahead", true)
}

// Announcing keys changes nothing: neither what is found, nor what is counted, whatever state the index and the items are in.
func TestAhead(t *testing.T) {
	s := newStoreT(t, Options{Shards: 4, Memory: 32 << 20})
	rnd := rand.New(rand.NewPCG(3, 4))
	key := func(i int) []byte { return strconv.AppendInt([]byte("key-"), int64(i), 10) }
	want := map[int][]byte{}
	const many = 20_000
	var a Ahead
	a.Add(s, key(1))
	a.Fetch(s) // of an empty store
	for i := range many {
		if i%7 == 0 {
			continue // never stored
		}
		size := rnd.IntN(200)
		if i%1000 == 1 {
			size = 10_000 + rnd.IntN(90_000)
		}
		expires := Never
		if i%11 == 0 {
			expires = 2000
		}
		data := stamped(key(i), size, uint32(i))
		put(t, s, string(key(i)), Value{Flags: uint32(i % 2), Expires: expires}, data)
		if want[i] = data; i%11 == 0 {
			want[i] = nil
		}
		if i%37 != 0 {
			continue
		}
		var asked []int
		a.Clear()
		for range rnd.IntN(AheadKeys + 1) {
			asked = append(asked, rnd.IntN(i+2))
			a.Add(s, key(asked[len(asked)-1]))
		}
		before := s.Stats()
		a.Fetch(s)
		if diff := cmp.Diff(before, s.Stats()); diff != "" {
			t.Fatalf("statistics after Fetch: %s", diff)
		}
		for k, n := range asked {
			r := a.Lock(s, k, key(n), 3000)
			if r.Found() != (want[n] != nil) || r.Found() && !bytes.Equal(r.AppendValue(nil), want[n]) {
				t.Fatalf("key %d of the list: found %v", n, r.Found())
			}
			r.Unlock()
		}
	}
}
