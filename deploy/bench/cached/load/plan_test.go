package load

import (
	"math"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestKeys(t *testing.T) {
	for _, length := range []int{8, 16, 250} {
		for _, id := range []uint32{0, 1, 0xdeadbeef, math.MaxUint32} {
			k := appendKey(nil, id, length)
			got, ok := parseKey(k, length)
			if len(k) != length || !ok || got != id {
				t.Errorf("%q: %d %v", k, got, ok)
			}
		}
	}
	for _, bad := range []string{"", "0000000", "k000000g", "x00000000", "k00000000 "} {
		if _, ok := parseKey([]byte(bad), len(bad)); ok {
			t.Errorf("%q passes for a key", bad)
		}
	}
}

func TestValues(t *testing.T) {
	for _, s := range []Sizes{Fixed(0), Fixed(1), Fixed(100), Fixed(blockSize), {1, 512 << 10}} {
		v := newValues(s)
		sum, n := 0.0, 20_000
		if s.Max > 1000 {
			n = 2000
		}
		for id := range uint32(n) {
			length, start := v.of(id)
			if length < s.Min || length > s.Max {
				t.Fatalf("%v: a value of %d bytes", s, length)
			}
			sum += float64(length)
			if id > 50 {
				continue
			}
			b := v.append(nil, length, start)
			if len(b) != length || !v.equal(b, 0, start) {
				t.Fatalf("%v: value %d of %d bytes is not equal to itself", s, id, len(b))
			}
			if length > 3 && !v.equal(b[length/3:], length/3, start) {
				t.Fatalf("%v: the rest of value %d is not equal to itself", s, id)
			}
			if length > 0 {
				b[length-1] ^= 1
				if v.equal(b, 0, start) {
					t.Fatalf("%v: a broken value %d is equal", s, id)
				}
			}
		}
		if mean := sum / float64(n); math.Abs(mean-s.Mean()) > 0.1*s.Mean() {
			t.Errorf("%v: mean %.0f, want %.0f", s, mean, s.Mean())
		}
	}
}

func TestZipf(t *testing.T) {
	const keys, skew = 1000, 1.0
	p := newPlan(Workload{KeyLen: 16, Order: Zipf, Skew: skew, Keys: keys, FirstKey: 5, Sizes: Fixed(1)})
	count := map[uint32]int{}
	for _, id := range p.draws {
		count[id]++
	}
	harmonic := 0.0
	for i := range keys {
		harmonic += 1 / float64(i+1)
	}
	stride := coprime(keys)
	for _, rank := range []uint64{0, 1, 9, 99, 999} {
		id := 5 + uint32(rank*stride%keys)
		want := zipfDraws / harmonic / float64(rank+1)
		if got := float64(count[id]); math.Abs(got-want) > 0.05*want+5*math.Sqrt(want) {
			t.Errorf("rank %d: %v draws, want %.0f", rank+1, got, want)
		}
	}
	if len(count) != keys {
		t.Errorf("%d keys were drawn of %d", len(count), keys)
	}
}

// Every key of a sequential run belongs to one part, and each key is drawn once.
func TestSequentialParts(t *testing.T) {
	p := newPlan(Workload{Order: Sequential, Keys: 1001, FirstKey: 10, Sizes: Fixed(1), Multiget: 7, KeyLen: 16})
	seen := map[uint32]int{}
	for i := range 3 {
		for part := p.part(i, 3); !part.over(); {
			for range part.keysLeft() {
				seen[part.key()]++
			}
		}
	}
	for id := range uint32(1001) {
		if seen[id+10] != 1 {
			t.Fatalf("key %d was drawn %d times", id+10, seen[id+10])
		}
	}
	if len(seen) != 1001 {
		t.Errorf("%d keys", len(seen))
	}
}

func TestShareAndGap(t *testing.T) {
	p := newPlan(Workload{KeyLen: 16, Keys: 10, Sizes: Fixed(1), GetShare: 0.9, Rate: 1000}).part(0, 2)
	gets, sum := 0, 0.0
	const n = 200_000
	for range n {
		if p.isGet() {
			gets++
		}
		sum += p.gap()
		if k := p.key(); k > 9 {
			t.Fatalf("key %d", k)
		}
	}
	if math.Abs(float64(gets)/n-0.9) > 0.005 || math.Abs(sum/n-2e6) > 0.01*2e6 {
		t.Errorf("%d gets of %d, mean gap %v", gets, n, sum/n)
	}
}

func TestWorkloadsThatAreRefused(t *testing.T) {
	good := Workload{Keys: 1, Requests: 1}
	if _, err := good.normal(); err != nil {
		t.Fatal(err)
	}
	f := func(want string, change func(*Workload)) {
		t.Helper()
		w := good
		change(&w)
		if _, err := w.normal(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", w, err)
		}
	}
	f("keys of 7", func(w *Workload) { w.KeyLen = 7 })
	f("0 keys", func(w *Workload) { w.Keys = 0 })
	f("share", func(w *Workload) { w.GetShare = 1.1 })
	f("skew", func(w *Workload) { w.Order = Zipf })
	f("without an end", func(w *Workload) { w.Requests = 0 })
	f("depth", func(w *Workload) { w.Depth = inFlightLimit + 1 })
	f("values of 0", func(w *Workload) { w.Sizes = Sizes{0, 5} })
}

func TestResolve(t *testing.T) {
	for in, family := range map[[2]string]int{{"tcp", "127.0.0.1:1"}: unix.AF_INET, {"tcp", "[::1]:1"}: unix.AF_INET6, {"unix", "/x"}: unix.AF_UNIX} {
		if to, err := resolve(in[0], in[1]); err != nil || to.family != family {
			t.Errorf("%v: %v %v", in, to, err)
		}
	}
	if _, err := resolve("udp", "127.0.0.1:1"); err == nil {
		t.Error("udp passes")
	}
}
