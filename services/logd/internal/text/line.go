package text

import (
	"bytes"
	"time"
	"unicode/utf8"

	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/services/logd/internal/record"
)

// stampLayout is RFC 3339 with microseconds: fixed width, so that lines of one zone sort as text.
const stampLayout = "2006-01-02T15:04:05.000000Z07:00"

// AppendLine appends r as one line of a log file:
//
//	TIME HOST APP[PID]: FACILITY.SEVERITY: TEXT
//	TIME HOST APP[PID]: FACILITY.SEVERITY MSGID SD: TEXT
//
// The second form is for messages with a MSGID or structured data; "-" stands for what is missing. TIME is the sender's, or that of receipt, in
// loc. Control characters (C0 but for TAB, DEL, C1) and bytes that are not UTF-8 are written as '#' and three octal digits, as rsyslog
// does, so that a line is a line and a terminal stays sane; a '#' of the sender stands as it is.
func AppendLine(b []byte, r *record.Record, host string, loc *time.Location) []byte {
	b = r.At().In(loc).AppendFormat(b, stampLayout)
	b = append(b, ' ')
	b = appendWord(b, []byte(host))
	b = append(b, ' ')
	b = appendWord(b, r.App)
	if len(r.ProcID) > 0 {
		b = append(b, '[')
		b = appendWord(b, r.ProcID)
		b = append(b, ']')
	}
	b = append(b, ": "...)
	b = append(b, parse.FacilityName(r.Facility)...)
	b = append(b, '.')
	b = append(b, parse.SeverityName(r.Severity)...)
	if len(r.MsgID) > 0 || len(r.SD) > 0 {
		b = append(b, ' ')
		b = appendWord(b, r.MsgID)
		b = append(b, ' ')
		b = appendSD(b, r.SD)
	}
	b = append(b, ": "...)
	b = appendEscaped(b, r.Text, false)
	return append(b, '\n')
}

func appendSD(b, sd []byte) []byte {
	if len(sd) == 0 {
		return append(b, '-')
	}
	return appendEscaped(b, sd, false)
}

// appendWord appends w without spaces, or "-" when it is empty.
func appendWord(b, w []byte) []byte {
	if len(w) == 0 {
		return append(b, '-')
	}
	return appendEscaped(b, w, true)
}

// appendEscaped appends s; in a word, spaces and tabs are escaped as well.
func appendEscaped(b, s []byte, word bool) []byte {
	for len(s) > 0 {
		n := plainLen(s, word)
		b = append(b, s[:n]...)
		s = s[n:]
		if len(s) == 0 {
			break
		}
		_, size := utf8.DecodeRune(s)
		for _, c := range s[:size] {
			b = append(b, '#', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		}
		s = s[size:]
	}
	return b
}

// plainLen returns how many bytes of s need no escape.
func plainLen(s []byte, word bool) int {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' && (c != '\t' || word) || c == 0x7f || c == ' ' && word {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && size == 1 || r < 0xA0 {
			return i
		}
		i += size
	}
	return len(s)
}

// Line is a line of a log file, taken apart. Its fields are slices of the line, escapes left as they are.
type Line struct {
	Time               time.Time
	Host, App, PID     []byte
	Facility, Severity uint8
	MsgID, SD, Text    []byte
}

// ParseLine reads what AppendLine writes, with or without the line end; false for any other text.
func ParseLine(b []byte) (l Line, ok bool) {
	b = bytes.TrimSuffix(b, []byte("\n"))
	stamp, b, ok1 := bytes.Cut(b, []byte(" "))
	host, b, ok2 := bytes.Cut(b, []byte(" "))
	tag, b, ok3 := bytes.Cut(b, []byte(": "))
	if !ok1 || !ok2 || !ok3 {
		return l, false
	}
	t, err := time.Parse(stampLayout, string(stamp))
	if err != nil {
		return l, false
	}
	l.Time, l.Host = t, unNil(host)
	l.App, l.PID = cutPID(tag)
	n := bytes.IndexAny(b, " :")
	if n < 0 || !l.readPriority(b[:n]) {
		return l, false
	}
	return l, l.readRest(b[n:])
}

// readPriority reads "facility.severity".
func (l *Line) readPriority(b []byte) bool {
	fac, sev, _ := bytes.Cut(b, []byte("."))
	var ok1, ok2 bool
	l.Facility, ok1 = parse.ParseFacility(string(fac))
	l.Severity, ok2 = parse.ParseSeverity(string(sev))
	return ok1 && ok2
}

// readRest reads what follows the priority: ": TEXT" or " MSGID SD: TEXT".
func (l *Line) readRest(b []byte) bool {
	if text, ok := bytes.CutPrefix(b, []byte(": ")); ok {
		l.Text = text
		return true
	}
	msgid, b, ok := bytes.Cut(b[1:], []byte(" "))
	if !ok {
		return false
	}
	l.MsgID = unNil(msgid)
	if rest, ok := bytes.CutPrefix(b, []byte("-: ")); ok {
		l.Text = rest
		return true
	}
	sd, rest, ok := parse.CutSD(b)
	if !ok {
		return false
	}
	l.SD = sd
	l.Text, ok = bytes.CutPrefix(rest, []byte(": "))
	return ok
}

func cutPID(tag []byte) (app, pid []byte) {
	i := bytes.LastIndexByte(tag, '[')
	if i < 0 || tag[len(tag)-1] != ']' {
		return unNil(tag), nil
	}
	return unNil(tag[:i]), tag[i+1 : len(tag)-1]
}

func unNil(b []byte) []byte {
	if len(b) == 1 && b[0] == '-' {
		return nil
	}
	return b
}
