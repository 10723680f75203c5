package parse

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata with what the code answers now")

// receipt is the time of receipt of every golden message.
var receipt = time.Date(2026, 11, 22, 13, 40, 0, 0, time.UTC)

// TestGolden reads testdata/messages.txt: blocks of comments, a quoted message and the fields it must be read as.
func TestGolden(t *testing.T) {
	const file = "testdata/messages.txt"
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	p := &Parser{Location: time.FixedZone("CET", 3600)}
	for block := range strings.SplitSeq(strings.TrimSpace(string(src)), "\n\n") {
		head, raw := splitBlock(t, block)
		var m Message
		p.Parse(&m, []byte(raw), receipt)
		got := head + describe(&m)
		if got != block+"\n" && !*rewrite {
			t.Errorf("got:\n%s\nwant:\n%s\n", got, block)
		}
		out.WriteString(got + "\n")
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// splitBlock returns the comment and input lines of a block, and the message itself.
func splitBlock(t *testing.T, block string) (head, raw string) {
	t.Helper()
	for line := range strings.SplitSeq(block, "\n") {
		head += line + "\n"
		if strings.HasPrefix(line, "#") {
			continue
		}
		raw, err := strconv.Unquote(line)
		if err != nil {
			t.Fatalf("input %s: %v", line, err)
		}
		return head, raw
	}
	t.Fatalf("block without input: %s", block)
	return "", ""
}

func describe(m *Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s %s.%s", m.Format, FacilityName(m.Facility), SeverityName(m.Severity))
	if m.Flaw != NoFlaw {
		fmt.Fprintf(&b, " flaw=%d", m.Flaw)
	}
	if m.BOM {
		b.WriteString(" bom")
	}
	if !m.Time.IsZero() {
		fmt.Fprintf(&b, " %s", m.Time.Format(time.RFC3339Nano))
	}
	b.WriteByte('\n')
	for _, f := range []struct {
		name string
		v    []byte
	}{{"host", m.Host}, {"app", m.App}, {"pid", m.ProcID}, {"msgid", m.MsgID}, {"sd", m.SD}, {"text", m.Text}} {
		if len(f.v) > 0 {
			fmt.Fprintf(&b, "  %s %q\n", f.name, f.v)
		}
	}
	return b.String()
}

func TestNearestYear(t *testing.T) {
	f := func(stamp, now, want string) {
		t.Helper()
		n, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		var m Message
		new(Parser).Parse(&m, []byte("<13>"+stamp+" h a: x"), n)
		if got := m.Time.Format(time.RFC3339); got != want {
			t.Errorf("%s received %s: %s, want %s", stamp, now, got, want)
		}
	}
	f("Dec 31 23:59:58", "2027-01-01T00:00:03Z", "2026-12-31T23:59:58Z")
	f("Jan  1 00:00:02", "2026-12-31T23:59:59Z", "2027-01-01T00:00:02Z")
	f("Jun 15 12:00:00", "2026-06-15T12:00:01Z", "2026-06-15T12:00:00Z")
	f("Feb 29 12:00:00", "2028-03-01T00:00:00Z", "2028-02-29T12:00:00Z")
	f("Feb 29 12:00:00", "2027-01-01T00:00:00Z", "2024-02-29T12:00:00Z")
	f("Mar  1 00:00:00", "2026-11-22T00:00:00Z", "2026-03-01T00:00:00Z")
}

// TestMemoKeepsZoneAndYear parses the same stamp twice and across New Year: the remembered answer must be the computed one.
func TestMemoKeepsZoneAndYear(t *testing.T) {
	p := &Parser{Location: time.FixedZone("", -5*3600)}
	var m Message
	at := func(now time.Time) time.Time {
		p.Parse(&m, []byte("<13>Dec 31 23:00:00 h a: x"), now)
		return m.Time
	}
	first := time.Date(2026, 12, 31, 23, 0, 1, 0, p.Location)
	want := time.Date(2026, 12, 31, 23, 0, 0, 0, p.Location)
	for range 2 {
		if got := at(first); !got.Equal(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	if got := at(first.AddDate(1, 0, 0)); !got.Equal(want.AddDate(1, 0, 0)) {
		t.Fatalf("a year later: got %v", got)
	}
}

func TestDaysFromCivil(t *testing.T) {
	for d := time.Date(1899, 12, 28, 0, 0, 0, 0, time.UTC); d.Year() < 2105; d = d.AddDate(0, 0, 13) {
		if got, want := daysFromCivil(d.Year(), int(d.Month()), d.Day()), d.Unix()/86400; got != want {
			t.Fatalf("%v: %d, want %d", d, got, want)
		}
	}
}

func TestSeverityNames(t *testing.T) {
	f := func(in string, want uint8, ok bool) {
		t.Helper()
		if got, gotOK := ParseSeverity(in); got != want || gotOK != ok {
			t.Errorf("ParseSeverity(%q) = %d, %v", in, got, gotOK)
		}
	}
	f("err", 3, true)
	f("error", 3, true)
	f("4", 4, true)
	f("debug", 7, true)
	f("8", 0, false)
	f("", 0, false)
}

func FuzzParse(f *testing.F) {
	src, err := os.ReadFile("testdata/messages.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.SplitSeq(string(src), "\n") {
		if raw, err := strconv.Unquote(line); err == nil {
			f.Add([]byte(raw))
		}
	}
	p := &Parser{Location: time.UTC}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m Message
		p.Parse(&m, raw, receipt)
		if !bytes.Equal(m.Raw, raw) {
			t.Fatal("raw bytes changed")
		}
		if m.Facility > 23 || m.Severity > 7 {
			t.Fatalf("facility %d severity %d", m.Facility, m.Severity)
		}
		total := len(m.Host) + len(m.App) + len(m.ProcID) + len(m.MsgID) + len(m.SD) + len(m.Text)
		if total > len(raw) {
			t.Fatalf("fields of %d bytes out of %d", total, len(raw))
		}
		var again Message
		new(Parser).Parse(&again, raw, receipt)
		if describe(&again) != describe(&m) {
			t.Fatalf("memory changed the answer:\n%s\n%s", describe(&m), describe(&again))
		}
	})
}
