package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
)

// fleet returns n backends b0, b1, … of the weights in turn.
func fleet(n int, weights ...int) []Backend {
	bs := make([]Backend, n)
	for i := range bs {
		bs[i] = Backend{Name: fmt.Sprintf("b%d", i), Weight: weights[i%len(weights)]}
	}
	return bs
}

func mustBuild(t testing.TB, bs []Backend) *Table {
	t.Helper()
	table, err := Build(bs)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestBuildRefuses(t *testing.T) {
	f := func(want error, bs ...Backend) {
		t.Helper()
		if _, err := Build(bs); fault.Of(err) != want {
			t.Errorf("Build(%.200v): %v, want %v", fmt.Sprint(bs), err, want)
		}
		if _, err := NewRendezvous(bs); fault.Of(err) != want {
			t.Errorf("NewRendezvous(%.200v): %v, want %v", fmt.Sprint(bs), err, want)
		}
	}
	f(fault.Invalid)
	f(fault.Invalid, Backend{"a", 0})
	f(fault.Invalid, Backend{"a", -1})
	f(fault.Invalid, Backend{"a", MaxWeight + 1})
	f(fault.Invalid, Backend{"a", 1}, Backend{"b", 1}, Backend{"a", 2})
	f(fault.Invalid, Backend{strings.Repeat("x", MaxName+1), 1})
	f(fault.Full, fleet(MaxBackends+1, 1)...)
}

// The table for given backends never changes: hosts of two versions must agree.
func TestGoldenTables(t *testing.T) {
	f := func(want uint64, bs []Backend) {
		t.Helper()
		if got := mustBuild(t, bs).Fingerprint(); got != want {
			t.Errorf("%d backends: fingerprint %#016x, want %#016x", len(bs), got, want)
		}
	}
	f(0x2574c4686e774801, fleet(1, 1))
	f(0x2139c5a38b42b2ea, fleet(3, 1))
	f(0x7405702d6c4544e2, fleet(10, 100, 50, 1))
	f(0xec6b325fe6b3bbc4, fleet(1000, 1))
	f(0x99f744db42b6832c, fleet(MaxBackends, 1, 10, 1000))
	f(0x3f5bc05e50dc2b2a, []Backend{{"", 7}, {"10.0.0.1:80", 3}, {"[fd77::1]:80", 5}, {"off", 0}})
}

// Equal weights: the most loaded backend has at most one entry more than the least. The paper's figure 11 shows the
// same for its tables: the entries differ by their granularity only.
func TestBalanceOfEqualWeights(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 100, 1000, MaxBackends} {
		counts := mustBuild(t, fleet(n, 100)).Counts()
		if lo, hi := slices.Min(counts), slices.Max(counts); lo != Size/n || hi > Size/n+1 {
			t.Errorf("%d backends: %d to %d entries of %d", n, lo, hi, Size)
		}
	}
}

// checkShares fails unless every share is within the error that Build states.
func checkShares(t testing.TB, table *Table) {
	t.Helper()
	sum, entries, active := 0, make([]int, len(table.Backends())), 0
	for _, b := range table.Backends() {
		sum += b.Weight
		active += min(b.Weight, 1)
	}
	for _, e := range table.Entries() {
		entries[e]++
	}
	if diff := cmp.Diff(entries, table.Counts()); diff != "" {
		t.Errorf("counts: %s", diff)
	}
	for i, b := range table.Backends() {
		// The first turn of each is at time 0, so that up to one entry each is given before the shares count.
		ideal := float64(Size) * float64(b.Weight) / float64(sum)
		low, high := ideal*(1-float64(active)/Size)-1, ideal+1
		got := float64(entries[i])
		if b.Weight > 0 && got < 1 || b.Weight == 0 && got != 0 || got < low || got > high {
			t.Errorf("%s of weight %d in %d has %v entries, want %.1f to %.1f", b.Name, b.Weight, sum, got, low, high)
		}
	}
}

