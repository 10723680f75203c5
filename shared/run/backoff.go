package run

import "time"

// Backoff spaces the restarts of something that fails: the pause doubles from Min to Max, spread by a random factor,
// and falls back to Min once what was restarted has run long enough. It keeps no clock and no random source, so that
// the same inputs give the same pauses. The zero value with Min and Max set is ready.
type Backoff struct {
	Min     time.Duration // first pause, above 0
	Max     time.Duration // longest pause before spreading, at least Min
	Healthy time.Duration // a run of this length forgets earlier failures; 0 means Max
	Jitter  float64       // 0 to 1: the pause is spread over ±Jitter of itself, and never leaves [Min, Max]

	fails int
}

// Next returns the pause after a run that lasted ran. r is a random number in [0, 1).
func (b *Backoff) Next(ran time.Duration, r float64) time.Duration {
	if ran >= b.healthy() {
		b.fails = 0
	}
	pause := b.pause()
	b.fails++
	spread := float64(pause) * b.Jitter * (2*r - 1)
	return min(max(pause+time.Duration(spread), b.Min), b.Max)
}

// Reset forgets the failures.
func (b *Backoff) Reset() { b.fails = 0 }

// Fails is the number of pauses given out since the last healthy run.
func (b *Backoff) Fails() int { return b.fails }

func (b *Backoff) healthy() time.Duration {
	if b.Healthy > 0 {
		return b.Healthy
	}
	return b.Max
}

// pause doubles step by step, so that it cannot overflow.
func (b *Backoff) pause() time.Duration {
	p := max(b.Min, 1)
	for range b.fails {
		if p >= b.Max/2 {
			return b.Max
		}
		p *= 2
	}
	return min(p, b.Max)
}
