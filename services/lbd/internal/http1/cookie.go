package http1

import "bytes"

// NextCookie cuts the first "name=value" off the value of a field Cookie (RFC 6265 section 4.2). A pair without "=" has no name.
func NextCookie(list []byte) (name, value, rest []byte) {
	pair, rest, _ := bytes.Cut(list, semicolon)
	name, value, ok := bytes.Cut(TrimBlank(pair), equals)
	if !ok {
		return nil, name, rest
	}
	return name, value, rest
}

var semicolon, equals = []byte(";"), []byte("=")
