package limit

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
)

func mustRate(t testing.TB, tokens int64, per time.Duration, burst int64) Rate {
	t.Helper()
	r, err := NewRate(tokens, per, burst)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRateRefuses(t *testing.T) {
	f := func(tokens int64, per time.Duration, burst int64, ok bool) {
		t.Helper()
		if _, err := NewRate(tokens, per, burst); (err == nil) != ok || err != nil && fault.Of(err) != fault.Invalid {
			t.Errorf("NewRate(%d, %v, %d): %v", tokens, per, burst, err)
		}
	}
	f(1, time.Second, 1, true)
	f(0, time.Second, 1, false)
	f(1, 0, 1, false)
	f(1, time.Second, 0, false)
	f(-1, time.Second, 1, false)
	f(math.MaxInt64, 1, math.MaxInt64, true) // the burst gathers in a nanosecond
	f(math.MaxInt64, math.MaxInt64, 1, true)
	f(1, math.MaxInt64, 1, false) // 292 years a token
	f(1, time.Second, math.MaxInt64, false)
}

func TestBucket(t *testing.T) {
	r := mustRate(t, 10, time.Second, 5) // a token in 100 ms
	var b Bucket
	f := func(now time.Duration, n int64, ok bool, wait time.Duration) {
		t.Helper()
		gotOK, gotWait := b.Allow(r, int64(now), n)
		if gotOK != ok || gotWait != wait {
			t.Errorf("%d at %v: %v, %v; want %v, %v", n, now, gotOK, gotWait, ok, wait)
		}
	}
	const ms = time.Millisecond
	f(0, 5, true, 0) // the zero bucket is full
	f(0, 1, false, 100*ms)
	f(60*ms, 2, false, 140*ms)
	f(99*ms, 1, false, ms)
	f(100*ms, 1, true, 0)
	f(100*ms, 0, true, 0)
	f(100*ms, -3, true, 0)
	f(100*ms, 6, false, Never)
	f(time.Hour, 3, true, 0) // idle for long: no more than the burst
	f(time.Hour, 3, false, 100*ms)
	f(time.Hour, 2, true, 0)
	f(time.Minute, 1, false, 100*ms) // the clock went back: empty, and no worse
	f(time.Minute+100*ms, 1, false, 100*ms)
	b.Charge(r, int64(time.Minute), 1) // any change mends the time
	f(time.Minute+100*ms, 1, true, 0)
}

func TestBucketTokensAndCharge(t *testing.T) {
	r := mustRate(t, 3, time.Second, 10)
	var b Bucket
	f := func(now time.Duration, want int64) {
		t.Helper()
		if got := b.Tokens(r, int64(now)); got != want {
			t.Errorf("%d tokens at %v, want %d", got, now, want)
		}
	}
	f(0, 10)
	b.Charge(r, 0, 4)
	f(0, 6)
	b.Charge(r, 0, math.MaxInt64)
	f(0, 0)
	f(time.Second, 3)
	f(time.Hour, 10)
	if !b.Idle(int64(time.Hour)) || b.Idle(0) {
		t.Error("the bucket is idle at the wrong time")
	}
	var none Rate
	if ok, wait := b.Allow(none, 0, 1); ok || wait != Never {
		t.Errorf("the zero rate answers %v, %v", ok, wait)
	}
	b.Charge(none, 0, 1)
	if n := b.Tokens(none, 0); n != 0 {
		t.Errorf("the zero rate has %d tokens", n)
	}
}

// exact is a token bucket in rational numbers.
type exact struct {
	tokens, rate, burst *big.Rat
	last                int64
}

func newExact(tokens int64, per time.Duration, burst int64) *exact {
	return &exact{tokens: big.NewRat(burst, 1), rate: big.NewRat(tokens, int64(per)), burst: big.NewRat(burst, 1)}
}

func (e *exact) refill(now int64) {
	e.tokens.Add(e.tokens, new(big.Rat).Mul(e.rate, big.NewRat(now-e.last, 1)))
	if e.tokens.Cmp(e.burst) > 0 {
		e.tokens.Set(e.burst)
	}
	e.last = now
}

// Against exact arithmetic, a bucket never allows what the exact one with the same history refuses, and refuses only
// where the roundings, a nanosecond a grant, explain it. Above a token a nanosecond it may be a nanosecond ahead.
func TestBucketAgainstExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		tokens, per := 1+rnd.Int64N(1<<rnd.IntN(34)), time.Duration(1+rnd.Int64N(int64(time.Hour)))
		burst := 1 + rnd.Int64N(1000)
		r, err := NewRate(tokens, per, burst)
		if err != nil {
			t.Fatal(err)
		}
		e, b, grants := newExact(tokens, per, burst), Bucket{}, int64(0)
		step := max(2, int64(float64(per)/float64(tokens)*3)) // about as long as the tokens asked for take
		for now := int64(0); now < 300*step; now += rnd.Int64N(step) {
			n := 1 + rnd.Int64N(min(burst, 4))
			e.refill(now)
			if ok, wait := b.Allow(r, now, n); ok {
				grants++
				e.tokens.Sub(e.tokens, big.NewRat(n, 1))
				if slack := big.NewRat(-(tokens / int64(per)), 1); e.tokens.Cmp(slack) < 0 {
					t.Fatalf("%d per %v burst %d: %d granted at %d that are not there", tokens, per, burst, n, now)
				}
			} else {
				slack := new(big.Rat).Mul(e.rate, big.NewRat(grants+2, 1))
				if have := new(big.Rat).Sub(e.tokens, slack); have.Cmp(big.NewRat(n, 1)) >= 0 {
					t.Fatalf("%d per %v burst %d: %d refused at %d though %v are there", tokens, per, burst, n, now, have.FloatString(3))
				}
				if wait <= 0 || wait > time.Duration(r.depth) {
					t.Fatalf("wait of %v", wait)
				}
			}
		}
	}
}

