package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// plan is a workload made ready: what all loops share, read only.
type plan struct {
	Workload
	values *values
	frame  frame
	draws  []uint32 // key numbers in the order in which Zipf drew them; walked round and round
}

// zipfDraws is how many draws are kept at most; a run that asks for more goes through them again.
const zipfDraws = 1 << 21

func newPlan(w Workload) *plan {
	p := &plan{Workload: w, values: newValues(w.Sizes), frame: newFrame(&w)}
	if w.Order == Zipf {
		n := zipfDraws
		if w.Requests > 0 {
			n = min(n, w.Requests*w.Multiget)
		}
		p.draws = zipf(w.FirstKey, w.Keys, w.Skew, n, rand.New(rand.NewPCG(w.Seed, 2)))
	}
	return p
}

// zipf draws n key numbers by inverting the distribution. Popular keys are spread over the range, not its beginning.
func zipf(first uint32, keys int, skew float64, n int, rng *rand.Rand) []uint32 {
	total := make([]float64, keys)
	sum := 0.0
	for i := range total {
		sum += math.Pow(float64(i+1), -skew)
		total[i] = sum
	}
	stride := coprime(keys)
	out := make([]uint32, n)
	for i := range out {
		rank, _ := slices.BinarySearch(total, rng.Float64()*sum)
		out[i] = first + uint32(uint64(min(rank, keys-1))*stride%uint64(keys))
	}
	return out
}

// coprime returns a number near the golden section of n that has no divisor in common with it.
func coprime(n int) uint64 {
	for s := max(uint64(float64(n)*0.618), 1); ; s++ {
		a, b := s, uint64(n)
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return s
		}
	}
}

// part is one loop's share of a plan, with the generator that draws from it.
type part struct {
	*plan
	rng      uint64
	at       int           // next in draws, or how many keys of a Sequential run are done
	first    uint32        // of the keys this loop walks (Sequential)
	keys     int           // how many it walks
	left     int           // requests still to be sent
	pause    float64       // nanoseconds between two requests of this loop in the mean (open loop)
	duration time.Duration // after which no request is sent
}

func (p *plan) part(i, of int) *part {
	t := &part{plan: p, rng: mix(p.Seed + uint64(i)<<32), first: p.FirstKey, keys: p.Keys, left: math.MaxInt, duration: p.Duration}
	if p.Duration == 0 {
		t.duration = math.MaxInt64
	}
	if p.Requests > 0 {
		t.left = share(p.Requests, i, of)
	}
	if p.Order == Sequential {
		t.first += uint32(i * p.Keys / of)
		t.keys = share(p.Keys, i, of)
	}
	if p.Rate > 0 {
		t.pause = float64(of) * 1e9 / p.Rate
	}
	t.at = i * len(p.draws) / of
	return t
}

// random returns the next 64 random bits.
func (t *part) random() uint64 {
	t.rng += 0x9e3779b97f4a7c15
	return mix(t.rng)
}

// over reports whether no further request is to be made.
func (t *part) over() bool { return t.left <= 0 || (t.Order == Sequential && t.at >= t.keys) }

// isGet draws whether the next request is a get.
func (t *part) isGet() bool {
	return t.GetShare >= 1 || float64(t.random()>>11)/(1<<53) < t.GetShare
}

// key draws a key number.
func (t *part) key() uint32 {
	switch t.Order {
	case Sequential:
		t.at++
		return t.first + uint32(t.at-1)
	case Zipf:
		id := t.draws[t.at]
		if t.at++; t.at == len(t.draws) {
			t.at = 0
		}
		return id
	default:
		return t.FirstKey + uint32((t.random()>>32)*uint64(t.Keys)>>32)
	}
}

// keysLeft returns how many keys the next get may ask for.
func (t *part) keysLeft() int {
	if t.Order == Sequential {
		return min(t.Multiget, t.keys-t.at)
	}
	return t.Multiget
}

// gap draws the nanoseconds from one request of an open loop to the next.
func (t *part) gap() float64 {
	if t.Arrivals == Even {
		return t.pause
	}
	return -math.Log(1-float64(t.random()>>11)/(1<<53)) * t.pause
}
