package files

import (
	"math"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// maxRanges bounds the ranges of one request; of more, none is looked at.
const maxRanges = 32

// span is the bytes from off up to, not including, end.
type span struct{ off, end int64 }

// asked is what a field Range comes to.
type asked uint8

const (
	everything     asked = iota // there is none, or it is to be ignored
	satisfiable                 // Answer.ranges
	notSatisfiable              // 416
)

// ranges fills a.ranges with what the request wants of the file.
func (r *Request) ranges(a *Answer) asked {
	v, lines := r.get(http1.Range)
	if lines != 1 || string(r.method()) != "GET" || !r.fresh(a) {
		return everything
	}
	var what asked
	a.ranges, what = parseRanges(v, a.File.Size, a.ranges)
	if what != satisfiable {
		return what
	}
	sum := int64(0)
	for _, s := range a.ranges {
		if sum += s.end - s.off; sum > a.File.Size { // each is within the file: no overflow
			a.ranges = a.ranges[:0]
			return everything
		}
	}
	return satisfiable
}

// parseRanges reads a field Range (RFC 9110 section 14.2) for content of a size, and appends to out what of it there is. One that is
// malformed, of another unit or of too many ranges is to be ignored; so is the end of empty content, which Content-Range cannot name.
func parseRanges(v []byte, size int64, out []span) ([]span, asked) {
	const unit = "bytes="
	if len(v) < len(unit) || !http1.Equal(v[:len(unit)-1], "bytes") || v[len(unit)-1] != '=' {
		return out, everything
	}
	begin, n, good := len(out), 0, true
	http1.Elements(v[len(unit):], func(e []byte) bool {
		s, ok := parseRange(e, size)
		n++
		good = ok && n <= maxRanges
		if good && s.off < s.end {
			out = append(out, s)
		}
		return good
	})
	switch {
	case !good || n == 0:
		return out[:begin], everything
	case len(out) == begin:
		return out, notSatisfiable
	}
	return out, satisfiable
}

// parseRange reads one range: an empty span if there is nothing there. It is not ok if it is malformed, or is the end of nothing.
func parseRange(e []byte, size int64) (s span, ok bool) {
	first, rest, digits := number(e)
	if len(rest) == 0 || rest[0] != '-' {
		return s, false
	}
	last, rest, ends := number(rest[1:])
	switch {
	case len(rest) > 0, digits == 0 && ends == 0, digits > 0 && ends > 0 && last < first:
		return s, false
	case digits == 0 && last > 0:
		return span{max(size-last, 0), size}, size > 0
	case digits == 0, first >= size:
		return s, true
	case ends == 0:
		return span{first, size}, true
	}
	return span{first, min(last, size-1) + 1}, true
}

// number cuts digits off b. One that does not fit is the largest there is.
func number(b []byte) (n int64, rest []byte, digits int) {
	for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' {
		d := int64(b[digits] - '0')
		if n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
		} else {
			n = n*10 + d
		}
		digits++
	}
	return n, b[digits:], digits
}
