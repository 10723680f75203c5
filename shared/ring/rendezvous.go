package ring

import (
	"cmp"
	"math"
	"slices"
)

// seedNode is the seed of the hash of a name in a Rendezvous. It is part of the contract between hosts.
const seedNode = 0x6576_6572_7570_0003

// Rendezvous picks backends by weighted highest random weight: the one with the highest -w/ln(h), h being a number in
// (0, 1) drawn by the hash of the backend's name and the key (Schindelhauer and Schomaker, "Weighted Distributed Hash
// Tables", SPAA 2005, logarithmic method). When a backend leaves, its keys alone move; when a weight grows, keys move
// to that backend only. It is immutable.
type Rendezvous struct {
	backends []Backend
	hashes   []uint64
}

// NewRendezvous returns the picker among the backends, which may come in any order. Its errors are those of Build.
func NewRendezvous(backends []Backend) (*Rendezvous, error) {
	sorted, err := canonical(backends)
	if err != nil {
		return nil, err
	}
	r := &Rendezvous{backends: sorted, hashes: make([]uint64, len(sorted))}
	for i, b := range sorted {
		r.hashes[i] = Node(b.Name)
	}
	return r, nil
}

// Backends returns the backends sorted by name. The caller must not change them.
func (r *Rendezvous) Backends() []Backend { return r.backends }

// Pick returns the index in Backends of the backend for a key.
func (r *Rendezvous) Pick(key uint64) int {
	best, least := 0, math.Inf(1)
	key = Key(key)
	for i := range r.backends {
		if t := r.arrival(i, key); t < least {
			best, least = i, t
		}
	}
	return best
}

// PickN appends to dst the indices of the n best backends for the key, the best first, all of weight above 0 and
// distinct; when there are fewer than n, all of them. The first n of PickN(n+1) are PickN(n). Up to 8 it allocates
// nothing but what dst needs.
func (r *Rendezvous) PickN(dst []int, key uint64, n int) []int {
	if n <= 0 {
		return dst
	}
	var few [9]candidate
	best := few[:0]
	key = Key(key)
	for i := range r.backends {
		c := candidate{i, r.arrival(i, key)}
		if math.IsInf(c.arrival, 1) || len(best) == n && c.arrival >= best[n-1].arrival {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, c, compareCandidates)
		best = slices.Insert(best, at, c)
		best = best[:min(n, len(best))]
	}
	for _, c := range best {
		dst = append(dst, c.index)
	}
	return dst
}

type candidate struct {
	index   int
	arrival float64
}

func compareCandidates(a, b candidate) int {
	return cmp.Or(cmp.Compare(a.arrival, b.arrival), cmp.Compare(a.index, b.index))
}

// arrival is that of backend i for a key that is mixed already. Weight 0 never arrives.
func (r *Rendezvous) arrival(i int, key uint64) float64 {
	w := r.backends[i].Weight
	if w == 0 {
		return math.Inf(1)
	}
	return Arrival(Draw(r.hashes[i], key), w)
}

// Node, Key, Draw and Arrival are what a Rendezvous is made of, for those who choose among candidates that change from one
// pick to the next: the one that arrives first is Pick's. Of two of the same weight that is the one that drew the higher number, which
// saves the logarithms.

// Node returns the hash of a backend's name.
func Node(name string) uint64 { return Hash([]byte(name), seedNode) }

// Key mixes a key, once for all its draws.
func Key(key uint64) uint64 { return mix(key) }

// Draw returns the number that a node draws for a mixed key.
func Draw(node, key uint64) uint64 { return mix(node ^ key) }

// Arrival returns -ln(h)/w, h being the draw as a number in (0, 1): an exponential variate of rate w, so that the least of them is a
// node's with the probability of its share of the weights. The weight is above 0.
func Arrival(draw uint64, weight int) float64 {
	return -ln((float64(draw>>12)+0.5)/(1<<52)) / float64(weight)
}

// ln is the natural logarithm of a normal number above 0, to about 14 digits, by operations that IEEE 754 defines to
// the last bit. math.Log has other instructions on other machines, whose last bits differ. The conversions keep the
// compiler from fusing a product with a sum.
func ln(x float64) float64 {
	m, exp := math.Frexp(x) // m in [0.5, 1)
	if m < math.Sqrt2/2 {
		m, exp = m*2, exp-1
	}
	s := (m - 1) / (m + 1) // |s| < 0.172, ln m = 2(s + s³/3 + s⁵/5 + …)
	s2 := float64(s * s)
	sum := 1.0 / 17
	for _, c := range [...]float64{1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1} {
		sum = float64(sum*s2) + c
	}
	return float64(float64(2*s)*sum) + float64(float64(exp)*math.Ln2)
}
