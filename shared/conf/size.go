package conf

import (
	"math/big"
	"strconv"
	"strings"
)

// Size is a number of bytes: "512", "64k" = "64KiB", "1MiB", "2g"; powers of 1024; "1kB"/"1MB" are powers of 1000.
type Size int64

// sizeUnit returns the number of bytes in a unit, as it is written.
func sizeUnit(name string) (int64, bool) {
	switch name {
	case "", "B":
		return 1, true
	case "kB", "KB":
		return 1e3, true
	case "MB":
		return 1e6, true
	case "GB":
		return 1e9, true
	case "TB":
		return 1e12, true
	case "k", "K", "KiB":
		return 1 << 10, true
	case "m", "M", "MiB":
		return 1 << 20, true
	case "g", "G", "GiB":
		return 1 << 30, true
	case "t", "T", "TiB":
		return 1 << 40, true
	}
	return 0, false
}

// String returns s in the largest unit that divides it: "64KiB", "1500".
func (s Size) String() string {
	for _, unit := range [...]string{"TiB", "GiB", "MiB", "KiB"} {
		if n, _ := sizeUnit(unit); s != 0 && int64(s)%n == 0 {
			return strconv.FormatInt(int64(s)/n, 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText returns String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a number with or without a unit. Fractions must come out at whole bytes.
func (s *Size) UnmarshalText(text []byte) error {
	t := string(text)
	number, unit := leadingNumber(t)
	amount, ok := parseDecimal(number)
	if len(t) > 64 || !ok {
		return &textError{"is not a size of 0 or more", decimalHint(t, "write it like 512, 64KiB, 1MiB or 2g")}
	}
	factor, ok := sizeUnit(strings.TrimPrefix(unit, " "))
	if !ok {
		return &textError{"has an unknown unit", decimalHint(t, unitHint(number, unit))}
	}
	n, ok := wholeInt64(amount.Mul(amount, new(big.Rat).SetInt64(factor)))
	if !ok {
		return &textError{msg: "is not a whole number of bytes below 8388608 TiB"}
	}
	*s = Size(n)
	return nil
}

// unitHint tells 1000 from 1024 where a unit is nearly right.
func unitHint(number, unit string) string {
	for _, u := range [...]string{"k", "M", "G", "T"} {
		if strings.EqualFold(unit, u+"B") || strings.EqualFold(unit, u+"iB") {
			return "write " + number + u + "B for powers of 1000, " + number + strings.ToUpper(u) + "iB for powers of 1024"
		}
	}
	return "units are k, m, g, t, KiB, MiB, GiB, TiB, and kB, MB, GB, TB for powers of 1000"
}
