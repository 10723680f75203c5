package parse

import "bytes"

// bom is the UTF-8 byte order mark.
var bom = []byte{0xEF, 0xBB, 0xBF}

// parse5424 reads what follows "<PRI>VERSION ". It reports false, with m's fields untouched but for PRI, when the
// time stamp is none of RFC 5424's: then the version was only the beginning of some other text.
// Field lengths (RFC 5424 §6) are not enforced, and missing fields at the end count as "-": senders do both.
func (p *Parser) parse5424(m *Message, b []byte) bool {
	stamp, b := cutField(b)
	if !isNil(stamp) {
		t, n := p.readISO(stamp)
		if n == 0 || n != len(stamp) {
			return false
		}
		m.Time = t
	}
	m.Format = RFC5424
	m.Host, b = cut5424(b)
	m.App, b = cut5424(b)
	m.ProcID, b = cut5424(b)
	m.MsgID, b = cut5424(b)
	sd, text, ok := cutSD(b)
	if !ok {
		m.Flaw = BadSD
		text = b
	}
	m.SD = sd
	if bytes.HasPrefix(text, bom) {
		m.BOM = true
		text = text[len(bom):]
	}
	m.Text = text
	return true
}

// cut5424 is cutField with "-" as empty.
func cut5424(b []byte) (field, rest []byte) {
	field, rest = cutField(b)
	if isNil(field) {
		field = nil
	}
	return field, rest
}

// cutSD cuts STRUCTURED-DATA (RFC 5424 §6.3) and the space after it. It demands only what tells where the data end:
// matching brackets, with quoted values in which '"', '\' and ']' may be escaped.
func cutSD(b []byte) (sd, text []byte, ok bool) {
	if len(b) == 0 {
		return nil, nil, true
	}
	if b[0] == '-' {
		if len(b) == 1 {
			return nil, nil, true
		}
		return nil, b[2:], b[1] == ' '
	}
	i := 0
	for i < len(b) && b[i] == '[' {
		n := elementLen(b[i:])
		if n == 0 {
			return nil, nil, false
		}
		i += n
	}
	switch {
	case i == 0:
		return nil, nil, false
	case i == len(b):
		return b, nil, true
	case b[i] == ' ':
		return b[:i], b[i+1:], true
	}
	return b[:i], b[i:], true // a sender that forgot the space
}

// elementLen returns the length of the SD-ELEMENT that b begins with, 0 when it does not end.
func elementLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case ']':
			return i + 1
		case '"':
			n := quotedLen(b[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		}
	}
	return 0
}

// quotedLen returns the length of the quoted value that b begins with, 0 when it does not end.
func quotedLen(b []byte) int {
	i := 1
	for {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return 0
		}
		end := i + n
		slashes := 0
		for slashes < n && b[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return end + 1
		}
		i = end + 1
	}
}

// CutSD returns the structured data that b begins with and what follows them without the space; ok is false when b begins with
// none. It is for readers of stored lines.
func CutSD(b []byte) (sd, rest []byte, ok bool) { return cutSD(b) }
