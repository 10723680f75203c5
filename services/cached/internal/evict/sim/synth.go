package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// gen makes keys of one synthetic trace; its chance is seeded, so that every run sees the same trace.
type gen struct {
	r *rand.Rand
	d Densifier
}

func newGen(seed uint64) *gen { return &gen{r: rand.New(rand.NewPCG(seed, 1))} }

// zipf draws ranks 0 … n-1 with probability ~ 1/(rank+1)^alpha, by inversion of the cumulated weights.
type zipf struct{ cum []float64 }

func newZipf(n int, alpha float64) *zipf {
	z := &zipf{cum: make([]float64, n)}
	sum := 0.0
	for i := range z.cum {
		sum += math.Pow(float64(i+1), -alpha)
		z.cum[i] = sum
	}
	return z
}

func (z *zipf) draw(r *rand.Rand) uint64 {
	i, _ := slices.BinarySearch(z.cum, r.Float64()*z.cum[len(z.cum)-1])
	return uint64(min(i, len(z.cum)-1))
}

// Zipf is independent draws from n keys.
func Zipf(requests, n int, alpha float64, seed uint64) *Trace {
	g, z := newGen(seed), newZipf(n, alpha)
	for range requests {
		g.d.Add(z.draw(g.r))
	}
	return g.d.Trace(fmt.Sprintf("zipf%.1f", alpha))
}

// Drift is Zipf whose ranks wander: every so many requests two keys, one of them drawn by rank, change places.
func Drift(requests, n int, alpha float64, every int, seed uint64) *Trace {
	g, z := newGen(seed), newZipf(n, alpha)
	key := g.r.Perm(n)
	for i := range requests {
		if i%every == 0 {
			a, b := z.draw(g.r), g.r.IntN(n)
			key[a], key[b] = key[b], key[a]
		}
		g.d.Add(uint64(key[z.draw(g.r)]))
	}
	return g.d.Trace(fmt.Sprintf("drift%d", every))
}

// ScanZipf interrupts Zipf by scans of length scan over keys outside; fresh scans never see a key twice, others repeat the same range.
func ScanZipf(requests, n int, alpha float64, scan, pause int, fresh bool, seed uint64) *Trace {
	g, z := newGen(seed), newZipf(n, alpha)
	next := uint64(n)
	for i := 0; i < requests; {
		for range pause {
			g.d.Add(z.draw(g.r))
			i++
		}
		if !fresh {
			next = uint64(n)
		}
		for range scan {
			g.d.Add(next)
			next++
			i++
		}
	}
	return g.d.Trace(fmt.Sprintf("scan%d/%d/%v", scan, pause, fresh))
}

// Loop reads n keys round and round, a share of noise Zipf reads between.
func Loop(requests, n int, noise float64, seed uint64) *Trace {
	g, z := newGen(seed), newZipf(n, 0.9)
	at := 0
	for range requests {
		if g.r.Float64() < noise {
			g.d.Add(uint64(n) + z.draw(g.r))
			continue
		}
		g.d.Add(uint64(at))
		at = (at + 1) % n
	}
	return g.d.Trace(fmt.Sprintf("loop%d+%.0f%%", n, 100*noise))
}

// OneHit mixes Zipf with keys that never come again.
func OneHit(requests, n int, alpha, once float64, seed uint64) *Trace {
	g, z := newGen(seed), newZipf(n, alpha)
	next := uint64(n)
	for range requests {
		if g.r.Float64() < once {
			g.d.Add(next)
			next++
			continue
		}
		g.d.Add(z.draw(g.r))
	}
	return g.d.Trace(fmt.Sprintf("onehit%.0f%%", 100*once))
}

// Recency is the LRU stack model: a share of the reads is of new keys, the others go to a depth of the stack drawn from an exponential (power 0) or
// a Pareto distribution with the given scale.
func Recency(requests int, fresh, scale, power float64, seed uint64) *Trace {
	g := newGen(seed)
	var stack []uint64 // the youngest last
	next := uint64(0)
	for range requests {
		depth := int(scale * g.r.ExpFloat64())
		if power > 0 {
			depth = int(scale * (math.Pow(1-g.r.Float64(), -1/power) - 1))
		}
		if g.r.Float64() < fresh || depth >= len(stack) {
			stack = append(stack, next)
			g.d.Add(next)
			next++
			continue
		}
		i := len(stack) - 1 - depth
		k := stack[i]
		copy(stack[i:], stack[i+1:])
		stack[len(stack)-1] = k
		g.d.Add(k)
		if len(stack) > 1<<16 {
			stack = append(stack[:0], stack[1<<15:]...)
		}
	}
	return g.d.Trace(fmt.Sprintf("recency%.0f/%.1f", scale, power))
}

