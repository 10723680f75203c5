package text

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/services/logd/internal/record"
	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func parsed(raw string) *record.Record {
	r := &record.Record{Received: noon, Via: record.UDP}
	new(parse.Parser).Parse(&r.Message, []byte(raw), noon)
	return r
}

func TestAppendLine(t *testing.T) {
	loc := time.FixedZone("", 9*3600)
	f := func(raw, want string) {
		t.Helper()
		r := parsed(raw)
		if got := string(AppendLine(nil, r, string(r.Host), loc)); got != want+"\n" {
			t.Errorf("got  %q\nwant %q", got, want+"\n")
		}
	}
	f("<30>Nov 22 11:59:59 web1 nginx[12]: hello", "2026-11-22T20:59:59.000000+09:00 web1 nginx[12]: daemon.info: hello")
	f("<13>no more than this", "2026-11-22T21:00:00.000000+09:00 - -: user.notice: no more than this")
	f(`<165>1 2026-11-22T11:00:00.123456789Z h a 7 ID47 [x@1 k="v: w"] text`,
		`2026-11-22T20:00:00.123456+09:00 h a[7]: local4.notice ID47 [x@1 k="v: w"]: text`)
	f(`<165>1 2026-11-22T11:00:00Z h a - ID47 - text`, `2026-11-22T20:00:00.000000+09:00 h a: local4.notice ID47 -: text`)
	f("<13>a: two\nlines\x00and\x1b[31m\ttab\x7f\xc2\x9b\xff é #012",
		"2026-11-22T21:00:00.000000+09:00 - a: user.notice: two#012lines#000and#033[31m\ttab#177#302#233#377 é #012")
}

func TestParseLineReadsWhatAppendLineWrites(t *testing.T) {
	f := func(raw string) {
		t.Helper()
		r := parsed(raw)
		line := AppendLine(nil, r, string(r.Host), time.UTC)
		got, ok := ParseLine(line)
		if !ok {
			t.Fatalf("%q is no line", line)
		}
		want := Line{Time: r.At().Truncate(time.Microsecond), Host: r.Host, App: r.App, PID: r.ProcID, Facility: r.Facility,
			Severity: r.Severity, MsgID: r.MsgID, SD: r.SD, Text: r.Text}
		if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
	}
	f("<30>Nov 22 11:59:59 web1 nginx[12]: hello: world")
	f("<13>no more than this")
	f(`<165>1 2026-11-22T11:00:00.123456789Z h a 7 ID47 [x@1 k="v: \"w] "][y] text: more`)
	f(`<165>1 2026-11-22T11:00:00Z h a - ID47 - text`)
	f(`<165>1 2026-11-22T11:00:00Z h a - - [x] `)
	f("<13>")
}

func TestParseLineRefuses(t *testing.T) {
	for _, s := range []string{"", "x", "2026-11-22 h a: user.info: x", "2026-11-22T20:00:00.000000Z h a: user.loud: x",
		"2026-11-22T20:00:00.000000Z h a: user.info", "2026-11-22T20:00:00.000000Z h a: user.info M [x: t"} {
		if l, ok := ParseLine([]byte(s)); ok {
			t.Errorf("%q read as %+v", s, l)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("<30>Nov 22 11:59:59 web1 nginx[12]: hello"))
	f.Add([]byte("<165>1 - h a p m [x a=\"]\"] \xef\xbb\xbft\n\xc2\x85\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := parsed(string(raw))
		line := AppendLine(nil, r, string(r.Host), time.UTC)
		if bytes.Count(line, []byte("\n")) != 1 || !utf8.Valid(line) || bytes.ContainsAny(line, "\x00\x1b\x7f\r") {
			t.Fatalf("not one clean line: %q", line)
		}
		if _, ok := ParseLine(line); !ok {
			t.Fatalf("cannot read back %q", line)
		}
	})
}

func TestFileName(t *testing.T) {
	f := func(host, want string) {
		t.Helper()
		if got := FileName(host); got != want {
			t.Errorf("FileName(%q) = %q, want %q", host, got, want)
		}
	}
	f("web1.example.com", "web1.example.com.log")
	f("", "_none.log")
	f("-rf", "_rf~760cd3b8.log")
	f("..", "_.~9608161c.log")
	f("../../etc/passwd", "_._.._etc_passwd~df406b03.log")
	f("fe80::1", "fe80__1~11c28dab.log")
	if a, b := FileName("a/b"), FileName("a_b"); a == b {
		t.Error("two hosts share a file")
	}
	long := FileName(strings.Repeat("h", 5000))
	if len(long) > 255 || !strings.HasSuffix(long, ".log") {
		t.Errorf("name of %d bytes", len(long))
	}
}

func FuzzFileName(f *testing.F) {
	f.Add("..")
	f.Add("a/../\x00")
	f.Fuzz(func(t *testing.T, host string) {
		name := FileName(host)
		if strings.ContainsAny(name, "/\x00\n ") || strings.HasPrefix(name, ".") || len(name) > 255 {
			t.Fatalf("%q", name)
		}
	})
}

func TestExpired(t *testing.T) {
	loc := time.FixedZone("", 9*3600)
	now := time.Date(2026, 3, 3, 12, 0, 0, 0, loc)
	days := []Day{{2026, 2, 27}, {2026, 2, 28}, {2026, 3, 1}, {2026, 3, 2}, {2026, 3, 3}}
	f := func(keep time.Duration, n int) {
		t.Helper()
		if got := Expired(days, now, keep, loc); len(got) != n || n > 0 && got[n-1] != days[n-1] {
			t.Errorf("keep %v: %v, want the first %d", keep, got, n)
		}
	}
	f(0, 0)
	f(12*time.Hour, 4)
	f(12*time.Hour+1, 3)
	f(36*time.Hour, 3)
	f(24*365*time.Hour, 0)
}
