package probe

import (
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// hostile are servers that do what no server should. None of them is well, by any protocol.
var hostile = map[string]func(net.Conn){
	"closes at once": func(net.Conn) {},
	"resets":         func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) },
	"silence":        func(c net.Conn) { io.Copy(io.Discard, c) },
	"reads one byte, closes": func(c net.Conn) {
		c.Read(make([]byte, 1))
	},
	"garbage": func(c net.Conn) {
		b := make([]byte, 4096)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		b[0] = 0xfe // begins no protocol's answer
		c.Write(b)
		io.Copy(io.Discard, c)
	},
	"endless zeros": func(c net.Conn) { pour(c, make([]byte, 32<<10)) },
	"endless lines": func(c net.Conn) { pour(c, []byte(strings.Repeat("220-x\r\n", 1000))) },
	"endless headers": func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		pour(c, []byte(strings.Repeat("X-A: b\r\n", 1000)))
	},
	"endless 1xx": func(c net.Conn) { pour(c, []byte(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100))) },
	"drip": func(c net.Conn) {
		for _, b := range []byte(strings.Repeat("220-drip", 1000)) {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			<-time.After(5 * time.Millisecond)
		}
	},
	"echo": func(c net.Conn) { io.Copy(c, c) },
}

func pour(c net.Conn, b []byte) {
	for {
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// hostileChecks are checks of every protocol over TCP.
var hostileChecks = []string{
	`{type: tcp, tcp: {send: "x\r\n", expect: '^\+never'}}`,
	"type: tls",
	"{type: http, http: {contains: never}}",
	"{type: http, http: {protocol: http2}}",
	"type: https",
	"{type: https, http: {protocol: http2}, tls: {verify: false}}",
	"{type: dns, dns: {name: a.example, protocol: tcp}}",
	"{type: dns, dns: {name: a.example, protocol: tls}}",
	"{type: mysql, mysql: {user: probe}}",
	"{type: mysql, mysql: {user: probe, role: replica}, tls: {verify: false}}",
	"type: redis",
	"{type: redis, redis: {role: replica, password: x}, tls: {verify: false}}",
	"type: memcached",
	"type: smtp",
	"{type: smtp, smtp: {starttls: true}, tls: {verify: false}}",
	"type: grpc",
	"{type: grpc, tls: {verify: false}}",
}

// TestHostileServers has every check meet every hostile server: the check says that it is not well, in time, and
// leaves neither goroutine nor socket.
func TestHostileServers(t *testing.T) {
	labtest.LeakCheck(t)
	const timeout = 300 * time.Millisecond
	var wg sync.WaitGroup
	for name, f := range hostile {
		addr := serve(t, f)
		for _, text := range hostileChecks {
			wg.Go(func() {
				r := checkTarget(t, Target{Addr: mustAddrPort(addr)}, text, timeout)
				if r.OK || r.Class == 0 || r.Detail == "" || len(r.Detail) > maxDetail {
					t.Errorf("%s meets %q: %+v", text, name, r)
				}
				if r.Latency > 10*time.Second { // the machine may be busy; no answer would take for ever
					t.Errorf("%s meets %q: took %v", text, name, r.Latency)
				}
			})
		}
	}
	wg.Wait()
}

// TestPanicIsContained makes a check panic as a library might on hostile bytes.
func TestPanicIsContained(t *testing.T) {
	c := &checker{kind: Exec, check: nil}
	r := c.Check(t.Context(), Target{})
	if r.OK || !strings.Contains(r.Detail, "BUG: probe: exec check") {
		t.Errorf("result %+v", r)
	}
}

func FuzzRESP(f *testing.F) {
	f.Add("+PONG\r\n")
	f.Add("-ERR no\r\n")
	f.Add("$5\r\nhello\r\n")
	f.Add("$5\r\nhel")
	f.Add("$-1\r\n")
	f.Add("*1\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := readRESP(newLines(strings.NewReader(s)))
		if err == nil && len(got) > maxReply {
			t.Errorf("%q: %d bytes", s, len(got))
		}
	})
}

func FuzzSMTPReply(f *testing.F) {
	f.Add("220 ready\r\n")
	f.Add("250-a\r\n250-b\r\n250 c\r\n")
	f.Add("250-a\r\n220 c\r\n")
	f.Add("250\r\n")
	f.Add("25\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		code, _, err := readSMTPReply(newLines(strings.NewReader(s)))
		if err == nil && (code < 200 || code > 599) {
			t.Errorf("%q: code %d", s, code)
		}
	})
}

func FuzzStatuses(f *testing.F) {
	f.Add("200-299,404")
	f.Add("200,,")
	f.Fuzz(func(t *testing.T, s string) {
		var set Statuses
		if set.UnmarshalText([]byte(s)) == nil && (set.Contain(99) || set.Contain(600) || len(set.ranges) == 0) {
			t.Errorf("%q: %+v", s, set)
		}
	})
}

func FuzzMySQLGuard(f *testing.F) {
	f.Add([]byte{3, 0, 0, 0, 10, 1, 2, 1, 0, 0, 1, 60}, uint8(3))
	f.Add([]byte{1, 0, 0, 1, 0xfc}, uint8(1))
	f.Add([]byte{0xff, 0xff, 0xff, 1}, uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		var whole, parts mysqlGuard
		want := whole.inspect(b) != nil
		var got bool
		for rest := b; len(rest) > 0 && !got; {
			n := min(int(step)+1, len(rest))
			got = parts.inspect(rest[:n]) != nil
			rest = rest[n:]
		}
		if got != want {
			t.Errorf("%x: refused %v as a whole, %v in steps of %d", b, want, got, int(step)+1)
		}
	})
}

func TestMySQLGuard(t *testing.T) {
	f := func(want bool, b ...byte) {
		t.Helper()
		if err := new(mysqlGuard).inspect(b); (err != nil) != want {
			t.Errorf("%x: %v, want refused %v", b, err, want)
		}
	}
	f(false, 1, 0, 0, 1, 60, 3, 0, 0, 2, 0xfc, 0, 0) // 60 columns; the next packet may begin with anything
	f(false, 3, 0, 0, 1, 0xff, 0, 0)                 // an error
	f(true, 3, 0, 0, 1, 0xfc, 0, 2)                  // 512 columns
	f(true, 9, 0, 0, 1, 0xfe)
	f(true, 0, 0, 2, 0) // a packet of 128 KiB
}
