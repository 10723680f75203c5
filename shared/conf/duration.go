package conf

import (
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Duration is a time with a unit: "250ms", "5s", "1m30s", "2h", "7d". A bare number is an error, except 0.
type Duration time.Duration

// durationUnits are the units from the longest down; a text names each at most once, in this order.
var durationUnits = [...]struct {
	name string
	size time.Duration
}{
	{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
	{"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", time.Nanosecond},
}

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns d in the form that UnmarshalText reads: "1m30s", "7d", "0".
func (d Duration) String() string {
	if d == 0 {
		return "0"
	}
	var b strings.Builder
	rest := uint64(d)
	if d < 0 {
		b.WriteByte('-')
		rest = -rest
	}
	for _, u := range durationUnits {
		if n := rest / uint64(u.size); n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			rest %= uint64(u.size)
		}
	}
	return b.String()
}

// MarshalText returns String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads numbers with units, the longest unit first. Fractions must come out at whole nanoseconds.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "0" {
		*d = 0
		return nil
	}
	if s == "" || len(s) > 64 || strings.HasPrefix(s, "-") {
		return &textError{msg: "is not a duration of 0 or more"}
	}
	if isDecimal(s) {
		return &textError{"is a number without a unit", "write " + s + "s for seconds, " + s + "ms for milliseconds"}
	}
	total, unit := new(big.Rat), 0
	for s != "" {
		number, rest := leadingNumber(s)
		name, after := leadingLetters(rest)
		for unit < len(durationUnits) && durationUnits[unit].name != name {
			unit++
		}
		amount, ok := parseDecimal(number)
		if !ok || unit == len(durationUnits) {
			return &textError{"is not a duration", "write it like 250ms, 5s, 1m30s, 2h or 7d"}
		}
		total.Add(total, amount.Mul(amount, new(big.Rat).SetInt64(int64(durationUnits[unit].size))))
		unit++
		s = after
	}
	n, ok := wholeInt64(total)
	if !ok {
		return &textError{msg: "is not a whole number of nanoseconds below 292 years"}
	}
	*d = Duration(n)
	return nil
}
