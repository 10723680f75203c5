package query

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/logd/internal/tail"
	"github.com/everup/everup/shared/fault"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// tree makes log files of three days and two hosts, ten lines each a minute apart.
func tree(t *testing.T) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for d := range 3 {
		day := noon.AddDate(0, 0, d-1)
		for _, host := range []string{"h1", "h2"} {
			var b strings.Builder
			for i := range 10 {
				sev := []string{"info", "err"}[i%2]
				fmt.Fprintf(&b, "%s %s app[7]: daemon.%s: line %d\n", day.Add(time.Duration(i)*time.Minute).Format("2006-01-02T15:04:05.000000Z07:00"), host, sev, i)
			}
			p := filepath.Join(dir, day.Format("2006/01/02"), host+".log")
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte(b.String()+"torn"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

var wide = Limits{Rows: 1000, Bytes: 1 << 30, Found: 1 << 20, Time: time.Minute}

func TestRun(t *testing.T) {
	root := tree(t)
	f := func(flt tail.Filter, from, to time.Time, l Limits, rows int, cut string) {
		t.Helper()
		res, err := Run(t.Context(), root, time.UTC, Request{Filter: flt, From: from, To: to, Limits: l})
		if err != nil || len(res.Lines) != rows || res.Cut != cut {
			t.Errorf("%d rows, cut %q, %v; want %d, %q", len(res.Lines), res.Cut, err, rows, cut)
		}
	}
	start, end := noon.AddDate(0, 0, -9), noon.AddDate(0, 0, 9)
	f(tail.All(), start, end, wide, 60, "")
	f(tail.All(), noon, noon.Add(5*time.Minute), wide, 10, "")
	f(tail.Filter{Host: "h1", Severity: 7}, start, end, wide, 30, "")
	f(tail.Filter{Host: "h3", Severity: 7}, start, end, wide, 0, "")
	f(tail.Filter{Severity: 3}, start, end, wide, 30, "")
	f(tail.Filter{Severity: 7, Contains: []byte("line 4")}, start, end, wide, 6, "")
	f(tail.Filter{Severity: 7, Contains: []byte("daemon")}, start, end, wide, 0, "")
	f(tail.All(), start, end, Limits{Rows: 7, Bytes: 1 << 30, Found: 1 << 20, Time: time.Minute}, 7, "rows")
	f(tail.All(), start, end, Limits{Rows: 1000, Bytes: 1 << 30, Found: 400, Time: time.Minute}, 6, "found")
	f(tail.All(), start, end, Limits{Rows: 1000, Bytes: 400, Found: 1 << 20, Time: time.Minute}, 6, "bytes")
	f(tail.All(), start, end, Limits{Rows: 1000, Bytes: 1 << 30, Found: 1 << 20, Time: 0}, 0, "time")
	if _, err := Run(t.Context(), root, time.UTC, Request{From: noon, To: noon, Limits: wide}); !errors.Is(err, fault.Invalid) {
		t.Errorf("empty span: %v", err)
	}
}

func TestOddAndLongLines(t *testing.T) {
	root := tree(t)
	content := "junk\n" + strings.Repeat("y", 2*maxLine) + "\n" + "2026-11-22T12:00:00.000000Z h9 a: user.info: " + strings.Repeat("z", 100<<10) + "\n"
	if err := root.WriteFile("2026/11/22/h9.log", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	res, err := Run(t.Context(), root, time.UTC, Request{Filter: tail.Filter{Host: "h9", Severity: 7}, From: noon, To: noon.Add(time.Hour), Limits: wide})
	if err != nil || len(res.Lines) != 1 || res.Odd != 1 || res.Longer != 1 {
		t.Errorf("%d lines, %d odd, %d longer, %v", len(res.Lines), res.Odd, res.Longer, err)
	}
}
