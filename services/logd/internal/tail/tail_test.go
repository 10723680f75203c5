package tail

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/services/logd/internal/record"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func recs(raws ...string) []record.Record {
	out := make([]record.Record, len(raws))
	for i, raw := range raws {
		new(parse.Parser).Parse(&out[i].Message, []byte(raw), noon)
		out[i].Received = noon
	}
	return out
}

func show(p Page) string {
	var b strings.Builder
	for _, l := range p.Lines {
		fmt.Fprintf(&b, "%d:%s ", l.Seq, l.Text)
	}
	fmt.Fprintf(&b, "next %d lost %d", p.Next, p.Lost)
	return b.String()
}

func TestRing(t *testing.T) {
	f := func(got Page, want string) {
		t.Helper()
		if show(got) != want {
			t.Errorf("got %q, want %q", show(got), want)
		}
	}
	r := NewRing(3, 1<<20, "me")
	f(r.Since(0, All(), 10), "next 1 lost 0")
	f(r.Last(5, All()), "next 1 lost 0")
	r.Add(recs("<13>a: 1", "<13>a: 2"))
	f(r.Since(0, All(), 10), "1:1 2:2 next 3 lost 0")
	f(r.Since(2, All(), 10), "2:2 next 3 lost 0")
	f(r.Since(1, All(), 1), "1:1 next 2 lost 0")
	f(r.Since(99, All(), 10), "next 99 lost 0")
	r.Add(recs("<13>a: 3", "<11>b: 4", "<13>b: 5"))
	f(r.Since(1, All(), 10), "3:3 4:4 5:5 next 6 lost 2")
	f(r.Since(0, All(), 10), "3:3 4:4 5:5 next 6 lost 0")
	f(r.Last(1, All()), "5:5 next 6 lost 0")
	f(r.Last(9, Filter{App: "b", Severity: 7}), "4:4 5:5 next 6 lost 0")
	f(r.Last(9, Filter{Severity: 3}), "4:4 next 6 lost 0")
	f(r.Since(3, Filter{Severity: 7, Contains: []byte("5")}, 10), "5:5 next 6 lost 0")
	f(r.Last(9, Filter{Host: "me", Severity: 7, App: "a"}), "3:3 next 6 lost 0")
	f(r.Last(9, Filter{Host: "you", Severity: 7}), "next 6 lost 0")
}

func TestRingBytes(t *testing.T) {
	r := NewRing(1000, 10_000, "me")
	for range 100 {
		r.Add(recs("<13>a: " + strings.Repeat("x", 500)))
		if n, bytes := r.Len(); bytes > 10_000 || n == 0 {
			t.Fatalf("%d lines, %d bytes", n, bytes)
		}
	}
	r.Add(recs("<13>a: " + strings.Repeat("x", 20_000)))
	if n, _ := r.Len(); n != 1 {
		t.Fatalf("a line above the bound: %d held", n)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRing(3, 1<<20, "me")
		got := make(chan Page)
		go func() { got <- r.Wait(t.Context(), 1, Filter{App: "b", Severity: 7}, 10) }()
		synctest.Wait()
		r.Add(recs("<13>a: 1"))
		synctest.Wait()
		select {
		case p := <-got:
			t.Fatalf("woken by a line it did not choose: %s", show(p))
		default:
		}
		r.Add(recs("<13>b: 2"))
		if s := show(<-got); s != "2:2 next 3 lost 0" {
			t.Error(s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s := show(r.Wait(ctx, 3, All(), 10)); s != "next 3 lost 0" {
			t.Error(s)
		}
	})
}

func TestLineIsValidUTF8(t *testing.T) {
	r := NewRing(3, 1<<20, "me")
	r.Add(recs("<13>a: \xff"))
	if got := r.Last(1, All()).Lines[0].Text; got != "\uFFFD" {
		t.Errorf("%q", got)
	}
}

func TestParseFilter(t *testing.T) {
	f := func(query string, ok bool) {
		t.Helper()
		q, _ := url.ParseQuery(query)
		if _, err := ParseFilter(q); (err == nil) != ok {
			t.Errorf("%s: %v", query, err)
		}
	}
	f("", true)
	f("host=a&app=b&severity=warn&contains=x", true)
	f("severity=loud", false)
	f("contains="+strings.Repeat("x", 2000), false)
}
