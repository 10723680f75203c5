package limit

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"github.com/everup/everup/shared/fault"
)

func mustKeyed(t testing.TB, r Rate, keys int) *Keyed {
	t.Helper()
	k, err := NewKeyed(r, keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNewKeyedRefuses(t *testing.T) {
	for _, n := range []int{-1, 0, MaxKeys + 1} {
		if _, err := NewKeyed(Rate{}, n); fault.Of(err) != fault.Invalid {
			t.Errorf("%d keys: %v", n, err)
		}
	}
}

func TestSetFillsTwoCacheLines(t *testing.T) {
	if n := unsafe.Sizeof(set{}); n != 128 {
		t.Errorf("a set has %d bytes", n)
	}
}

// While the table is not full, each key has what a bucket of its own gives it.
func TestKeyedEqualsOwnBuckets(t *testing.T) {
	r := mustRate(t, 5, time.Second, 3)
	k := mustKeyed(t, r, 1000)
	own := map[uint64]*Bucket{}
	rnd := rand.New(rand.NewPCG(5, 6))
	for now := int64(0); now < int64(time.Minute); now += rnd.Int64N(int64(4 * time.Millisecond)) {
		key := rnd.Uint64N(200)
		if own[key] == nil {
			own[key] = &Bucket{}
		}
		wantOK, wantWait := own[key].Allow(r, now, 1)
		if ok, wait := k.Allow(key, now, 1); ok != wantOK || wait != wantWait {
			t.Fatalf("key %d at %d: %v, %v; want %v, %v", key, now, ok, wait, wantOK, wantWait)
		}
	}
	if k.Shared() != 0 {
		t.Errorf("%d calls shared a bucket", k.Shared())
	}
}

// However full the table is, no key ever gets more than a bucket of its own would give it, and keys that have a place
// get no less.
func TestKeyedIsConservativeWhenFull(t *testing.T) {
	r := mustRate(t, 2, time.Second, 4)
	k := mustKeyed(t, r, 8)
	granted := map[uint64]*Bucket{} // drained by what Keyed grants
	rnd := rand.New(rand.NewPCG(7, 8))
	known := uint64(1 << 40)
	k.Allow(known, 0, 4)
	refusedKnown := 0
	for now := int64(0); now < int64(20*time.Second); now += rnd.Int64N(int64(2 * time.Millisecond)) {
		key := rnd.Uint64N(40) // few, so that a key often comes by both buckets
		if ok, _ := k.Allow(key, now, 1); ok {
			if granted[key] == nil {
				granted[key] = &Bucket{}
			}
			if ok, _ := granted[key].Allow(r, now, 1); !ok {
				t.Fatalf("key %d at %d got more than its rate", key, now)
			}
		}
		if now > int64(600*time.Millisecond) { // it asks whenever it has one, and so keeps its place
			if k.Tokens(known, now) >= 1 {
				if ok, _ := k.Allow(known, now, 1); !ok {
					refusedKnown++
				}
			}
		}
	}
	if k.Shared() == 0 || refusedKnown > 0 {
		t.Errorf("%d calls shared a bucket, the known key was refused %d times", k.Shared(), refusedKnown)
	}
	if n := k.Active(int64(20 * time.Second)); n > 2*ways {
		t.Errorf("%d keys have a bucket", n)
	}
	if n := k.Active(int64(time.Hour)); n != 0 {
		t.Errorf("%d keys are active after an hour", n)
	}
}

// A key that has used the shared bucket and then gets a place begins with what is left in the shared one.
func TestKeyedPlaceAfterSharing(t *testing.T) {
	k := mustKeyed(t, mustRate(t, 1, time.Second, 2), 1) // one set
	for key := range uint64(ways) {
		k.Charge(key, 0, 2)
	}
	const stranger = 99
	half := int64(500 * time.Millisecond)
	if ok, _ := k.Allow(stranger, half, 2); !ok || k.Shared() != 1 {
		t.Fatalf("granted %v, %d calls shared a bucket", ok, k.Shared())
	}
	if n := k.Tokens(stranger, int64(2*time.Second)); n != 1 || k.Shared() != 1 {
		t.Errorf("%d tokens with a place, want 1; %d calls shared a bucket", n, k.Shared())
	}
}

// With as many active keys as stated, about one in a hundred has to share with another.
func TestKeyedHoldsWhatItStates(t *testing.T) {
	const keys = 1 << 14
	r := mustRate(t, 1, time.Second, 1)
	k := mustKeyed(t, r, keys)
	refused := 0
	for key := range uint64(keys) {
		if ok, _ := k.Allow(key, 0, 1); !ok {
			refused++
		}
	}
	t.Logf("%d of %d keys had no place, %d were refused for another's sake", k.Shared(), keys, refused)
	if refused > keys*15/1000 {
		t.Errorf("%d of %d keys were refused their first token", refused, keys)
	}
}

func TestKeyedChargeAndRate(t *testing.T) {
	k := mustKeyed(t, mustRate(t, 1, time.Second, 10), 10)
	k.Charge(0, 0, 100)
	if n := k.Tokens(0, int64(3*time.Second)); n != 3 {
		t.Errorf("%d tokens, want 3", n)
	}
	k.SetRate(mustRate(t, 10, time.Second, 100))
	if n := k.Rate().Burst(); n != 100 {
		t.Errorf("burst %d", n)
	}
	if n := k.Tokens(0, int64(3*time.Second)); n != 30 {
		t.Errorf("%d tokens at the new rate, want 30", n)
	}
}

func TestKeyedAllocatesNothing(t *testing.T) {
	k := mustKeyed(t, mustRate(t, 1, time.Second, 1), 64)
	key, now := uint64(0), int64(0)
	if n := testing.AllocsPerRun(1000, func() { key++; now += 1000; k.Allow(key, now, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzKeyed(f *testing.F) {
	f.Add([]byte("abcabcabc"), int64(1))
	f.Add([]byte{0, 0, 0, 255, 255, 1, 2, 3}, int64(-1e9))
	f.Fuzz(func(t *testing.T, calls []byte, step int64) {
		r := mustRate(t, 1, time.Second, 2)
		k := mustKeyed(t, r, 1)
		now := int64(0)
		got := map[byte]int{}
		for _, c := range calls {
			if ok, wait := k.Allow(uint64(c), now, 1); !ok && (wait <= 0 || wait > 2*time.Second) {
				t.Fatalf("a wait of %v", wait)
			} else if ok {
				got[c]++
			}
			if step <= 0 && got[c] > 2 { // time stands still or goes back
				t.Fatalf("key %d got %d of a burst of 2", c, got[c])
			}
			if next := now + step; (next > now) == (step > 0) && next >= 0 {
				now = next
			}
		}
	})
}

func BenchmarkKeyed(b *testing.B) {
	f := func(name string, keys int, active uint64) {
		b.Run(name, func(b *testing.B) {
			k := mustKeyed(b, mustRate(b, 100, time.Second, 10), keys)
			rnd := rand.New(rand.NewPCG(1, 1))
			now := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				now += 1000
				k.Allow(rnd.Uint64N(active), now, 1)
			}
		})
	}
	f("hit-1k", 1<<10, 1<<10)
	f("hit-1M", 1<<20, 1<<20)
	f("full", 1<<10, 1<<40)
}
