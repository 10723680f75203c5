package mcflags

import (
	"math"
	"strconv"
	"strings"
)

const spaces = " \t\n\v\f\r"

// leading reads the number at the beginning of s as C's atoi does: white space, a sign, digits. Numbers out of range become the
// nearest. ok is false where there is no digit.
func leading(s string) (n int64, rest string, ok bool) {
	s = strings.TrimLeft(s, spaces)
	end := 0
	if end < len(s) && (s[end] == '+' || s[end] == '-') {
		end++
	}
	digits := end
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	if end == digits {
		return 0, s, false
	}
	n, _ = strconv.ParseInt(s[:end], 10, 64) // out of range: the nearest
	return n, s[end:], true
}

// whole reads all of s as a number; white space around it is no fault.
func whole(s string) (int64, bool) {
	n, rest, ok := leading(s)
	return n, ok && strings.Trim(rest, spaces) == ""
}

// maxReal is the longest text read as a real number.
const maxReal = 64

// leadingReal is leading for decimal fractions.
func leadingReal(s string) (x float64, rest string, ok bool) {
	s = strings.TrimLeft(s, spaces)
	for end := min(len(s), maxReal); end > 0; end-- {
		if strings.Trim(s[:end], "0123456789+-.eE") != "" {
			continue
		}
		if x, err := strconv.ParseFloat(s[:end], 64); err == nil && !math.IsInf(x, 0) {
			return x, s[end:], true
		}
	}
	return 0, s, false
}

// span is what a number may be, both ends included, and what is said when it is not.
type span struct {
	min, max int64
	why      string
}

// atoi reads a number that memcached reads with atoi: what stands behind the digits is no fault, but noted.
func (p *parser) atoi(arg string, s span) (int64, error) {
	n, rest, ok := leading(arg)
	if !ok {
		return 0, wrong(p.at, "%s is not a number", quote(arg))
	}
	if n < s.min || n > s.max {
		return 0, wrong(p.at, "%s", s.why)
	}
	p.noteTail(arg, rest)
	return n, nil
}

// strict reads a number that memcached takes only as a whole.
func (p *parser) strict(arg string, s span) (int64, error) {
	n, ok := whole(arg)
	if !ok {
		return 0, wrong(p.at, "%s is not a number", quote(arg))
	}
	if n < s.min || n > s.max {
		return 0, wrong(p.at, "%s", s.why)
	}
	return n, nil
}

// above reads a fraction above low, with a tail as atoi.
func (p *parser) above(arg string, low float64, why string) (float64, error) {
	x, rest, ok := leadingReal(arg)
	if !ok {
		return 0, wrong(p.at, "%s is not a number", quote(arg))
	}
	if !(x > low) {
		return 0, wrong(p.at, "%s", why)
	}
	p.noteTail(arg, rest)
	return x, nil
}

// real reads a fraction that memcached takes only as a whole.
func (p *parser) real(arg string) (float64, error) {
	x, rest, ok := leadingReal(arg)
	if !ok || strings.Trim(rest, spaces) != "" {
		return 0, wrong(p.at, "%s is not a number", quote(arg))
	}
	return x, nil
}

func (p *parser) noteTail(arg, rest string) {
	if rest != "" {
		p.note(p.at, "only the number at the beginning of %s counts, as with memcached", quote(arg))
	}
}

// quote quotes what the user wrote, cut to a length that suits a message.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}
