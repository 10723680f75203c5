package resp

// match reports whether s matches the pattern p as Redis' SCAN does: * any bytes, ? one byte, [a-c] and [^a-c] one of a set, \x
// the byte x. On a mismatch only the last star is tried again, so the work is at most len(p) times len(s).
func match(p, s []byte) bool {
	star, again := -1, 0
	i, j := 0, 0
	for j < len(s) {
		if i < len(p) && p[i] == '*' {
			star, again = i, j
			i++
			continue
		}
		if n, ok := one(p[i:], s[j]); ok {
			i += n
			j++
			continue
		}
		if star < 0 {
			return false
		}
		again++
		i, j = star+1, again
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// one matches the byte c with the first element of p, which is no star, and returns the length of the element.
func one(p []byte, c byte) (n int, ok bool) {
	if len(p) == 0 {
		return 0, false
	}
	switch p[0] {
	case '?':
		return 1, true
	case '[':
		return set(p, c)
	case '\\':
		if len(p) > 1 {
			return 2, p[1] == c
		}
	}
	return 1, p[0] == c
}

// set matches c with the set at the head of p; a set without an end goes to the end of p.
func set(p []byte, c byte) (n int, ok bool) {
	i := 1
	not := i < len(p) && p[i] == '^'
	if not {
		i++
	}
	for i < len(p) && p[i] != ']' {
		switch {
		case p[i] == '\\' && i+1 < len(p):
			i++
			ok = ok || p[i] == c
		case i+2 < len(p) && p[i+1] == '-':
			low, high := min(p[i], p[i+2]), max(p[i], p[i+2])
			i += 2
			ok = ok || low <= c && c <= high
		default:
			ok = ok || p[i] == c
		}
		i++
	}
	return min(i+1, len(p)), ok != not
}
