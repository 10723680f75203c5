package load

import "encoding/binary"

// A key is its number in eight hexadecimal digits behind as many letters k as its length asks for, so that it is written and
// read back without a table of keys, whose cache misses would cost more than the digits.
const (
	keyDigits = 8
	minKeyLen = keyDigits
	maxKeyLen = 250
)

// keyPrefix is what the longest key has in front of its digits.
const keyPrefix = "" +
	"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" +
	"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk" +
	"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

// appendKey appends the key of the number.
func appendKey(b []byte, id uint32, length int) []byte {
	b = append(b, keyPrefix[:length-keyDigits]...)
	return binary.BigEndian.AppendUint64(b, hex8(id))
}

// hex8 returns the eight digits, the first in the highest byte: each half of what is left is moved apart until every byte holds four bits,
// then all bytes become digits at once.
func hex8(id uint32) uint64 {
	x := uint64(id)
	x = x&0xffff0000<<16 | x&0x0000ffff
	x = x&0x0000ff000000ff00<<8 | x&0x000000ff000000ff
	x = x&0x00f000f000f000f0<<4 | x&0x000f000f000f000f
	letters := (x + 0x0606060606060606) >> 4 & 0x0101010101010101 // 1 in each byte above 9
	return x + 0x3030303030303030 + letters*('a'-'0'-10)
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
