package accesslog

import "unicode/utf8"

// appendObject appends the line as a JSON object (RFC 8259).
func (f *Format) appendObject(b []byte, e *Entry, sample int) []byte {
	b = append(b, '{')
	for i := range f.tokens {
		t := &f.tokens[i]
		begin := len(b)
		if b[begin-1] != '{' {
			b = append(b, ',')
		}
		b = append(b, t.lead...)
		n := len(b)
		if b = f.appendJSONValue(b, t, e, sample); len(b) == n {
			b = b[:begin]
		}
	}
	return append(b, '}')
}

// appendJSONValue appends nothing for a value that is empty.
func (f *Format) appendJSONValue(b []byte, t *token, e *Entry, sample int) []byte {
	switch {
	case t.v >= varHandshake:
		if d := e.seconds(t.v); d != 0 || t.v == varDuration {
			return appendSeconds(b, d)
		}
		return b
	case t.v >= varStatus:
		return f.appendValue(b, t, e, sample)
	}
	switch t.v {
	case varClient, varPeer, varTime, varTimeCLF: // none of these needs to be escaped
		n := len(b)
		if b = f.appendValue(append(b, '"'), t, e, sample); len(b) == n+1 {
			return b[:n]
		}
		return append(b, '"')
	case varNode:
		return appendText(b, f.node)
	case varProto, varScheme, varRoute, varPool, varMember, varReason, varTLS, varCipher, varServerName:
		return appendText(b, e.string(t.v))
	}
	return appendText(b, e.bytes(t))
}

func appendText[T string | []byte](b []byte, s T) []byte {
	if len(s) == 0 {
		return b
	}
	return appendJSON(b, s)
}

// appendJSON appends a string, cut to maxField. What is not ASCII is escaped, so that the line is safe to show; what is not UTF-8
// becomes U+FFFD.
func appendJSON[T string | []byte](b []byte, s T) []byte {
	if len(s) > maxField {
		s = s[:maxField]
	}
	b = append(b, '"')
	for i := 0; i < len(s); {
		n := prefix(s, i, 0)
		b = append(b, s[i:i+n]...)
		if i += n; i == len(s) {
			break
		}
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < utf8.RuneSelf:
			b = appendUnit(b, rune(c))
			i++
		default:
			r, n := decode(s[i:])
			b = appendRune(b, r)
			i += n
		}
	}
	return append(b, '"')
}

// decode is utf8.DecodeRune for both kinds of text.
func decode[T string | []byte](s T) (rune, int) {
	var b [utf8.UTFMax]byte
	n := copy(b[:], s)
	return utf8.DecodeRune(b[:n])
}

// appendRune appends UTF-16 units.
func appendRune(b []byte, r rune) []byte {
	if r < 0x10000 {
		return appendUnit(b, r)
	}
	r -= 0x10000
	return appendUnit(appendUnit(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
}

func appendUnit(b []byte, u rune) []byte {
	return append(b, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}
