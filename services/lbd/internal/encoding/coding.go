package encoding

import "github.com/everup/everup/services/lbd/internal/http1"

// Coding is a content coding.
type Coding uint8

// The codings.
const (
	Identity Coding = iota
	Gzip            // RFC 1952
	Brotli          // RFC 7932
	Zstd            // RFC 8878

	codings
)

var codingNames = [codings]string{"identity", "gzip", "br", "zstd"}

// CodingNames returns the names of the codings that compress.
func CodingNames() []string { return codingNames[Gzip:] }

// String returns the name as header fields have it.
func (c Coding) String() string {
	if c < codings {
		return codingNames[c]
	}
	return "unknown"
}

// ParseCoding returns the coding of a name in lower case.
func ParseCoding(name string) (c Coding, ok bool) {
	for c = range codings {
		if codingNames[c] == name {
			return c, true
		}
	}
	return Identity, false
}

// codingOf returns the coding of a name in any case; x-gzip is gzip (RFC 9110 section 8.4.1.3).
func codingOf(name []byte) (c Coding, ok bool) {
	if http1.Equal(name, "x-gzip") {
		return Gzip, true
	}
	for c = range codings {
		if http1.Equal(name, codingNames[c]) {
			return c, true
		}
	}
	return Identity, false
}
