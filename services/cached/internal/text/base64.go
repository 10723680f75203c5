package text

import "encoding/base64"

// decodeKey decodes a key in base64 into dst, which is as long as src, as memcached does: bytes that are not of the alphabet are
// skipped, the number of others is a multiple of four, and what follows the padding is ignored. It returns 0 for what cannot be decoded.
func decodeKey(dst, src []byte) int {
	count := 0
	for _, c := range src {
		if sextet(c) != notBase64 {
			count++
		}
	}
	if count == 0 || count%4 != 0 {
		return 0
	}
	var block [4]byte
	n, in, pad := 0, 0, 0
	for _, c := range src {
		v := sextet(c)
		if v == notBase64 {
			continue
		}
		if c == '=' {
			pad++
		}
		block[in] = v
		if in++; in < 4 {
			continue
		}
		in = 0
		dst[n] = block[0]<<2 | block[1]>>4
		dst[n+1] = block[1]<<4 | block[2]>>2
		dst[n+2] = block[2]<<6 | block[3]
		n += 3
		switch {
		case pad > 2:
			return 0
		case pad > 0:
			return n - pad
		}
	}
	return n
}

// notBase64 is what sextet returns for bytes outside of the alphabet.
const notBase64 = 0x80

// sextet is the value of a byte of base64; padding counts as 0.
func sextet(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A'
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26
	case c >= '0' && c <= '9':
		return c - '0' + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	case c == '=':
		return 0
	}
	return notBase64
}

// appendKey appends " k" and a key, in base64 with " b" behind it when binary is set.
func appendKey(dst, key []byte, binary bool) []byte {
	dst = append(dst, " k"...)
	if !binary {
		return append(dst, key...)
	}
	return append(base64.StdEncoding.AppendEncode(dst, key), " b"...)
}
