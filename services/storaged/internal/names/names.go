// Package names says what an object's name may be and keeps the names in order for listings.
package names

import (
	"strings"
	"unicode/utf8"

	"github.com/everup/everup/shared/fault"
)

// MaxLen is the longest name, in bytes.
const MaxLen = 1024

// FromPath returns the name that a request's path stands for. path is percent-decoded, once, by whoever parsed the URL; so "%2F" in a
// URL is a slash like any other, and "%252F" is the three characters "%2F".
//
// A name is UTF-8 of at most MaxLen bytes without control characters; its segments, between slashes, are neither empty
// nor "." nor "..". Names are compared byte by byte: no case is folded and nothing is normalised.
func FromPath(path string) (string, error) {
	name, ok := strings.CutPrefix(path, "/")
	switch {
	case !ok || name == "":
		return "", fault.New(fault.Invalid, "names: the path names no object")
	case len(name) > MaxLen:
		return "", fault.New(fault.Invalid, "names: the name has %d bytes, at most %d are allowed", len(name), MaxLen)
	case !utf8.ValidString(name):
		return "", fault.New(fault.Invalid, "names: the name is not UTF-8")
	case strings.ContainsFunc(name, control):
		return "", fault.New(fault.Invalid, "names: the name has a control character")
	}
	for seg := range strings.SplitSeq(name, "/") {
		switch seg {
		case "":
			return "", fault.New(fault.Invalid, "names: the name has an empty segment")
		case ".", "..":
			return "", fault.New(fault.Invalid, "names: the name has the segment %q", seg)
		}
	}
	return name, nil
}

// control reports C0, DEL, C1, and U+2028 and U+2029, which some readers take for line ends.
func control(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029
}
