// Package syslog writes RFC 5424 messages and sends them over TCP with octet counting (RFC 6587, 3.4.1). The access logs of
// lbd and of the demo application reach logd by it; any syslog server will do.
//
// Plain TCP syslog has no acknowledgement: what was handed to the kernel when the connection broke may be lost. The Sender
// says how many messages it dropped because its own buffer was full.
package syslog

import (
	"strconv"
	"time"
)

// Facilities and severities of RFC 5424, table 1 and 2, that everup uses.
const (
	FacilityDaemon = 3
	FacilityLocal0 = 16

	SeverityError   = 3
	SeverityWarning = 4
	SeverityInfo    = 6
)

// Param is one parameter of structured data.
type Param struct{ Name, Value string }

// Message is one syslog message. Text is free; the header's fields lose what RFC 5424 does not allow in them.
type Message struct {
	Facility, Severity int
	Time               time.Time
	Host, App          string
	Proc, ID           string
	SDID               string // structured data id ("http@32473"); empty means none
	SD                 []Param
	Text               string
	Bytes              []byte // in place of Text, where that is empty
}

// timeLayout is RFC 5424's TIMESTAMP with microseconds, its finest.
const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// Append appends m in the form of RFC 5424 to b and returns the longer slice. It does not frame.
func Append(b []byte, m *Message) []byte {
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(m.Facility&31)<<3|int64(m.Severity&7), 10)
	b = append(b, ">1 "...)
	if m.Time.IsZero() {
		b = append(b, '-')
	} else {
		b = m.Time.AppendFormat(b, timeLayout)
	}
	b = appendField(append(b, ' '), m.Host, 255)
	b = appendField(append(b, ' '), m.App, 48)
	b = appendField(append(b, ' '), m.Proc, 128)
	b = appendField(append(b, ' '), m.ID, 32)
	b = appendSD(append(b, ' '), m)
	if m.Text != "" {
		b = append(append(b, ' '), m.Text...)
	} else if len(m.Bytes) > 0 {
		b = append(append(b, ' '), m.Bytes...)
	}
	return b
}

// appendField writes PRINTUSASCII only, "-" when nothing is left.
func appendField(b []byte, s string, most int) []byte {
	n := 0
	for i := 0; i < len(s) && n < most; i++ {
		if c := s[i]; c > 0x20 && c < 0x7f {
			b = append(b, c)
			n++
		}
	}
	if n == 0 {
		b = append(b, '-')
	}
	return b
}

func appendSD(b []byte, m *Message) []byte {
	if m.SDID == "" {
		return append(b, '-')
	}
	b = appendName(append(b, '['), m.SDID)
	for _, p := range m.SD {
		b = appendName(append(b, ' '), p.Name)
		b = append(b, '=', '"')
		for i := 0; i < len(p.Value); i++ {
			if c := p.Value[i]; c == '"' || c == '\\' || c == ']' {
				b = append(b, '\\')
			}
			b = append(b, p.Value[i])
		}
		b = append(b, '"')
	}
	return append(b, ']')
}

// appendName writes an SD-NAME: PRINTUSASCII without '=', ']' and '"', 32 at most.
func appendName(b []byte, s string) []byte {
	n := 0
	for i := 0; i < len(s) && n < 32; i++ {
		if c := s[i]; c > 0x20 && c < 0x7f && c != '=' && c != ']' && c != '"' {
			b = append(b, c)
			n++
		}
	}
	if n == 0 {
		b = append(b, '-')
	}
	return b
}

// AppendFrame appends m with its length before it (octet counting).
func AppendFrame(b []byte, m *Message) []byte {
	const room = 8 // "9999999 "
	start := len(b)
	b = append(b, "        "[:room]...)
	b = Append(b, m)
	var digits [room]byte
	head := append(strconv.AppendInt(digits[:0], int64(len(b)-start-room), 10), ' ')
	copy(b[start:], head)
	n := copy(b[start+len(head):], b[start+room:])
	return b[:start+len(head)+n]
}