// Bursts lets every key live for a while: it is read about reads times at short distances and never again.
func Bursts(requests, live, reads int, seed uint64) *Trace {
	g := newGen(seed)
	keys := make([]uint64, live)
	next := uint64(0)
	for i := range keys {
		keys[i] = next
		next++
	}
	for range requests {
		i := g.r.IntN(live)
		g.d.Add(keys[i])
		if g.r.IntN(reads) == 0 {
			keys[i] = next
			next++
		}
	}
	return g.d.Trace(fmt.Sprintf("bursts%d*%d", live, reads))
}

// Concat plays traces one after the other with keys of their own, rounds times; the same trace meets its own keys again.
func Concat(name string, rounds, slice int, parts ...*Trace) *Trace {
	var d Densifier
	for r := range rounds {
		for i, p := range parts {
			from := (r * slice) % max(1, len(p.Keys))
			for _, k := range p.Keys[from:min(len(p.Keys), from+slice)] {
				d.Add(uint64(i)<<32 | uint64(k))
			}
		}
	}
	return d.Trace(name)
}

// Sized gives the keys of t sizes between 64 bytes and about 64 KiB, log-normal.
func Sized(t *Trace, seed uint64) *Trace {
	r := rand.New(rand.NewPCG(seed, 2))
	s := *t
	s.Name += "/sized"
	s.Sizes = make([]uint32, t.Unique)
	for i := range s.Sizes {
		s.Sizes[i] = uint32(min(65536, 64+400*math.Exp(1.2*r.NormFloat64())))
	}
	return &s
}

// The generators below are held back: no parameter of the policy was chosen by looking at them.

// Newsfeed has keys that are most read when new: popularity falls with age as 1/(age+scale).
func Newsfeed(requests, perKey int, seed uint64) *Trace {
	g := newGen(seed)
	for i := range requests {
		born := i/perKey + 1
		age := int(20 * (math.Pow(1-g.r.Float64(), -1/0.6) - 1))
		g.d.Add(uint64(max(0, born-age%max(1, born))))
	}
	return g.d.Trace(fmt.Sprintf("newsfeed%d", perKey))
}

// TwoPools alternates between an index read uniformly and many records (O'Neil's LRU-K trace).
func TwoPools(requests, index, records int, seed uint64) *Trace {
	g := newGen(seed)
	for i := range requests {
		if i%2 == 0 {
			g.d.Add(uint64(g.r.IntN(index)))
		} else {
			g.d.Add(uint64(index + g.r.IntN(records)))
		}
	}
	return g.d.Trace("twopools")
}

// Joins are nested loops of several lengths over tables, with hot index pages between.
func Joins(requests int, tables []int, seed uint64) *Trace {
	g, z := newGen(seed), newZipf(200, 0.8)
	at := make([]int, len(tables))
	n := 0
	for n < requests {
		t := g.r.IntN(len(tables))
		for range 50 + g.r.IntN(tables[t]) {
			g.d.Add(uint64(t+1)<<32 | uint64(at[t]))
			at[t] = (at[t] + 1) % tables[t]
			if n++; n%5 == 0 {
				g.d.Add(z.draw(g.r))
			}
		}
	}
	return g.d.Trace("joins")
}

// Segments reads runs of neighbouring keys; which segment comes next is Zipf, as in the lists of a search index.
func Segments(requests, segments, length int, alpha float64, seed uint64) *Trace {
	g, z := newGen(seed), newZipf(segments, alpha)
	for n := 0; n < requests; {
		s := z.draw(g.r)
		for i := range 1 + g.r.IntN(length) {
			g.d.Add(s<<32 | uint64(i))
			n++
		}
	}
	return g.d.Trace("segments")
}

// Daily changes slowly to and fro between two populations, half of the keys in common.
func Daily(requests, n, day int, alpha float64, seed uint64) *Trace {
	g, z := newGen(seed), newZipf(n, alpha)
	night := g.r.Perm(n)
	for i := range requests {
		k := z.draw(g.r)
		if share := 0.5 + 0.5*math.Sin(2*math.Pi*float64(i)/float64(day)); g.r.Float64() < share {
			k = uint64(night[k] + n/2)
		}
		g.d.Add(k)
	}
	return g.d.Trace("daily")
}
