package parse

import (
	"bytes"
	"time"
)

// maxTag bounds what is taken for a tag. RFC 3164 says 32; real tags are longer, and texts without one longer still.
const maxTag = 128

// parse3164 reads what follows "<PRI>": an optional time stamp, host and tag in the shapes that senders use.
func (p *Parser) parse3164(m *Message, b []byte, now time.Time) {
	m.Format = RFC3164
	b = bytes.TrimLeft(b, " ")
	stamp, n := p.readStamp3164(b, now)
	if n == 0 {
		m.App, m.ProcID, m.Text = cutTag(b, true)
		return
	}
	m.Time = stamp
	b = b[n:]
	if len(b) > 0 && b[0] == ':' { // Cisco: "*Mar  1 18:46:11.123 UTC: %SYS-5-…"
		m.App, m.ProcID, m.Text = cutTag(bytes.TrimLeft(b[1:], " "), true)
		return
	}
	b = trimSpace1(b)
	if len(b) > 0 && b[0] == ' ' { // nginx writes an empty host before it knows its own
		m.App, m.ProcID, m.Text = cutTag(b[1:], false)
		return
	}
	if host, rest, ok := cutHost(b); ok {
		m.Host = host
		if bytes.HasPrefix(rest, []byte(": ")) { // Cisco ASA: "fw1 : %ASA-6-…"
			rest = rest[2:]
		}
		m.App, m.ProcID, m.Text = cutTag(rest, false)
		return
	}
	m.App, m.ProcID, m.Text = cutTag(b, true)
}

// cutHost takes the first word for the host unless it has a tag's shape ("app:", "app[12]:"): messages of local senders
// carry no host.
func cutHost(b []byte) (host, rest []byte, ok bool) {
	i := bytes.IndexByte(b, ' ')
	if i <= 0 || b[i-1] == ':' || bytes.IndexByte(b[:i], '[') > 0 {
		return nil, nil, false
	}
	host = b[:i]
	if isNil(host) {
		host = nil
	}
	return host, b[i+1:], true
}

// cutTag cuts "app:", "app[pid]:", "app[pid]" or, where no colon is demanded, "app ". One space after it goes too.
func cutTag(b []byte, colon bool) (app, pid, text []byte) {
	i := tagLen(b)
	if i == 0 || i == len(b) {
		return nil, nil, b
	}
	switch b[i] {
	case ':':
		return b[:i], nil, trimSpace1(b[i+1:])
	case '[':
		j := bytes.IndexByte(b[i:], ']')
		if j < 0 || j > maxTag {
			return nil, nil, b
		}
		rest := b[i+j+1:]
		if len(rest) > 0 && rest[0] == ':' {
			rest = rest[1:]
		}
		return b[:i], b[i+1 : i+j], trimSpace1(rest)
	case ' ':
		if !colon {
			return b[:i], nil, b[i+1:]
		}
	}
	return nil, nil, b
}

// tagLen returns how many bytes of b may be a tag's name: printable, no space, ':' or '['. It is 0 when they are more than maxTag, or
// when a byte shows that this is not a name but JSON, a key with its value, or markup.
func tagLen(b []byte) int {
	for i, c := range b {
		switch {
		case c <= ' ' || c == ':' || c == '[' || c == 0x7f:
			return i
		case c == '"' || c == '{' || c == '=' || c == '<' || i >= maxTag:
			return 0
		}
	}
	return len(b)
}

func trimSpace1(b []byte) []byte {
	if len(b) > 0 && b[0] == ' ' {
		return b[1:]
	}
	return b
}