func TestSharesFollowWeights(t *testing.T) {
	checkShares(t, mustBuild(t, fleet(3, 1, 2, 3)))
	checkShares(t, mustBuild(t, fleet(10, 1000, 1)))
	checkShares(t, mustBuild(t, fleet(100, 0, 1, 7, 100, 999)))
	checkShares(t, mustBuild(t, fleet(1000, 1, 2, 3, 4, 5)))
	checkShares(t, mustBuild(t, fleet(MaxBackends, 1, 1000)))
}

// Keys spread as the entries do: a million hashes over ten backends, by the chi-square test at 0.999.
func TestKeysSpread(t *testing.T) {
	table := mustBuild(t, fleet(10, 1))
	const keys = 1_000_000
	got := make([]float64, 10)
	for i := range keys {
		got[table.Lookup(Hash(fmt.Append(nil, "key", i), 0))]++
	}
	chi := 0.0
	for i, n := range got {
		want := keys * float64(table.Counts()[i]) / Size
		chi += (n - want) * (n - want) / want
	}
	if chi > 27.9 {
		t.Errorf("chi-square %.1f of 9 degrees of freedom: %v", chi, got)
	}
}

// When one of n leaves or joins, about 1/n of the keys must move. What moves beyond, between backends that stay, is
// the price of Maglev; the paper calls it small and shows it shrink with the table.
func TestDisruptionOfOne(t *testing.T) {
	for _, n := range []int{2, 5, 10, 50, 100, 500, 1000} {
		all := fleet(n, 100)
		table := mustBuild(t, all)
		worst := 0.0
		for _, gone := range []int{0, n / 3, n / 2, n - 1} {
			rest := slices.Delete(slices.Clone(all), gone, gone+1)
			worst = max(worst, Disruption(table, mustBuild(t, rest)))
		}
		extra := worst - 1/float64(n)
		t.Logf("%4d backends: %.2f %% move, %.2f %% beyond need", n, 100*worst, 100*extra)
		if extra < -1.0/Size || extra > 0.015 {
			t.Errorf("%d backends: %.4f of the keys move", n, worst)
		}
	}
}

// A change of one weight moves little more than the change of shares.
func TestDisruptionOfWeight(t *testing.T) {
	f := func(n, from, to int) {
		t.Helper()
		bs := fleet(n, 100)
		bs[n/2].Weight = from
		before := mustBuild(t, bs)
		bs[n/2].Weight = to
		after := mustBuild(t, bs)
		sum := float64(100 * (n - 1))
		need := math.Abs(float64(to)/(sum+float64(to)) - float64(from)/(sum+float64(from)))
		got := Disruption(before, after)
		t.Logf("weight %d to %d among %d of 100: %.2f %% move, %.2f %% must", from, to, n, 100*got, 100*need)
		if got < need-2.0/Size || got > need+0.02 {
			t.Errorf("weight %d to %d among %d: %.4f move, %.4f must", from, to, n, got, need)
		}
	}
	f(10, 100, 110)
	f(10, 100, 50)
	f(10, 100, 1)
	f(10, 100, 0)
	f(10, 0, 100)
	f(100, 100, 1000)
	f(3, 100, 90)
}

// Weights of one proportion give one table, whatever their scale; a backend of weight 0 is as good as none.
func TestEqualTables(t *testing.T) {
	f := func(a, b []Backend) {
		t.Helper()
		x, y := mustBuild(t, a), mustBuild(t, b)
		if d := Disruption(x, y); d != 0 || x.Fingerprint() != y.Fingerprint() {
			t.Errorf("%v and %v: disruption %v, fingerprints %x and %x", a, b, d, x.Fingerprint(), y.Fingerprint())
		}
	}
	f(fleet(10, 1, 2), fleet(10, 500, 1000))
	f(fleet(10, 1), append(fleet(10, 1), Backend{"a-zero", 0}, Backend{"zero", 0}))
	shuffled := fleet(100, 1, 5, 100)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	f(fleet(100, 1, 5, 100), shuffled)
}

