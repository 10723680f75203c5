package top

import (
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/traffic"
	"github.com/everup/everup/shared/labtest"
)

// view is what passed in two seconds.
func view(by traffic.By) *traffic.View {
	tab := traffic.NewTable()
	at := time.Date(2026, 11, 23, 10, 11, 12, 0, time.UTC)
	web := tab.Pool("web")
	count := func(route string, member string, n int, r traffic.Request) {
		for range n {
			c := tab.Route(route)
			c.Begin(0)
			c.End(0, &r)
			web.Member(member).Count(0, &r)
		}
	}
	count("shop", "10.0.0.1:80", 10, traffic.Request{Status: 200})
	before := tab.Read(at)
	count("shop", "10.0.0.1:80", 1500, traffic.Request{Status: 200, Took: 700 * time.Microsecond, Sent: 12345})
	count("shop", "10.0.0.2:80", 40, traffic.Request{Status: 503, Took: 1200 * time.Millisecond, Sent: 12, Received: 1 << 20, Retries: 1})
	count("\x1b[31mevil", "10.0.0.2:80", 7, traffic.Request{Status: 404, Took: 30 * time.Millisecond, Sent: 900})
	count("", "", 1, traffic.Request{Status: 404})
	tab.Route("shop").Begin(1)
	tab.Route("idle")
	return traffic.Rates(before, tab.Read(at.Add(2*time.Second)), by)
}

func TestText(t *testing.T) {
	var b strings.Builder
	for _, by := range []traffic.By{traffic.Routes, traffic.Pools, traffic.Members} {
		b.WriteString("# by " + string(by) + "\n" + Text(view(by), Size{}))
	}
	b.WriteString("# 40 columns, 5 lines\n" + Text(view(traffic.Routes), Size{40, 5}))
	b.WriteString("# 1 line\n" + Text(view(traffic.Routes), Size{40, 1}))
	b.WriteString("# the first reading\n" + Text(traffic.Rates(nil, traffic.NewTable().Read(time.Unix(0, 0).UTC()), traffic.Pools), Size{}))
	b.WriteString("# on a terminal\n" + strings.NewReplacer("\x1b", "ESC", "\r", "CR").Replace(Frame(view(traffic.Pools), Size{60, 5})) + "\n")
	labtest.Golden(t, "text", b.String())
}

func TestNumbers(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(rate(0.04), "0.0")
	f(rate(99.94), "99.9")
	f(rate(99.95), "100")
	f(rate(123456.7), "123457")
	f(seconds(0), "-")
	f(seconds(0.000016), "16us")
	f(seconds(0.0012345), "1.23ms")
	f(seconds(0.0123), "12.3ms")
	f(seconds(0.123), "123ms")
	f(seconds(67.1), "67.1s")
	f(size(0), "0B")
	f(size(999.4), "999B")
	f(size(999.5), "1.00kB")
	f(size(12345678), "12.3MB")
	f(size(1e21), "1000EB")
}
