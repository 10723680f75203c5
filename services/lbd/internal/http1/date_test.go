package http1

import (
	"net/http"
	"testing"
	"time"
)

// TestDate: all three forms are read (RFC 9110 section 5.6.7).
func TestDate(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	f := func(s, want string) {
		t.Helper()
		unix, ok := ParseDate([]byte(s), now)
		got := ""
		if ok {
			got = string(AppendDate(nil, unix))
		}
		if got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	const same = "Sun, 06 Nov 1994 08:49:37 GMT"
	f(same, same)
	f("Sunday, 06-Nov-94 08:49:37 GMT", same)
	f("Sun Nov  6 08:49:37 1994", same)
	f("Thu, 29 Feb 2024 23:59:59 GMT", "Thu, 29 Feb 2024 23:59:59 GMT")
	f("Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT")
	f("Sat, 31 Dec 2016 23:59:60 GMT", "Sun, 01 Jan 2017 00:00:00 GMT") // a leap second
	f("Saturday, 01-Jan-70 00:00:00 GMT", "Wed, 01 Jan 2070 00:00:00 GMT")
	f("Saturday, 01-Jan-77 00:00:00 GMT", "Sat, 01 Jan 1977 00:00:00 GMT")
	f("", "")
	f("Sun, 06 Nov 1994 08:49:37 UTC", "")
	f("Sun, 06 Nov 1994 08:49:37 GMT ", "")
	f("Sun, 31 Nov 1994 08:49:37 GMT", "")
	f("Sun, 00 Nov 1994 08:49:37 GMT", "")
	f("Sun, 06 Nov 1994 24:49:37 GMT", "")
	f("Sun, 06 Nox 1994 08:49:37 GMT", "")
	f("sun, 06 nov 1994 08:49:37 gmt", "")
	f("Sun,  6 Nov 1994 08:49:37 GMT", "")
	f("Sun, 06 Nov 1994 08:49:37 +0000", "")
}

// FuzzDate: what net/http reads as a date, and is written as such, is the same here.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:60 GMT"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseDate([]byte(s), now)
		want, err := time.Parse(http.TimeFormat, s)
		if err == nil && want.Format(http.TimeFormat) == s && (!ok || got != want.Unix()) {
			t.Fatalf("%q: %d %v", s, got, ok)
		}
		if !ok {
			return
		}
		if again, ok := ParseDate(AppendDate(nil, got), now); !ok || again != got {
			t.Fatalf("%q is %d, and written again %d %v", s, got, again, ok)
		}
	})
}

func TestDateMemory(t *testing.T) {
	b := []byte("Sun, 06 Nov 1994 08:49:37 GMT")
	out := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		unix, _ := ParseDate(b, time.Time{})
		out = AppendDate(out[:0], unix)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
