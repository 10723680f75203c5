package http2

// symbolsByLength is the code of RFC 7541 appendix B. It is canonical: codes of one length follow each other in the order of
// their symbols, and each length goes on where the shorter one has ended. So the lengths say it all. The end of string, of 30 bits
// that are all one, comes last.
var symbolsByLength = [maxCode + 1]string{
	5:  "012aceiost",
	6:  " %-./3456789=A_bdfghlmnpru",
	7:  ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
	8:  "&*,;XZ",
	10: "!\"()?",
	11: "'+|",
	12: "#>",
	13: "\x00$@[]~",
	14: "^}",
	15: "<`{",
	19: "\\\xc3\xd0",
	20: "\x80\x82\x83\xa2\xb8\xc2\xe0\xe2",
	21: "\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6",
	22: "\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9",
	23: "\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7\xef",
	24: "\x09\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
	25: "\xc7\xcf\xea\xeb",
	26: "\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
	27: "\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
	28: "\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f\xdc\xf9",
	30: "\x0a\x0d\x16",
}

const (
	minCode  = 5
	maxCode  = 30
	fastBits = 10
)

// codeRange is the codes of one length.
type codeRange struct {
	first   uint32 // the first code of the length
	symbols string
}

// huffman decodes: what has at most fastBits by one look-up, which is all that common text has; the rest by length.
var huffman = makeHuffman()

type huffmanTable struct {
	fast [1 << fastBits]struct{ symbol, bits uint8 } // bits 0: the code is longer
	long [maxCode + 1]codeRange
}

func makeHuffman() *huffmanTable {
	t := new(huffmanTable)
	code := uint32(0)
	for n := minCode; n <= maxCode; n++ {
		code <<= 1
		t.long[n] = codeRange{code, symbolsByLength[n]}
		for i := range len(symbolsByLength[n]) {
			if n <= fastBits {
				at := code << (fastBits - n)
				for k := range uint32(1) << (fastBits - n) {
					t.fast[at+k].symbol, t.fast[at+k].bits = symbolsByLength[n][i], uint8(n)
				}
			}
			code++
		}
	}
	return t
}

// appendHuffman appends what src encodes. ok is false for an end of string within and for padding that is not a few ones
// (RFC 7541 section 5.2).
func appendHuffman(dst, src []byte) (out []byte, ok bool) {
	var acc uint64 // the low n bits are not decoded yet
	n := 0
	for {
		for n <= 56 && len(src) > 0 {
			acc = acc<<8 | uint64(src[0])
			src = src[1:]
			n += 8
		}
		if n < minCode {
			break
		}
		// Where fewer bits are left than are looked at, ones stand in for them, as padding does.
		var e struct{ symbol, bits uint8 }
		if n >= fastBits {
			e = huffman.fast[acc>>(n-fastBits)&(1<<fastBits-1)]
		} else {
			pad := fastBits - n
			e = huffman.fast[(acc<<pad|(1<<pad-1))&(1<<fastBits-1)]
		}
		if e.bits != 0 && int(e.bits) <= n {
			dst = append(dst, e.symbol)
			n -= int(e.bits)
			continue
		}
		symbol, bits := huffman.slow(acc, n)
		if bits == 0 {
			break
		}
		dst = append(dst, symbol)
		n -= bits
	}
	return dst, n < 8 && acc&(1<<n-1) == 1<<n-1
}

// slow decodes a code longer than fastBits; bits is 0 if the n bits that there are hold none.
func (t *huffmanTable) slow(acc uint64, n int) (symbol byte, bits int) {
	for bits = fastBits + 1; bits <= min(n, maxCode); bits++ {
		code := uint32(acc>>(n-bits)) & (1<<bits - 1)
		r := &t.long[bits]
		if at := code - r.first; code >= r.first && at < uint32(len(r.symbols)) {
			return r.symbols[at], bits
		}
	}
	return 0, 0
}
