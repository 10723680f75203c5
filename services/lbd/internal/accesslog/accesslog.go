// Package accesslog writes one line per request: the combined format, then what a load balancer knows besides.
//
// Logging never blocks a request: the syslog sender and the writer have bounded queues of their own, and what does not
// fit is dropped and counted.
package accesslog

import (
	"strconv"
	"time"
)

// Entry is what is known of a request once it is over.
type Entry struct {
	Time     time.Time // when its head had come in
	Client   string    // address without port
	Method   string
	Target   string // as the client sent it
	Proto    string
	Host     string
	Referer  string
	Agent    string
	Status   int           // 499: the client went away before an answer
	Sent     int64         // bytes of the answer's body
	Received int64         // bytes of the request's body
	Pool     string        // empty: no route
	Member   string        // the last one tried
	Retries  int           // tries beyond the first
	Head     time.Duration // until the answer's head; 0: there was none
	Duration time.Duration
	Reason   string // why lbd answered itself or cut the answer; empty when it did not
}

// maxField bounds what a client's text may take of a line.
const maxField = 2048

// Append appends the line, without line end. What clients send is quoted: quotes, backslashes, control and non-ASCII
// bytes are written as \xNN.
func (e *Entry) Append(b []byte) []byte {
	b = appendPlain(b, e.Client)
	b = append(b, " - - ["...)
	b = e.Time.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = appendEscaped(b, e.Method)
	b = append(b, ' ')
	b = appendEscaped(b, e.Target)
	b = append(b, ' ')
	b = appendEscaped(b, e.Proto)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(e.Status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, e.Sent, 10)
	b = appendQuoted(append(b, ' '), e.Referer)
	b = appendQuoted(append(b, ' '), e.Agent)
	b = appendQuoted(append(b, " host="...), e.Host)
	b = appendPlain(append(b, " pool="...), e.Pool)
	b = appendPlain(append(b, " member="...), e.Member)
	b = strconv.AppendInt(append(b, " retries="...), int64(e.Retries), 10)
	b = strconv.AppendInt(append(b, " received="...), e.Received, 10)
	b = appendSeconds(append(b, " head="...), e.Head)
	b = appendSeconds(append(b, " duration="...), e.Duration)
	return appendPlain(append(b, " reason="...), e.Reason)
}

// appendPlain appends a word of ours.
func appendPlain(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	return append(b, s...)
}

func appendQuoted(b []byte, s string) []byte {
	if s == "" {
		s = "-"
	}
	b = append(b, '"')
	b = appendEscaped(b, s)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for _, c := range []byte(s[:min(len(s), maxField)]) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
			continue
		}
		b = append(b, c)
	}
	return b
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, d.Seconds(), 'f', 6, 64)
}
