package parse

import (
	"testing"
	"time"
)

var timed = []struct{ name, raw string }{
	{"5424", `<165>1 2026-11-22T13:39:59.003+01:00 web1.example.com nginx 8710 - - 10.0.0.7 "GET /index.html HTTP/1.1" 200 612`},
	{"5424sd", `<165>1 2026-11-22T13:39:59.003Z web1.example.com evntslog 8710 ID47 [exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"] An application event log entry`},
	{"3164", `<34>Nov 22 13:39:59 web1 sshd[4025]: Failed password for invalid user admin from 192.0.2.7 port 51234 ssh2`},
}

func TestParseDoesNotAllocate(t *testing.T) {
	p := &Parser{Location: time.UTC}
	var m Message
	for _, c := range timed {
		raw := []byte(c.raw)
		if n := testing.AllocsPerRun(100, func() { p.Parse(&m, raw, receipt) }); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, c := range timed {
		b.Run(c.name, func(b *testing.B) {
			p := &Parser{Location: time.Local}
			raw := []byte(c.raw)
			var m Message
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				p.Parse(&m, raw, receipt)
			}
		})
	}
}