// A refused request that waits as told is granted, and one nanosecond earlier is not.
func TestWaitIsExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		r, err := NewRate(1+rnd.Int64N(1e9), time.Duration(1+rnd.Int64N(1e12)), 1+rnd.Int64N(100))
		if err != nil {
			t.Fatal(err)
		}
		var b Bucket
		now := rnd.Int64N(maxTime / 2)
		b.Charge(r, now, r.burst)
		ok, wait := b.Allow(r, now, 1)
		if ok {
			t.Fatalf("%+v: an empty bucket grants", r)
		}
		early, late := b, b
		if ok, _ := early.Allow(r, now+int64(wait)-1, 1); ok {
			t.Fatalf("%+v: granted before %v", r, wait)
		}
		if ok, _ := late.Allow(r, now+int64(wait), 1); !ok {
			t.Fatalf("%+v: not granted after %v", r, wait)
		}
	}
}

// A rate above a token a nanosecond keeps its precision: 10 Gbit/s in packets of 1500 bytes.
func TestHugeRate(t *testing.T) {
	r := mustRate(t, 1_250_000_000, time.Second, 150_000)
	var b Bucket
	sent := int64(0)
	for now := int64(0); now < int64(10*time.Millisecond); now += 100 {
		for ok := true; ok; {
			if ok, _ = b.Allow(r, now, 1500); ok {
				sent += 1500
			}
		}
	}
	if want := int64(12_500_000 + 150_000); sent > want || sent < want-want/100 {
		t.Errorf("%d bytes in 10 ms, want %d", sent, want)
	}
}

// Whatever the numbers: no panic, no grant above the burst at one moment, a bounded wait, time back or forth.
func FuzzBucket(f *testing.F) {
	f.Add(int64(10), int64(1e9), int64(5), int64(0), int64(1), int64(1e9), int64(2))
	f.Add(int64(math.MaxInt64), int64(1), int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64), int64(0), int64(1))
	f.Add(int64(1), int64(math.MaxInt64/2), int64(1), int64(math.MaxInt64), int64(1), int64(math.MinInt64), int64(1))
	f.Add(int64(1e9), int64(1e9), int64(1), int64(1e18), int64(1), int64(-1e18), int64(1))
	f.Fuzz(func(t *testing.T, tokens, per, burst, t1, n1, t2, n2 int64) {
		r, err := NewRate(tokens, time.Duration(per), burst)
		if err != nil {
			return
		}
		var b Bucket
		got := int64(0)
		for _, n := range []int64{n1, n2, n1} {
			ok, wait := b.Allow(r, t1, n)
			if ok != (wait == 0) || wait < 0 {
				t.Fatalf("%v, %v", ok, wait)
			}
			if ok && n > 0 {
				if slack := tokens / per; uint64(got)+uint64(n) > uint64(burst)+uint64(slack) {
					t.Fatalf("%d after %d of a burst of %d", n, got, burst)
				}
				got += n
			}
		}
		if ok, wait := b.Allow(r, t2, n2); !ok && wait != Never && wait > time.Duration(r.depth) {
			t.Fatalf("a wait of %v with a depth of %d", wait, r.depth)
		}
		b.Charge(r, t2, n1)
		if have := b.Tokens(r, t2); have < 0 || have > burst {
			t.Fatalf("%d tokens of %d", have, burst)
		}
	})
}

func BenchmarkBucket(b *testing.B) {
	r := mustRate(b, 1000, time.Second, 100)
	var bucket Bucket
	now := int64(0)
	for b.Loop() {
		now += 500_000
		bucket.Allow(r, now, 1)
	}
}
