package guard

import (
	"bytes"
	"strconv"
)

// framing is what a head says about its body.
type framing struct {
	length  int64
	chunked bool
	unknown bool // a transfer coding that is not known
	upgrade bool // another protocol may follow
}

// parseHead judges a whole head, with the empty line at its end, by the strict reading of RFC 9112. Where the RFC leaves a
// choice it refuses.
func parseHead(b []byte) (f framing, ok bool) {
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	minor, ok := parseRequestLine(line)
	if !ok {
		return f, false
	}
	hosts, lengths, codings := 0, 0, 0
	for {
		line, rest, ok = bytes.Cut(rest, []byte("\r\n"))
		if !ok || len(line) == 0 {
			break
		}
		name, value, ok := parseField(line)
		if !ok {
			return f, false
		}
		switch {
		case is(name, "host"):
			hosts++
		case is(name, "upgrade"):
			f.upgrade = true
		case is(name, "content-length"):
			lengths++
			if f.length, ok = parseLength(value); !ok {
				return f, false
			}
		case is(name, "transfer-encoding"):
			codings++
			f.chunked = is(value, "chunked")
			f.unknown = !f.chunked
			if !isToken(value) {
				return f, false
			}
		}
	}
	switch {
	case hosts > 1, hosts == 0 && minor == '1',
		lengths > 1, codings > 1, lengths > 0 && codings > 0, codings > 0 && minor == '0':
		return f, false
	}
	return f, true
}

// parseRequestLine accepts "method SP target SP HTTP/1.0" or 1.1.
func parseRequestLine(b []byte) (minor byte, ok bool) {
	method, rest, _ := bytes.Cut(b, []byte(" "))
	target, version, ok := bytes.Cut(rest, []byte(" "))
	if !ok || !isToken(method) || len(target) == 0 || len(version) != len("HTTP/1.1") || !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return 0, false
	}
	for _, c := range target {
		if c <= ' ' || c == 0x7f {
			return 0, false
		}
	}
	minor = version[len(version)-1]
	return minor, minor == '0' || minor == '1'
}

// parseField accepts "name: value": no folding, no space before the colon, no control characters but tab.
func parseField(b []byte) (name, value []byte, ok bool) {
	name, value, ok = bytes.Cut(b, []byte(":"))
	if !ok || !isToken(name) {
		return nil, nil, false
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, nil, false
		}
	}
	return name, bytes.Trim(value, " \t"), true
}

// parseLength accepts digits only, within 63 bits.
func parseLength(b []byte) (int64, bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

// parseChunkSize accepts hex digits, then nothing or an extension.
func parseChunkSize(b []byte) (int64, bool) {
	digits, ext, _ := bytes.Cut(b, []byte(";"))
	for _, c := range digits {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return 0, false
		}
	}
	for _, c := range ext {
		if c < ' ' && c != '\t' || c == 0x7f {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(string(digits), 16, 64)
	return n, err == nil
}

// isToken reports whether b is a token (RFC 9110, 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) < 0 {
			return false
		}
	}
	return len(b) > 0
}

// is compares without letter case; lower is in lower case.
func is(b []byte, lower string) bool { return bytes.EqualFold(b, []byte(lower)) }
