package ring

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustRendezvous(t testing.TB, bs []Backend) *Rendezvous {
	t.Helper()
	r, err := NewRendezvous(bs)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// name returns the name of the backend of a key, which survives a change of the indices.
func (r *Rendezvous) name(key uint64) string { return r.backends[r.Pick(key)].Name }

// Shares are the weights' within five standard deviations; keys are consecutive numbers, the worst case.
func TestRendezvousShares(t *testing.T) {
	const keys = 300_000
	r := mustRendezvous(t, fleet(6, 1, 2, 3, 10, 0, 84))
	got := make([]int, 6)
	for k := range uint64(keys) {
		got[r.Pick(k)]++
	}
	for i, b := range r.Backends() {
		p := float64(b.Weight) / 100
		want, dev := keys*p, math.Sqrt(keys*p*(1-p))
		if math.Abs(float64(got[i])-want) > 5*dev {
			t.Errorf("weight %d has %d keys of %d", b.Weight, got[i], keys)
		}
	}
}

// Only the keys that must move do.
func TestRendezvousDisruption(t *testing.T) {
	all := fleet(10, 5)
	before := mustRendezvous(t, all)
	without := mustRendezvous(t, slices.Delete(slices.Clone(all), 3, 4))
	grown := slices.Clone(all)
	grown[3].Weight = 8
	after := mustRendezvous(t, grown)
	for k := range uint64(50_000) {
		was := before.name(k)
		if now := without.name(k); now != was && was != "b3" {
			t.Fatalf("b3 left and key %d went from %s to %s", k, was, now)
		}
		if now := after.name(k); now != was && now != "b3" {
			t.Fatalf("b3 grew and key %d went from %s to %s", k, was, now)
		}
	}
}

func TestPickN(t *testing.T) {
	r := mustRendezvous(t, fleet(20, 0, 1, 2, 100))
	for k := range uint64(2000) {
		all := r.PickN(nil, k, 99)
		if len(all) != 15 {
			t.Fatalf("key %d: %d backends, want the 15 above weight 0", k, len(all))
		}
		if sorted := slices.Sorted(slices.Values(all)); len(slices.Compact(sorted)) != 15 {
			t.Fatalf("key %d: %v are not distinct", k, all)
		}
		for n := range 16 {
			if diff := cmp.Diff(all[:n], r.PickN([]int{}, k, n)); diff != "" {
				t.Fatalf("key %d: PickN(%d) is no beginning: %s", k, n, diff)
			}
		}
		if all[0] != r.Pick(k) {
			t.Fatalf("key %d: PickN begins with %d, Pick is %d", k, all[0], r.Pick(k))
		}
	}
	if got := r.PickN(nil, 1, -1); got != nil {
		t.Errorf("PickN(-1) = %v", got)
	}
}

// When the first replica's backend leaves, the second becomes the first.
func TestPickNSuccession(t *testing.T) {
	all := fleet(8, 1, 3)
	r := mustRendezvous(t, all)
	for k := range uint64(500) {
		two := r.PickN(nil, k, 2)
		rest := mustRendezvous(t, slices.Delete(slices.Clone(r.Backends()), two[0], two[0]+1))
		if got, want := rest.name(k), r.Backends()[two[1]].Name; got != want {
			t.Fatalf("key %d: %s follows, want %s", k, got, want)
		}
	}
}

// The picks for given backends never change.
func TestGoldenPicks(t *testing.T) {
	r := mustRendezvous(t, fleet(50, 1, 10, 1000))
	var picks []byte
	for k := range uint64(10_000) {
		for _, i := range r.PickN(nil, k, 3) {
			picks = append(picks, byte(i))
		}
	}
	if got := Hash(picks, 0); got != 0xf989f613409f949d {
		t.Errorf("picks hash to %#016x", got)
	}
}

func TestLn(t *testing.T) {
	for _, x := range []float64{1, 0.5, 0.7, math.Sqrt2 / 2, 0.999999999, 1e-15, 0x1p-53, 3, 1e300, 0.5 / (1 << 52)} {
		if got, want := ln(x), math.Log(x); math.Abs(got-want) > 1e-14*max(1, math.Abs(want)) {
			t.Errorf("ln(%v) = %v, want %v", x, got, want)
		}
	}
	least := (float64(math.MaxUint64>>12) + 0.5) / (1 << 52)
	if got := -ln(least); got <= 0 {
		t.Errorf("the greatest draw %v arrives at %v", least, got)
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	r := mustRendezvous(t, fleet(20, 1))
	dst := make([]int, 0, 8)
	if n := testing.AllocsPerRun(100, func() { r.Pick(7); dst = r.PickN(dst[:0], 7, 8) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{4, 16, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := mustRendezvous(b, fleet(n, 1))
			k := uint64(0)
			for b.Loop() {
				k += uint64(r.Pick(k)) + 1
			}
		})
	}
}
