package limit

import (
	"math"
	"math/bits"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Rate is how many tokens flow in per time, and how many gather at most. The zero Rate lets nothing through.
type Rate struct {
	tokens uint64 // per period
	period uint64 // ns
	burst  int64  // tokens
	depth  uint64 // ns in which an empty bucket fills
}

// Never is the wait of a request that can never be granted, as it asks for more than the burst.
const Never = time.Duration(math.MaxInt64)

// NewRate returns the rate of so many tokens per time, with a burst of so many. All three are above 0. A bucket must
// fill within 146 years, else the error is fault.Invalid, as it is for arguments out of range.
//
// In any time no more is let through than the burst and what flows in meanwhile; at a rate above one token a nanosecond
// what flows in one nanosecond may come on top, as times are whole.
func NewRate(tokens int64, per time.Duration, burst int64) (Rate, error) {
	if tokens <= 0 || per <= 0 || burst <= 0 {
		return Rate{}, fault.New(fault.Invalid, "limit: rate of %d per %v with burst %d: all must be above 0", tokens, per, burst)
	}
	r := Rate{tokens: uint64(tokens), period: uint64(per), burst: burst}
	r.depth = r.cost(uint64(burst))
	if r.depth > maxTime-1 {
		return Rate{}, fault.New(fault.Invalid, "limit: rate of %d per %v: a burst of %d takes too long to gather", tokens, per, burst)
	}
	return r, nil
}

// Burst returns the most tokens that gather.
func (r Rate) Burst() int64 { return r.burst }

// cost returns the time in ns, rounded up, in which n tokens flow in; the greatest uint64/2 for more than that. As it
// is rounded for each request and not for each token, rates above one token a nanosecond keep their precision.
func (r Rate) cost(n uint64) uint64 {
	hi, lo := bits.Mul64(n, r.period)
	lo, carry := bits.Add64(lo, r.tokens-1, 0)
	hi += carry
	if hi >= r.tokens {
		return math.MaxUint64 / 2
	}
	q, _ := bits.Div64(hi, lo, r.tokens)
	return min(q, math.MaxUint64/2)
}

// Bucket is a token bucket in the form of the generic cell rate algorithm (ITU-T I.371): it keeps the time at which it
// will be full again, 8 bytes. The zero Bucket is full. One Bucket goes with one Rate; when the rate is changed, what
// was used so far weighs as much time as before.
type Bucket struct {
	full int64 // ns; not after now + depth
}

// Allow takes n tokens if they are there. If not it takes none and returns how long from now they will be, when
// nobody else takes any; Never if n exceeds the burst. n below 1 is always allowed and takes none.
//
// When time goes back by more than the bucket can explain, the bucket counts as empty: a step of the clock costs at most
// the time to fill it.
func (b *Bucket) Allow(r Rate, now, n int64) (ok bool, wait time.Duration) {
	if n <= 0 {
		return true, 0
	}
	if n > r.burst {
		return false, Never
	}
	need := b.debt(r, now) + r.cost(uint64(n)) // each is at most 2^62
	if need > r.depth {
		return false, time.Duration(need - r.depth)
	}
	b.owe(now, need)
	return true, 0
}

// Charge takes n tokens whether they are there or not, down to an empty bucket: for what is known only when it is
// done, such as bytes sent.
func (b *Bucket) Charge(r Rate, now, n int64) {
	if n > 0 && r.tokens > 0 {
		b.owe(now, min(b.debt(r, now)+r.cost(uint64(n)), r.depth))
	}
}

// Tokens returns how many tokens are there.
func (b *Bucket) Tokens(r Rate, now int64) int64 {
	if r.tokens == 0 {
		return 0
	}
	hi, lo := bits.Mul64(r.depth-b.debt(r, now), r.tokens)
	if hi >= r.period {
		return r.burst
	}
	q, _ := bits.Div64(hi, lo, r.period)
	return int64(min(q, uint64(r.burst)))
}

// Idle says whether the bucket is full, so that forgetting it loses nothing.
func (b *Bucket) Idle(now int64) bool { return b.full <= clamp(now) }

// debt returns how long from now the bucket will be full, at most the depth.
func (b *Bucket) debt(r Rate, now int64) uint64 {
	return min(uint64(max(b.full-clamp(now), 0)), r.depth)
}

// owe sets the time from now at which the bucket will be full, at most the depth of its rate.
func (b *Bucket) owe(now int64, debt uint64) { b.full = clamp(now) + int64(debt) }
