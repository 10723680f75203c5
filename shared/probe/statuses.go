package probe

import (
	"slices"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/fault"
)

// Statuses is a set of HTTP status codes: "200,204,301-302".
type Statuses struct {
	text   string
	ranges []statusRange
}

// statusRange holds both its ends.
type statusRange struct{ first, last int }

// Contain reports whether code is in the set.
func (s Statuses) Contain(code int) bool {
	return slices.ContainsFunc(s.ranges, func(r statusRange) bool { return r.first <= code && code <= r.last })
}

// String returns the text the set was read from.
func (s Statuses) String() string { return s.text }

// MarshalText is String.
func (s Statuses) MarshalText() ([]byte, error) { return []byte(s.text), nil }

// UnmarshalText reads numbers and ranges, comma-separated.
func (s *Statuses) UnmarshalText(b []byte) error {
	out := Statuses{text: string(b)}
	for part := range strings.SplitSeq(out.text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		a, aok := parseStatus(first)
		z, zok := parseStatus(last)
		if !aok || !zok || a > z {
			return fault.New(fault.Invalid, "%q is neither a status (100 to 599) nor a range of them", part)
		}
		out.ranges = append(out.ranges, statusRange{a, z})
	}
	*s = out
	return nil
}

func parseStatus(s string) (code int, ok bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n >= 100 && n <= 599
}
