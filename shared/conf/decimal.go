package conf

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// textError is why a text is not of a type. msg continues "the value …"; it does not hold the value.
type textError struct{ msg, hint string }

// Error returns the message with its hint.
func (e *textError) Error() string {
	if e.hint == "" {
		return e.msg
	}
	return e.msg + " (" + e.hint + ")"
}

// isDecimal reports whether s is a whole number in the one way we write them: no sign, no leading zero.
func isDecimal(s string) bool {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

// isFraction reports whether s is a decimal with digits on both sides of its point, if it has one.
func isFraction(s string) bool {
	whole, frac, found := strings.Cut(s, ".")
	return isDecimal(whole) && (!found || frac != "" && strings.Trim(frac, "0123456789") == "")
}

// parseDecimal returns the exact value of isFraction texts.
func parseDecimal(s string) (*big.Rat, bool) {
	if !isFraction(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// wholeInt64 returns r if it is a whole number that fits.
func wholeInt64(r *big.Rat) (int64, bool) {
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, false
	}
	return r.Num().Int64(), true
}

// leadingNumber splits s after its digits and points.
func leadingNumber(s string) (number, rest string) {
	rest = strings.TrimLeft(s, "0123456789.")
	return s[:len(s)-len(rest)], rest
}

// leadingLetters splits s after its lower-case letters.
func leadingLetters(s string) (letters, rest string) {
	rest = strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz")
	return s[:len(s)-len(rest)], rest
}

// looksNumeric reports whether some YAML reader takes plain s for a number: decimal, octal, hexadecimal, binary,
// with underscores, with an exponent, base 60, infinite.
func looksNumeric(s string) bool {
	t := strings.ToLower(strings.TrimLeft(s, "+-"))
	if len(s)-len(t) > 1 || t == "" {
		return false
	}
	if t == ".inf" || t == ".nan" {
		return true
	}
	t = strings.ReplaceAll(t, "_", "")
	if t == "" || t[0] != '.' && (t[0] < '0' || t[0] > '9') {
		return false
	}
	if strings.Contains(t, ":") {
		return strings.Trim(t, "0123456789:.") == "" && !strings.HasSuffix(t, ":")
	}
	if len(t) > 2 && t[0] == '0' {
		switch t[1] {
		case 'x':
			return strings.Trim(t[2:], "0123456789abcdef") == ""
		case 'o', 'b':
			return strings.Trim(t[2:], "0123456789") == ""
		}
	}
	_, err := strconv.ParseFloat(t, 64)
	return err == nil || strings.Trim(t, "0123456789") == ""
}

// decimalHint says how to write s, a number in another notation, or gives the other hint.
func decimalHint(s, other string) string {
	t := strings.ReplaceAll(strings.TrimPrefix(s, "+"), "_", "")
	digits := strings.TrimPrefix(t, "-")
	sign := t[:len(t)-len(digits)]
	if len(s) > maxSuggest || isFraction(s) || !looksNumeric(s) {
		return other
	}
	if len(digits) > 1 && strings.Trim(digits, "0123456789") == "" && digits[0] == '0' {
		plain := strings.TrimLeft(digits, "0")
		if plain == "" {
			return "write 0"
		}
		hint := "a leading zero means octal to some readers: write " + sign + plain
		if n, err := strconv.ParseInt(digits, 8, 64); err == nil {
			hint += ", or " + sign + strconv.FormatInt(n, 10) + " if octal is meant"
		}
		return hint
	}
	if n, err := strconv.ParseInt(t, 0, 64); err == nil {
		return "write " + strconv.FormatInt(n, 10)
	}
	if f, err := strconv.ParseFloat(t, 64); err == nil && math.Abs(f) < 1e15 && math.Abs(f) > 1e-9 {
		return "write " + strconv.FormatFloat(f, 'f', -1, 64)
	}
	return other
}
