package ops

import (
	"strconv"

	"github.com/everup/everup/services/cached/internal/engine"
)

// Arith describes an incr or decr.
type Arith struct {
	Decr    bool
	Delta   uint64
	Compare uint64 // the CAS the item must have, 0: any
	CAS     uint64 // the number to give, 0: the next
}

// maxDigits is the length of the longest number.
const maxDigits = 20

// AddDelta adds a.Delta to the number that r's value is, or subtracts it, and returns the new one: an incr wraps at 2^64, a decr ends at
// 0. The value keeps its length when the new number is shorter, padded with spaces behind; a longer number makes a new
// value with the item's flags and expiry. Outcomes: Stored, NotFound, Exists, NonNumeric, NoMemory. Hits are counted, misses are
// not: memcached counts none where a miss creates the item; see MissedDelta.
func AddDelta(r *engine.Ref, a *Arith) (uint64, Outcome) {
	if !r.Found() {
		return 0, NotFound
	}
	old, numeric := number(r)
	switch {
	case r.Len() == 0 || r.Size() > engine.LargestChunk: // a chunked item is no number, whatever it holds
		return 0, NonNumeric
	case a.Compare != 0 && a.Compare != r.CAS():
		return 0, Exists
	case !numeric:
		return 0, NonNumeric
	}
	n := old + a.Delta
	hits := engine.IncrHits
	if a.Decr {
		n, hits = old-min(a.Delta, old), engine.DecrHits
	}
	r.Count(hits)
	return n, write(r, n, a.CAS)
}

// MissedDelta counts an incr or decr that found nothing and created nothing.
func MissedDelta(r *engine.Ref, decr bool) {
	if decr {
		r.Count(engine.DecrMisses)
	} else {
		r.Count(engine.IncrMisses)
	}
}

// number reads r's value as memcached does: a number, and behind it nothing or white space and then anything.
func number(r *engine.Ref) (uint64, bool) {
	switch n := r.Len(); {
	case n <= engine.Contiguous:
		return Uint(r.Value())
	case r.Size() <= engine.LargestChunk:
		return Uint(r.AppendValue(nil))
	}
	return 0, false
}

// write stores n as r's value.
func write(r *engine.Ref, n, cas uint64) Outcome {
	var buf [maxDigits]byte
	text := strconv.AppendUint(buf[:0], n, 10)
	length := r.Len()
	switch {
	case length < len(text):
		if r.Put(engine.Value{Flags: r.Flags(), Expires: r.Expires(), CAS: cas}, text) != nil {
			return NoMemory
		}
		return Stored
	case length > len(buf):
		text = append(make([]byte, 0, length), text...)
	}
	text = text[:length]
	for i := digits(n); i < length; i++ {
		text[i] = ' '
	}
	r.Overwrite(text, cas)
	return Stored
}

// digits is the length of n's decimal text.
func digits(n uint64) int {
	d := 1
	for n >= 10 {
		n /= 10
		d++
	}
	return d
}
