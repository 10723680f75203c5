package load

// A key is its number in eight hexadecimal digits behind as many letters k as its length asks for, so that it is written and
// read back without a table of keys, whose cache misses would cost more than the digits.
const (
	keyDigits = 8
	minKeyLen = keyDigits
	maxKeyLen = 250
)

const hexDigits = "0123456789abcdef"

// appendKey appends the key of the number.
func appendKey(b []byte, id uint32, length int) []byte {
	for range length - keyDigits {
		b = append(b, 'k')
	}
	return append(b,
		hexDigits[id>>28], hexDigits[id>>24&15], hexDigits[id>>20&15], hexDigits[id>>16&15],
		hexDigits[id>>12&15], hexDigits[id>>8&15], hexDigits[id>>4&15], hexDigits[id&15])
}

// parseKey returns the number of a key of the given length, and whether it is one.
func parseKey(b []byte, length int) (uint32, bool) {
	if len(b) != length || length < keyDigits {
		return 0, false
	}
	for _, c := range b[:length-keyDigits] {
		if c != 'k' {
			return 0, false
		}
	}
	var id uint32
	for _, c := range b[length-keyDigits:] {
		switch {
		case c >= '0' && c <= '9':
			id = id<<4 | uint32(c-'0')
		case c >= 'a' && c <= 'f':
			id = id<<4 | uint32(c-'a'+10)
		default:
			return 0, false
		}
	}
	return id, true
}
