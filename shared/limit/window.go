package limit

import (
	"math/bits"
	"time"
)

// Window counts what happened within the last while, in 24 bytes. It keeps the counts of the current and of the last
// fixed interval and takes the last one's as spread evenly: the result is never less than the current interval's count,
// never more than both. The zero Window is empty. One Window goes with one length.
type Window struct {
	start     int64 // of the current interval
	cur, last uint64
}

// Add counts n at the time now and returns the count over the last length. A time before the current interval counts
// as its start. The length is above 0.
func (w *Window) Add(length time.Duration, now int64, n uint64) uint64 {
	w.advance(int64(length), now)
	w.cur = addCapped64(w.cur, n)
	return w.count(int64(length), now)
}

// Undo takes back n that were counted at the time at. What was counted before the last interval is forgotten already.
func (w *Window) Undo(length time.Duration, at, now int64, n uint64) {
	w.advance(int64(length), now)
	switch at = clamp(at); {
	case at >= w.start:
		w.cur -= min(n, w.cur)
	case w.start-at <= int64(length):
		w.last -= min(n, w.last)
	}
}

// Count returns the count over the last length.
func (w *Window) Count(length time.Duration, now int64) uint64 {
	w.advance(int64(length), now)
	return w.count(int64(length), now)
}

// advance opens the interval that now is in.
func (w *Window) advance(length, now int64) {
	now = clamp(now)
	if now-w.start < length {
		return
	}
	if now-w.start-length < length {
		w.last = w.cur
	} else {
		w.last = 0
	}
	w.cur = 0
	w.start = now - now%length
}

// count is cur and the part of last that is still within the length: last * (end of the interval - now) / length.
func (w *Window) count(length, now int64) uint64 {
	left := length - max(clamp(now)-w.start, 0)
	hi, lo := bits.Mul64(w.last, uint64(left))
	part, _ := bits.Div64(hi, lo, uint64(length)) // left is not above length
	return addCapped64(w.cur, part)
}
