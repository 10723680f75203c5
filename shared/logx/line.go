package logx

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// TimeFormat is RFC 3339 with microseconds, always in UTC.
const TimeFormat = "2006-01-02T15:04:05.000000Z"

// field is one member of a line. key and val are JSON as it stands, the key without its quotes.
type field struct{ key, val []byte }

// line is a log line taken apart.
type line struct {
	at     time.Time
	level  zerolog.Level
	msg    []byte // JSON string, nil for none
	fields []field
}

// split takes the object that zerolog wrote apart at its top level. It does not check the values: zerolog made them,
// but RawJSON may have put in anything, so only lengths are trusted, never syntax.
func split(p []byte) (fields []field, ok bool) {
	p = bytes.TrimRight(p, "\n")
	if len(p) < 2 || p[0] != '{' || p[len(p)-1] != '}' {
		return nil, false
	}
	p = p[1 : len(p)-1]
	for len(p) > 0 {
		n := stringEnd(p)
		if n < 0 || n >= len(p) || p[n] != ':' {
			return nil, false
		}
		key := p[1 : n-1]
		if bytes.IndexByte(key, '\n') >= 0 {
			return nil, false
		}
		p = p[n+1:]
		n = valueEnd(p)
		if n <= 0 {
			return nil, false
		}
		fields = put(fields, field{key, oneLine(p[:n])})
		p = p[n:]
		if len(p) > 0 {
			p = p[1:] // the comma
			if len(p) == 0 {
				return nil, false
			}
		}
	}
	return fields, true
}

// putWindow is how many fields put compares with, so that a line of thousands does not take its square.
const putWindow = 64

// put adds f; a key that is there already takes the new value and moves to the end, so that no line has a name twice.
// Only the first 64 fields are looked at, which are those of the loggers (node, service, comp) and some more.
func put(fields []field, f field) []field {
	for i := range fields[:min(len(fields), putWindow)] {
		if bytes.Equal(fields[i].key, f.key) {
			fields = append(fields[:i], fields[i+1:]...)
			break
		}
	}
	return append(fields, f)
}

// stringEnd returns the length of the JSON string at the start of p, or -1.
func stringEnd(p []byte) int {
	if len(p) == 0 || p[0] != '"' {
		return -1
	}
	for i := 1; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// valueEnd returns the length of the value at the start of p, up to a comma outside of it, or -1.
func valueEnd(p []byte) int {
	depth := 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '"':
			n := stringEnd(p[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return -1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	if depth != 0 {
		return -1
	}
	return len(p)
}

// oneLine keeps a raw value from breaking the line in two.
func oneLine(v []byte) []byte {
	if bytes.IndexByte(v, '\n') < 0 {
		return v
	}
	var b bytes.Buffer
	if json.Compact(&b, v) == nil {
		return b.Bytes()
	}
	return quote(string(v))
}

func quote(s string) []byte {
	b, err := json.Marshal(strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		panic("BUG: logx: a string has no JSON form: " + err.Error())
	}
	return b
}

// broken stands for a line that could not be taken apart.
func broken(raw []byte) []field {
	return []field{
		{[]byte("raw"), quote(string(raw[:min(len(raw), MaxLine/8)]))},
		{[]byte("message"), []byte(`"unreadable log line"`)},
	}
}

// arrange gives zerolog's fields our names and order. Names that are ours (time, msg) but were set by the caller
// are kept with a leading underscore.
func arrange(l zerolog.Level, fields []field) line {
	ln := line{level: l, fields: fields[:0]}
	last := len(fields) - 1
	for i, f := range fields {
		switch string(f.key) {
		case "level":
			if i == 0 {
				continue // ln.level says it
			}
			f.key = []byte("_level")
		case "message":
			if i == last {
				ln.msg = f.val
				continue
			}
		case "error":
			f.key = []byte("err")
		case "time":
			f.key = []byte("_time")
		case "msg":
			f.key = []byte("_msg")
		}
		ln.fields = put(ln.fields, f)
	}
	return ln
}

const truncated = `,"truncated":true`

// appendJSON appends the line as one JSON object without a newline, of at most limit bytes.
func (ln line) appendJSON(b []byte, limit int) []byte {
	start := len(b)
	limit -= len(truncated) + len("}\n")
	b = append(b, `{"time":"`...)
	b = ln.at.UTC().AppendFormat(b, TimeFormat)
	b = append(b, '"')
	if ln.level != zerolog.NoLevel {
		b = append(b, `,"level":"`...)
		b = append(b, ln.level.String()...)
		b = append(b, '"')
	}
	cut := false
	add := func(key, val []byte) {
		if len(b)-start+len(key)+len(val)+len(`,"":`) > limit {
			cut = true
			return
		}
		b = append(b, ',', '"')
		b = append(b, key...)
		b = append(b, '"', ':')
		b = append(b, val...)
	}
	if ln.msg != nil {
		msg := ln.msg
		if len(msg) > limit/2 {
			msg, cut = shorten(msg, limit/4), true
		}
		add([]byte("msg"), msg)
	}
	for _, f := range ln.fields {
		add(f.key, f.val)
	}
	if cut {
		b = append(b, truncated...)
	}
	return append(b, '}')
}

// shorten cuts a JSON string to the first n bytes of what it says; escapes can make it at most six times as long.
func shorten(jsonString []byte, n int) []byte {
	s := unquote(jsonString)
	return quote(s[:min(len(s), n/6)])
}

// unquote returns what a JSON value says: a string's text, any other value as it stands.
func unquote(v []byte) string {
	var s string
	if len(v) > 0 && v[0] == '"' && json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}
