// Package parse reads syslog messages as senders really write them: RFC 5424 and RFC 3164 with its many deviations,
// told apart message by message.
//
// Parsing never fails and never loses a byte. What cannot be understood stays in Text, and Flaw says what was wrong,
// so that the caller can count it. All fields are slices of the bytes given to Parse: the caller must not change these
// bytes while the Message is in use. Parse does not allocate.
package parse

import (
	"bytes"
	"time"
)

// Format is the grammar a message was read by.
type Format uint8

// The formats.
const (
	Raw     Format = iota // no PRI part: the whole message is Text
	RFC3164               // PRI, then what BSD syslog's descendants write
	RFC5424               // PRI, version, and the seven fields of RFC 5424 §6
)

// String returns "raw", "rfc3164" or "rfc5424".
func (f Format) String() string {
	switch f {
	case RFC5424:
		return "rfc5424"
	case RFC3164:
		return "rfc3164"
	}
	return "raw"
}

// Flaw tells what is wrong with a message that was read all the same.
type Flaw uint8

// The flaws, worst last.
const (
	NoFlaw  Flaw = iota
	NoPRI        // no "<0>" to "<191>" at the start
	BadHead      // it says it is RFC 5424, but its header is not: read as RFC 3164
	BadSD        // the structured data do not end properly: they are in Text
)

// Defaults for messages without a PRI part (RFC 3164 §4.3.3).
const (
	defaultFacility = 1 // user
	defaultSeverity = 5 // notice
)

// Message is one syslog message. Byte fields are slices of Raw; absent ones (RFC 5424's "-") are empty.
type Message struct {
	Raw      []byte    // as received, without framing
	Format   Format    //
	Flaw     Flaw      //
	BOM      bool      // Text was preceded by a UTF-8 byte order mark (RFC 5424 §6.4)
	Facility uint8     // 0 to 23
	Severity uint8     // 0 (emergency) to 7 (debug)
	Time     time.Time // the sender's; zero when it gave none
	Host     []byte
	App      []byte // APP-NAME, or the tag of RFC 3164 without its process id
	ProcID   []byte
	MsgID    []byte
	SD       []byte // structured data with their brackets, not unescaped
	Text     []byte // MSG, without one trailing line end and NULs
}

// Parser holds what is worth remembering from one message to the next. It is for one goroutine.
type Parser struct {
	// Location is the zone of time stamps that carry none; nil means UTC.
	Location *time.Location

	memo stampMemo
}

// Parse reads raw into m, replacing all of it. now is the time of receipt; it decides the year of RFC 3164 stamps.
func (p *Parser) Parse(m *Message, raw []byte, now time.Time) {
	*m = Message{Raw: raw, Facility: defaultFacility, Severity: defaultSeverity}
	b := trimEnd(raw)
	pri, rest, ok := readPRI(b)
	if !ok {
		m.Flaw = NoPRI
		m.Text = b
		return
	}
	m.Facility, m.Severity = pri>>3, pri&7
	if body, ok := cutVersion(rest); ok {
		if p.parse5424(m, body) {
			return
		}
		m.Flaw = BadHead
	}
	p.parse3164(m, rest, now)
}

// trimEnd drops NULs at the end, then one LF or CR LF: transports and senders add them, and they are no part of MSG.
func trimEnd(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	if len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
		if len(b) > 0 && b[len(b)-1] == '\r' {
			b = b[:len(b)-1]
		}
	}
	return b
}

// readPRI reads "<0>" to "<191>". A larger number is not a PRI: tables of 24 facilities would be overrun by it.
func readPRI(b []byte) (pri uint8, rest []byte, ok bool) {
	if len(b) < 3 || b[0] != '<' {
		return 0, nil, false
	}
	n := 0
	for i := 1; i < len(b) && i <= 4; i++ {
		c := b[i]
		if c == '>' {
			if i == 1 || n > 191 {
				return 0, nil, false
			}
			return uint8(n), b[i+1:], true
		}
		if !isDigit(c) {
			return 0, nil, false
		}
		n = n*10 + int(c-'0')
	}
	return 0, nil, false
}

// cutVersion cuts RFC 5424's VERSION and its space: a non-zero digit and up to two more.
func cutVersion(b []byte) (rest []byte, ok bool) {
	for i := range min(len(b), 4) {
		switch {
		case b[i] == ' ' && i > 0:
			return b[i+1:], true
		case !isDigit(b[i]) || b[0] == '0':
			return nil, false
		}
	}
	return nil, false
}

// cutField returns the bytes up to the next space and what follows the space.
func cutField(b []byte) (field, rest []byte) {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// isNil reports whether field is RFC 5424's NILVALUE.
func isNil(field []byte) bool { return len(field) == 1 && field[0] == '-' }

func isDigit(c byte) bool { return c-'0' <= 9 }
