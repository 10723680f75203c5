package pool

import "time"

const (
	budgetSlots = 10 // of a second each
	budgetFree  = 10 // retries per second that need no requests
)

// Budget bounds retries to a share of the requests of the last 10 s, so that a failing pool is not hit by a multiple of
// its load; 10 per second are always allowed. It is pure and not safe for concurrent use.
// Times are counted from any one instant.
type Budget struct {
	percent int
	second  int64 // of the newest slot
	slots   [budgetSlots]struct{ requests, retries int }
}

// SetPercent sets the share.
func (b *Budget) SetPercent(p int) { b.percent = p }

// Request counts a request.
func (b *Budget) Request(now time.Duration) { b.slot(now).requests++ }

// Retry reports whether one more retry is allowed, and counts it if so.
func (b *Budget) Retry(now time.Duration) bool {
	s := b.slot(now)
	requests, retries := 0, 0
	for _, x := range b.slots {
		requests += x.requests
		retries += x.retries
	}
	if retries >= budgetFree*budgetSlots+requests*b.percent/100 {
		return false
	}
	s.retries++
	return true
}

// slot returns the slot of now's second and empties those the clock has passed.
func (b *Budget) slot(now time.Duration) *struct{ requests, retries int } {
	sec := int64(now / time.Second)
	for range min(max(sec-b.second, 0), budgetSlots) {
		b.second++
		b.slots[b.second%budgetSlots] = struct{ requests, retries int }{}
	}
	if b.second < sec { // a long silence: all slots are empty now
		b.second = sec
	}
	return &b.slots[b.second%budgetSlots]
}
