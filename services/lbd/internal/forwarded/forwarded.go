// Package forwarded writes the field Forwarded (RFC 7239), by which proxies tell servers of the client. It is pure.
package forwarded

import (
	"net/netip"
	"strconv"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Element is what one proxy tells.
type Element struct {
	For    netip.Addr // whom the request came from; not valid: Hidden is told
	Hidden uint64     // an identifier in place of the address (RFC 7239 section 6.3)
	Proto  string     // "http" or "https"
	Host   []byte     // the request's Host; empty: it is not told
}

// Append appends the element.
func Append(b []byte, e *Element) []byte {
	b = appendNode(append(b, "for="...), e)
	b = append(append(b, ";proto="...), e.Proto...)
	if len(e.Host) > 0 {
		b = appendValue(append(b, ";host="...), e.Host)
	}
	return b
}

// appendNode appends a node identifier (RFC 7239 section 6). IPv6 addresses are in brackets, and hence quoted.
func appendNode(b []byte, e *Element) []byte {
	a := e.For.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return strconv.AppendUint(append(b, '_'), e.Hidden, 36)
	case a.Is6():
		b = a.AppendTo(append(b, `"[`...))
		return append(b, `]"`...)
	}
	return a.AppendTo(b)
}

// appendValue appends a token, or what is none as a quoted string (RFC 9110 sections 5.6.2 and 5.6.4).
func appendValue(b, v []byte) []byte {
	if http1.IsToken(v) {
		return append(b, v...)
	}
	b = append(b, '"')
	for _, c := range v {
		if c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '"')
}
