package http1

import "bytes"

// Form is the form of a request's target (RFC 9112 section 3.2).
type Form uint8

// The forms.
const (
	Origin    Form = iota // "/path?query"
	Absolute              // "http://host/path?query"
	Authority             // "host:port", of CONNECT
	Asterisk              // "*", of OPTIONS
)

// Target is what a request asks for.
type Target struct {
	Raw   Text
	Form  Form
	Path  Text // Origin and Absolute; empty where an absolute form has none, which means "/"
	Query Text // without the '?'
	HasQ  bool // there is a '?'
	Host  Text // host[:port] of Absolute and Authority
}

// target parses the target.
func (h *Head) target(b []byte, t Text) Refusal {
	h.Target = Target{Raw: t}
	raw := t.In(b)
	method := h.Method.In(b)
	switch {
	case string(method) == "CONNECT":
		h.Target.Form, h.Target.Host = Authority, t
		if !validHost(raw) || bytes.IndexByte(raw, ':') < 0 {
			return BadTarget
		}
		return OK
	case raw[0] == '/':
		h.Target.split(b, t)
		return OK
	case len(raw) == 1 && raw[0] == '*' && string(method) == "OPTIONS":
		h.Target.Form = Asterisk
		return OK
	}
	return h.absolute(b, t)
}

// absolute parses "http://host[:port][/path][?query]". A user and password before the host are refused (RFC 9110 section
// 4.2.4).
func (h *Head) absolute(b []byte, t Text) Refusal {
	raw := t.In(b)
	n := 0
	switch {
	case len(raw) > 7 && Equal(raw[:7], "http://"):
		n = 7
	case len(raw) > 8 && Equal(raw[:8], "https://"):
		n = 8
	default:
		return BadTarget
	}
	end := n
	for end < len(raw) && raw[end] != '/' && raw[end] != '?' {
		end++
	}
	h.Target.Form = Absolute
	h.Target.Host = Text{t.off + uint32(n), t.off + uint32(end)}
	h.Target.split(b, Text{h.Target.Host.end, t.end})
	if !validHost(raw[n:end]) {
		return BadTarget
	}
	return OK
}

// split divides path and query.
func (t *Target) split(b []byte, at Text) {
	t.Path = at
	if i := bytes.IndexByte(at.In(b), '?'); i >= 0 {
		t.Path.end = at.off + uint32(i)
		t.Query = Text{t.Path.end + 1, at.end}
		t.HasQ = true
	}
}

// validHost checks host[:port] (RFC 3986 section 3.2.2) without a user: a name, IPv4, or IPv6 in brackets, and a port of at
// most five digits.
func validHost(b []byte) bool {
	host, port := b, []byte(nil)
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 3 {
			return false
		}
		for _, c := range b[1:end] {
			if classes[c]&hexval == 0 && c != ':' && c != '.' {
				return false
			}
		}
		host, port = nil, b[end+1:]
		if len(port) > 0 && port[0] != ':' {
			return false
		}
	} else if i := bytes.IndexByte(b, ':'); i >= 0 {
		host, port = b[:i], b[i:]
	}
	if host != nil && (len(host) == 0 || len(host) > 255 || !all(host, hchar)) {
		return false
	}
	if len(port) == 0 {
		return true
	}
	return len(port) <= 6 && all(port[1:], digit)
}