func TestFingerprintTellsApart(t *testing.T) {
	seen := map[uint64]string{}
	for name, bs := range map[string][]Backend{
		"three": fleet(3, 1), "four": fleet(4, 1), "weighted": fleet(3, 1, 2),
		"renamed": {{"b0", 1}, {"b1", 1}, {"c2", 1}},
	} {
		fp := mustBuild(t, bs).Fingerprint()
		if other, dup := seen[fp]; dup {
			t.Errorf("%s and %s have one fingerprint", name, other)
		}
		seen[fp] = name
	}
}

// The heap of classes takes turns as the slow definition does: always the least (k/w, name).
func TestTurnsAgainstDefinition(t *testing.T) {
	for _, bs := range [][]Backend{fleet(5, 1), fleet(7, 3, 1, 2), fleet(20, 1000, 999, 1, 7), fleet(3, 0, 5)} {
		sorted, err := canonical(bs)
		if err != nil {
			t.Fatal(err)
		}
		fast, done := newTurns(sorted), make([]int, len(sorted))
		for turn := range 5000 {
			want := -1
			for i, b := range sorted {
				if b.Weight > 0 && (want < 0 || done[i]*sorted[want].Weight < done[want]*b.Weight) {
					want = i
				}
			}
			done[want]++
			if got := fast.next(); got != want {
				t.Fatalf("%v: turn %d is %d's, want %d's", bs, turn, got, want)
			}
		}
	}
}

// An XDP program that divides by Size reads the same.
func TestLookupIsEntryAtRemainder(t *testing.T) {
	table := mustBuild(t, fleet(50, 1))
	for i := range uint64(1000) {
		h := mix(i)
		if got, want := table.Lookup(h), int(table.Entries()[h%65537]); got != want {
			t.Fatalf("hash %d: %d, want %d", h, got, want)
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	table := mustBuild(t, fleet(10, 1))
	if n := testing.AllocsPerRun(100, func() { table.Lookup(12345) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzBuild(f *testing.F) {
	f.Add([]byte("a\x01b\x02c\x03"), uint64(1))
	f.Add([]byte("\x00\xff\x01\x00"), uint64(2))
	f.Fuzz(func(t *testing.T, spec []byte, seed uint64) {
		var bs []Backend
		for len(spec) >= 2 && len(bs) < 64 {
			bs = append(bs, Backend{string(spec[:1]), int(spec[1]) * 4})
			spec = spec[2:]
		}
		table, err := Build(bs)
		if err != nil {
			if c := fault.Of(err); c != fault.Invalid {
				t.Fatalf("error %v of class %v", err, c)
			}
			return
		}
		checkShares(t, table)
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(bs), func(i, j int) { bs[i], bs[j] = bs[j], bs[i] })
		if mustBuild(t, bs).Fingerprint() != table.Fingerprint() {
			t.Error("the order matters")
		}
		if b := table.Backends()[table.Lookup(seed)]; b.Weight == 0 {
			t.Errorf("a key goes to %q of weight 0", b.Name)
		}
	})
}

func BenchmarkBuild(b *testing.B) {
	f := func(n int, weights ...int) {
		b.Run(fmt.Sprintf("%d-backends-%d-weights", n, len(weights)), func(b *testing.B) {
			bs := fleet(n, weights...)
			for b.Loop() {
				Build(bs)
			}
		})
	}
	f(10, 1)
	f(100, 1)
	f(1000, 1)
	f(1000, 1, 10, 100, 1000)
	f(1000, rand.Perm(1000)...)
	f(MaxBackends, 1)
}

func BenchmarkLookup(b *testing.B) {
	table := mustBuild(b, fleet(100, 1))
	h := uint64(1)
	for b.Loop() {
		h = h*6364136223846793005 + uint64(table.Lookup(h)) + 1
	}
}
