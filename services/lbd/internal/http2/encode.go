package http2

import (
	"strconv"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Blocks are encoded by the static table and literals that are not indexed: what one says depends on no other, and any may be
// made, sent, or thrown away at any time. Cookies and credentials are marked never to be indexed (RFC 7541 section 7.1.3).

const (
	plainLiteral = 0x00 // without indexing
	neverLiteral = 0x10
)

// AppendStatus appends the pseudo-header field of an answer, which is its block's first.
func AppendStatus(dst []byte, status int) []byte {
	switch status {
	case 200, 204, 206, 304, 400, 404, 500:
		for i := indexStatus; ; i++ {
			if code := staticFields[i-1][1]; int(code[0]-'0')*100+int(code[1]-'0')*10+int(code[2]-'0') == status {
				return append(dst, 0x80|byte(i))
			}
		}
	}
	return append(dst, indexStatus, 3, '0'+byte(status/100%10), '0'+byte(status/10%10), '0'+byte(status%10))
}

// AppendRequest appends the pseudo-header fields of a request, which are its block's first. CONNECT has neither scheme nor path:
// both are empty then (RFC 9113 section 8.5).
func AppendRequest(dst, method, scheme, authority, path []byte) []byte {
	switch string(method) {
	case "GET":
		dst = append(dst, 0x80|indexGET)
	case "POST":
		dst = append(dst, 0x80|indexPOST)
	default:
		dst = appendString(append(dst, indexGET), method)
	}
	switch string(scheme) {
	case "":
	case "http":
		dst = append(dst, 0x80|indexHTTP)
	case "https":
		dst = append(dst, 0x80|indexHTTPS)
	default:
		dst = appendString(append(dst, indexHTTP), scheme)
	}
	if len(authority) > 0 {
		dst = appendString(append(dst, indexAuthority), authority)
	}
	switch {
	case len(path) == 0:
		return dst
	case string(path) == "/":
		return append(dst, 0x80|indexSlash)
	}
	return appendString(append(dst, indexSlash), path)
}

// AppendField appends a field. Its name, in any case, and value are such as http1 lets through; it is not connection-specific.
func AppendField(dst, name, value []byte) []byte {
	kind := byte(plainLiteral)
	switch http1.Lookup(name) {
	case http1.Cookie, http1.SetCookie, http1.Authorization, http1.ProxyAuthorization:
		kind = neverLiteral
	}
	if i := staticName(name); i > 0 {
		dst = appendInteger(dst, kind, 4, i)
	} else {
		dst = appendName(append(dst, kind), name)
	}
	return appendString(dst, value)
}

// AppendLength appends a Content-Length.
func AppendLength(dst []byte, n int64) []byte {
	var digits [20]byte
	return AppendField(dst, nameLength, strconv.AppendInt(digits[:0], n, 10))
}

var nameLength = []byte("content-length")

// appendName appends a name in lower case.
func appendName(dst, name []byte) []byte {
	dst = appendInteger(dst, 0, 7, len(name))
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

func appendString(dst, s []byte) []byte { return append(appendInteger(dst, 0, 7, len(s)), s...) }

// appendInteger appends a number with a prefix of so many bits (RFC 7541 section 5.1).
func appendInteger(dst []byte, first byte, prefix, n int) []byte {
	full := 1<<prefix - 1
	if n < full {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(full))
	for n -= full; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}
