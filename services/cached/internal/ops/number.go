package ops

// Uint reads an unsigned number as memcached does, by strtoull: white space, a sign, digits, and behind them nothing or white space and
// then anything. Beyond 64 bits it fails. With a minus sign the number is taken modulo 2^64, and only what is then 2^63 or more
// is refused as negative.
func Uint(s []byte) (uint64, bool) {
	if n, ok := plain(s); ok {
		return n, true
	}
	n, minus, ok := scan(s)
	if !ok {
		return 0, false
	}
	if minus {
		n = -n
	}
	return n, !minus || int64(n) >= 0
}

// Uint32 reads an unsigned number of 32 bits: of a larger one the low 32 bits count, as in memcached.
func Uint32(s []byte) (uint32, bool) {
	n, ok := Uint(s)
	return uint32(n), ok
}

// Int32 reads a signed number as memcached does, by strtol: what does not fit into 64 bits fails, and of what does the low 32
// bits count.
func Int32(s []byte) (int32, bool) {
	n, minus, ok := scan(s)
	switch {
	case !ok || n > 1<<63 || n == 1<<63 && !minus:
		return 0, false
	case minus:
		n = -n
	}
	return int32(n), true
}

// plain reads the ordinary case: up to 19 digits and nothing else.
func plain(s []byte) (uint64, bool) {
	if len(s) == 0 || len(s) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range s {
		c -= '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	return n, true
}

// scan reads white space, a sign, digits and their end.
func scan(s []byte) (n uint64, minus, ok bool) {
	i := 0
	for i < len(s) && space(s[i]) {
		i++
	}
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		minus = s[i] == '-'
		i++
	}
	first := i
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		d := uint64(s[i] - '0')
		if n > (1<<64-1-d)/10 {
			return 0, minus, false
		}
		n = n*10 + d
	}
	return n, minus, i > first && (i == len(s) || space(s[i]) || s[i] == 0)
}

// space is C's isspace.
func space(c byte) bool { return c == ' ' || c-'\t' <= '\r'-'\t' }
