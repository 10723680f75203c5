package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// load is what live items (keys, values and headers), index, the policy's tables and free chunks take of the limit.
func load(s *Store) (live, index, policy, free float64) {
	var weight, tables, charged, units int64
	for _, sh := range s.shards {
		sh.mu.Lock()
		weight += int64(sh.policy.Weight())
		tables += int64(sh.tablePages) << sh.pool.shift
		charged += sh.charged
		units += sh.free * int64(sh.unit)
		sh.mu.Unlock()
	}
	limit := float64(s.Limit())
	return float64(weight) / limit, float64(tables) / limit, float64(charged) / limit, float64(units) / limit
}

// TestMemoryIsUsed fills stores with changing mixes of sizes and demands that live items and what they need take nearly all of the limit whatever
// went before, and that the limit holds at each step.
func TestMemoryIsUsed(t *testing.T) {
	if raced {
		t.Skip("one goroutine, and much to do")
	}
	fixed := func(n int) func(*rand.Rand) int { return func(*rand.Rand) int { return n } }
	f := func(memory int64, shards int) {
		t.Run(fmt.Sprintf("%d MiB, %d shards", memory>>20, shards), func(t *testing.T) {
			s, err := New(Options{Memory: memory, MaxItem: 4 << 20, Shards: shards, Seed: 9})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			rnd := rand.New(rand.NewPCG(1, 9))
			data := make([]byte, 4<<20)
			n := 0
			phase := func(name string, least float64, size func(*rand.Rand) int) {
				for stored := int64(0); stored < memory*2; n++ {
					key := fmt.Appendf(nil, "%08x-%d", rnd.Uint32(), n)
					v := size(rnd)
					r := s.Lock(key, 1000)
					if err := r.Put(Value{}, data[:v]); err != nil {
						t.Fatalf("%s: %d bytes: %v", name, v, err)
					}
					r.Unlock()
					stored += int64(v + 40)
					if n%1000 == 0 {
						if used := s.pool.used(); used > memory {
							t.Fatalf("%s: %d bytes used of %d", name, used, memory)
						}
					}
				}
				live, index, policy, free := load(s)
				t.Logf("%-12s live %.1f %%, index %.1f %%, policy %.1f %%, free in pages %.1f %%", name, live*100, index*100, policy*100, free*100)
				if live+index+policy < least {
					t.Errorf("%s: live items and what they need take %.1f %% of the limit, want %.0f", name, (live+index+policy)*100, least*100)
				}
			}
			phase("100 B", 0.94, fixed(100))
			phase("1 KB", 0.94, fixed(1000))
			phase("10 KB", 0.94, fixed(10_000))
			phase("100 KB", 0.92, fixed(100_000))
			phase("100 B again", 0.94, fixed(100))
			phase("0-200", 0.92, upTo(200))
			phase("0-2000", 0.92, upTo(2000))
			phase("3-4 KB", 0.92, func(r *rand.Rand) int { return 3000 + r.IntN(1200) })
			phase("0-20000", 0.92, upTo(20_000))
			phase("all", 0.92, mixed)
			phase("50 B", 0.92, fixed(50))
			checkStore(t, s, 0)
		})
	}
	f(32<<20, 0)
	if !testing.Short() {
		f(16<<20, 4)
	}
}
