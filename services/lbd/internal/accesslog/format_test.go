package accesslog

import (
	"crypto/tls"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/grpc"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/shared/labtest"
)

// request parses a request's head.
func request(t testing.TB, text string) (*http1.Head, []byte) {
	t.Helper()
	b, lim, h := []byte(text), http1.DefaultLimits(), new(http1.Head)
	if done, why := h.ParseRequest(b, &lim); !done {
		t.Fatalf("%q: %s", text, why)
	}
	return h, b
}

const asked = "GET /a\"b\\c?x=1&y=] HTTP/1.1\r\nHost: www.example.com:81\r\nUser-Agent: caf\xc3\xa9 \"x\" \xff\xf0\x9f\x98\x80\r\nReferer: http://h/\tx, y\r\nX-Team: a=b c]\r\n\r\n"

func entry(t testing.TB) *Entry {
	h, b := request(t, asked)
	return &Entry{
		Time: time.Date(2026, 11, 23, 1, 2, 3, 45678900, time.UTC), Client: netip.MustParseAddr("2001:db8::1"), Peer: netip.MustParseAddr("192.0.2.1"),
		Head: h, Bytes: b, Proto: "HTTP/1.1", Host: []byte("www.example.com:81"), ID: []byte("018f"), Trace: []byte("4bf92f"),
		Status: 200, GRPC: grpc.OK, Sent: 12, Received: 3, Route: `sho"p`, Pool: "web", Member: "10.0.0.1:80", Retries: 1, Secure: true,
		TLS:    &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, ServerName: "www.example.com"},
		Timing: Timing{Handshake: time.Millisecond, Read: 2 * time.Microsecond, Delay: 3 * time.Second, Connect: 999 * time.Nanosecond, First: 1500 * time.Microsecond, Duration: 62 * time.Second},
	}
}

// bare is what is known of a request of which no byte could be taken.
func bare() *Entry {
	return &Entry{Time: time.Unix(0, 0).UTC(), Client: netip.MustParseAddr("192.0.2.1"), Head: new(http1.Head), Status: 400, Reason: "bad-method"}
}

func mustTemplate(t testing.TB, text string) *Format {
	t.Helper()
	f, p := Template(text, "lb 1")
	if p != nil {
		t.Fatalf("%q: %v", text, p)
	}
	return f
}

func mustJSON(t testing.TB, fields ...string) *Format {
	t.Helper()
	f, at, p := JSON(fields, "lb 1")
	if p != nil {
		t.Fatalf("%v, %d: %v", fields, at, p)
	}
	return f
}

// What each format makes of two requests.
func TestFormats(t *testing.T) {
	var b strings.Builder
	f := func(name string, format *Format) {
		b.WriteString("# " + name + "\n")
		for _, e := range []*Entry{entry(t), bare()} {
			b.Write(append(format.Append(nil, e, 10), '\n'))
		}
	}
	f("combined", Combined("lb 1"))
	f("json", mustJSON(t, DefaultFields()...))
	f("json, every field", mustJSON(t, append(Names(), "header.x-team", "header.None")...))
	for _, text := range []string{
		"$time $node $client $peer $id $trace $method $scheme $host $target $path $query $proto",
		"$tls $tls_cipher $tls_name",
		"$grpc_status [$grpc_status] ${status}",
		"$status $sent $received $retries $sample [$handshake] $read $delay $gather $queue $connect $head $send ${duration}s",
		`$route $pool $member $reason`,
		"host:$host\tua:$(header.user-agent)\tteam:$(header.X-Team)", // LTSV: only the tab ends a value
		"$(header.X-Team) [$(header.X-Team)] $(header.X-Team)=$(header.Referer),$query;${query}",
		"$$5 $scheme://$host$target",
	} {
		f(text, mustTemplate(t, text))
	}
	labtest.Golden(t, "formats", b.String())
}

