package rule

import (
	"bytes"
)

// normalize returns the path that conditions see: raw itself where it is that already, else what it appends to scratch.
func normalize(raw, scratch []byte) (path, grown []byte, why Refusal) {
	decode, dots := false, false
	for i, c := range raw {
		switch {
		case c < 0x20 || c == 0x7f:
			return nil, scratch, ControlByte
		case c == '%':
			decode = true
		case c == '\\':
			dots = true
		case c == '.' && i > 0 && raw[i-1] == '/':
			dots = true
		case c == '/' && i > 0 && raw[i-1] == '/':
			decode = true
		}
	}
	path, grown = raw, scratch
	if decode {
		begin := len(scratch)
		if grown, why = decodePath(raw, scratch); why != OK {
			return nil, grown, why
		}
		path = grown[begin:len(grown):len(grown)]
	}
	if (decode || dots) && hasDots(path) {
		return nil, grown, DotSegments
	}
	return path, grown, OK
}

// decodePath appends raw, decoded and with its runs of slashes merged.
func decodePath(raw, b []byte) ([]byte, Refusal) {
	begin := len(b)
	for i := 0; i < len(raw); {
		c, n := decodeByte(raw[i:])
		switch {
		case n == 0:
			return b, BadEscape
		case c < 0x20 || c == 0x7f:
			return b, ControlByte
		}
		i += n
		if c != '/' || len(b) == begin || b[len(b)-1] != '/' {
			b = append(b, c)
		}
	}
	return b, OK
}

// decodeByte returns the first byte of b, decoded, and its length there; 0 for an escape that is none.
func decodeByte(b []byte) (c byte, n int) {
	if b[0] != '%' {
		return b[0], 1
	}
	if len(b) < 3 {
		return 0, 0
	}
	hi, lo := hexValue(b[1]), hexValue(b[2])
	if hi < 0 || lo < 0 {
		return 0, 0
	}
	return byte(hi<<4 | lo), 3
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// hasDots reports whether a segment is "." or "..". A parameter (";x") does not count to it, as for servers that take parameters
// off before they resolve, and "\" divides like "/".
func hasDots(path []byte) bool {
	for len(path) > 0 {
		n := bytes.IndexAny(path, `/\`)
		seg := path
		if n < 0 {
			path = nil
		} else {
			seg, path = path[:n], path[n+1:]
		}
		if i := bytes.IndexByte(seg, ';'); i >= 0 {
			seg = seg[:i]
		}
		if string(seg) == "." || string(seg) == ".." {
			return true
		}
	}
	return false
}

// stripPrefix takes prefix, with which the normalized form of raw begins, off raw. The result begins with "/".
func stripPrefix(raw []byte, prefix string, b []byte) []byte {
	for len(prefix) > 0 && prefix[len(prefix)-1] == '/' {
		prefix = prefix[:len(prefix)-1]
	}
	i, taken, last := 0, 0, byte(0)
	for i < len(raw) && taken < len(prefix) {
		c, n := decodeByte(raw[i:])
		if n == 0 {
			break
		}
		if c != '/' || last != '/' {
			taken++
		}
		i, last = i+n, c
	}
	rest := raw[i:]
	if len(rest) > 0 && rest[0] != '/' {
		if c, n := decodeByte(rest); c == '/' && n > 0 {
			rest = rest[n:] // an escaped one becomes the one that begins the path
		}
		b = append(b, '/')
	} else if len(rest) == 0 {
		b = append(b, '/')
	}
	return append(b, rest...)
}

// bareHost returns host[:port] in lower case without port, brackets and final dot, an IPv6 address in canonical form: a part of
// host where it is that already, else what it appends to scratch.
func bareHost(host, scratch []byte) (bare, grown []byte) {
	if len(host) > 0 && host[0] == '[' {
		if a, ok := parseAddr(host); ok {
			begin := len(scratch)
			scratch = a.AppendTo(scratch)
			return scratch[begin:len(scratch):len(scratch)], scratch
		}
	}
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host, ':') == i {
		host = host[:i]
	}
	host = bytes.TrimSuffix(host, []byte("."))
	for i, c := range host {
		if c >= 'A' && c <= 'Z' {
			return lowered(host, i, scratch)
		}
	}
	return host, scratch
}

func lowered(b []byte, upper int, scratch []byte) (out, grown []byte) {
	begin := len(scratch)
	scratch = append(scratch, b...)
	for i := begin + upper; i < len(scratch); i++ {
		scratch[i] = lowerByte(scratch[i])
	}
	return scratch[begin:len(scratch):len(scratch)], scratch
}
