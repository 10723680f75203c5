package http1

// class says what a byte may be part of.
type class uint8

const (
	tchar  class = 1 << iota // RFC 9110 section 5.6.2
	fchar                    // of a field's value: VCHAR, obs-text, SP, HTAB
	uchar                    // of a target: visible ASCII but '#', also where RFC 3986 would have it escaped, as browsers do not
	hchar                    // of a host: reg-name, IPv4, brackets
	hexval                   // hexadecimal digit
	digit                    // decimal digit
)

// classes is a table rather than comparisons, for each byte of a head is looked at once.
var classes = makeClasses()

func makeClasses() (t [256]class) {
	for c := range 256 {
		b := byte(c)
		alpha := b|0x20 >= 'a' && b|0x20 <= 'z'
		num := b >= '0' && b <= '9'
		if alpha || num || in(b, "!#$%&'*+-.^_`|~") {
			t[c] |= tchar
		}
		if b == '\t' || b >= ' ' && b != 0x7f {
			t[c] |= fchar
		}
		if b > ' ' && b < 0x7f && b != '#' {
			t[c] |= uchar
		}
		if alpha || num || in(b, "-._~!$&'()*+,;=%") {
			t[c] |= hchar
		}
		if num || b|0x20 >= 'a' && b|0x20 <= 'f' {
			t[c] |= hexval
		}
		if num {
			t[c] |= digit
		}
	}
	return t
}

func in(b byte, set string) bool {
	for i := range len(set) {
		if set[i] == b {
			return true
		}
	}
	return false
}

// all reports whether each byte of b is of the class c.
func all(b []byte, c class) bool {
	for _, x := range b {
		if classes[x]&c == 0 {
			return false
		}
	}
	return true
}

// IsToken reports whether s is a token (RFC 9110 section 5.6.2), as methods and names of fields and cookies are.
func IsToken[T string | []byte](s T) bool {
	for i := range len(s) {
		if classes[s[i]]&tchar == 0 {
			return false
		}
	}
	return len(s) > 0
}

// Equal reports whether b is the lower-case name, whatever b's case.
func Equal(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c != lower[i] && (c|0x20 != lower[i] || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// EqualFold reports whether a and b are the same but for the case of ASCII letters.
func EqualFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if c != b[i] && (c|0x20 != b[i]|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// trim takes the white space (SP, HTAB) around b off.
func trim(b []byte, t Text) Text {
	for t.off < t.end && blank(b[t.off]) {
		t.off++
	}
	for t.end > t.off && blank(b[t.end-1]) {
		t.end--
	}
	return t
}

// TrimBlank takes the white space (SP, HTAB) around b off.
func TrimBlank(b []byte) []byte { return trim(b, Text{0, uint32(len(b))}).In(b) }

func blank(c byte) bool { return c == ' ' || c == '\t' }

// Elements calls f with each element of a comma-separated list, without white space around it; empty elements are left out
// (RFC 9110 section 5.6.1.2). It ends when f returns false.
func Elements(list []byte, f func([]byte) bool) {
	for start := 0; start <= len(list); {
		end := start
		for end < len(list) && list[end] != ',' {
			end++
		}
		t := trim(list, Text{uint32(start), uint32(end)})
		if t.Len() > 0 && !f(t.In(list)) {
			return
		}
		start = end + 1
	}
}