func TestProblems(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, p := Template(text, ""); p == nil || p.Error() != want {
			t.Errorf("%q: %v, want %s", text, p, want)
		}
	}
	f("$clint", "unknown variable $clint")
	f("$(header.a b)", "header.a b names no header")
	f("$(client", "$( is not closed (write $$ for the character itself)")
	f("a$", "ends in a $ (write $$ for the character itself)")
	f("$-", "has a $ that begins no variable (write $$ for the character itself)")
	f("$client\n", "has a control character (a line holds none but tabs)")
	f("plain", "has no variable (write it like $client $status $duration)")
	f("", "has no variable (write it like $client $status $duration)")
	f("\x01$client", "has a control character (a line holds none but tabs)")
	f("${client}x", `has "x" right behind a variable, whose value may hold it (put a space or another separator between them)`)
	f(`$client\`, `has "\\" right behind a variable, whose value may hold it (put a space or another separator between them)`)
	f("${status}0", `has "0" right behind a variable, whose value may hold it (put a space or another separator between them)`)
	f("$client"+strings.Repeat(" ", MaxTemplate), "is longer than 4096 bytes")
	f(strings.Repeat("$client ", 128), "has more than 127 variables")
	if _, at, p := JSON([]string{"client", "statsu"}, ""); p == nil || at != 1 || p.Unknown != "statsu" {
		t.Errorf("%d, %v", at, p)
	}
}

// Of a long text only the beginning is written.
func TestALongFieldIsCut(t *testing.T) {
	e := entry(t)
	e.Head, e.Bytes = request(t, "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: "+strings.Repeat("x", 60000)+"\r\n\r\n")
	for _, f := range []*Format{Combined(""), mustJSON(t, DefaultFields()...)} {
		if n := len(f.Append(nil, e, 1)); n > maxField+2048 || n < maxField {
			t.Errorf("a line of %d bytes", n)
		}
	}
}

// Whatever a client sends, a line is one line, a value ends where the template says, and JSON gives back what was sent.
func FuzzLine(f *testing.F) {
	f.Add([]byte("a\" b\x00\n\r\\x\xff|]"), "pool \"web\"")
	f.Add([]byte("\xed\xa0\x80\xf4\x90\x80\x80\u2028\U0001f600"), "")
	template := mustTemplate(f, `$route "$host" [$id] $pool|$reason`)
	object := mustJSON(f, "route", "host", "id", "reason")
	f.Fuzz(func(t *testing.T, text []byte, ours string) {
		e := &Entry{Host: text, ID: text, Route: ours, Pool: ours, Reason: string(text)}
		line := string(template.Append(nil, e, 1))
		if i := strings.IndexFunc(line, func(c rune) bool { return c < ' ' || c > '~' }); i >= 0 {
			t.Fatalf("%q has a byte that is not to be there", line)
		}
		route, rest, _ := strings.Cut(line, ` "`)
		host, rest, _ := strings.Cut(rest, `" [`)
		id, rest, _ := strings.Cut(rest, `] `)
		pool, reason, ok := strings.Cut(rest, `|`)
		want := func(s string, stop byte) string {
			if s == "" {
				return "-"
			}
			return string(appendEscaped(nil, s, stop))
		}
		got := []string{route, host, id, pool, reason}
		if !ok || !slices.Equal(got, []string{want(ours, ' '), want(string(text), '"'), want(string(text), ']'), want(ours, '|'), want(string(text), 0)}) {
			t.Fatalf("%q is %q", line, got)
		}
		var back struct{ Route, Host, ID, Reason string }
		if err := json.Unmarshal(object.Append(nil, e, 1), &back); err != nil {
			t.Fatal(err)
		}
		cut := func(s string) string { return string([]rune(s[:min(len(s), maxField)])) }
		if back.Route != cut(ours) || back.Host != cut(string(text)) || back.ID != back.Host || back.Reason != back.Host {
			t.Fatalf("%q and %q came back as %+v", text, ours, back)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("$client ${status}|$(header.X-Y)$$")
	e := entry(f)
	f.Fuzz(func(t *testing.T, text string) {
		if format, p := Template(text, "n"); p == nil {
			format.Append(nil, e, 1)
		} else if p.Error() == "" {
			t.Error("a problem without a word")
		}
	})
}

func TestSample(t *testing.T) {
	s := sampler{Sample: Sample{Success: 10, Redirect: 2, Client: 1, Slow: time.Second}}
	f := func(e Entry, times, want, wantOf int) {
		t.Helper()
		taken := 0
		for range times {
			if of, ok := s.takes(&e); ok {
				taken++
				if of != wantOf {
					t.Errorf("%+v is one of %d, want %d", e, of, wantOf)
				}
			}
		}
		if taken != want {
			t.Errorf("%d of %d of %+v are written, want %d", taken, times, e, want)
		}
	}
	f(Entry{Status: 200}, 95, 10, 10)
	f(Entry{Status: 204}, 6, 1, 10) // the 96th to the 101st
	f(Entry{Status: 101}, 5, 1, 10)
	f(Entry{Status: 301}, 10, 5, 2)
	f(Entry{Status: 404}, 10, 10, 1)
	f(Entry{Status: 503}, 10, 10, 1)
	f(Entry{Status: 200, Broken: true}, 10, 10, 1)
	f(Entry{Status: 200, Timing: Timing{Duration: time.Second}}, 10, 10, 1)
	f(Entry{Status: 0}, 3, 3, 1)
	f(Entry{Status: 999}, 3, 3, 1)
}

func TestAllocs(t *testing.T) {
	e := entry(t)
	buf := make([]byte, 0, 4096)
	for name, format := range map[string]*Format{"combined": Combined("n"), "json": mustJSON(t, DefaultFields()...)} {
		if n := testing.AllocsPerRun(100, func() { buf = format.Append(buf[:0], e, 1) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func benchmark(b *testing.B, f *Format) {
	e := entry(b)
	e.Client, e.Route = netip.MustParseAddr("192.0.2.17"), "shop"
	e.Head, e.Bytes = request(b, "GET /products/17?ref=home HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"+
		"Accept: text/html\r\nAccept-Encoding: gzip, br\r\nReferer: https://www.example.com/\r\nCookie: session=0123456789\r\n\r\n")
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = f.Append(buf[:0], e, 1)
	}
}

func BenchmarkCombined(b *testing.B) { benchmark(b, Combined("n")) }
func BenchmarkJSON(b *testing.B)     { benchmark(b, mustJSON(b, DefaultFields()...)) }
