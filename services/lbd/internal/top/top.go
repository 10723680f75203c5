// Package top shows traffic to people: a line about all, and a table by route, pool or member. It is pure: text is made of a
// traffic.View, for a terminal of some size.
package top

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/everup/everup/services/lbd/internal/traffic"
	"github.com/everup/everup/shared/cli"
)

// Size is what a terminal shows. 0 means without end.
type Size struct{ Columns, Lines int }

// Text shows v, in lines that end in "\n".
func Text(v *traffic.View, size Size) string {
	rows := [][]string{header(v.By)}
	for i := range v.Lines {
		rows = append(rows, row(v.By, &v.Lines[i]))
	}
	lines := append([]string{summary(v), ""}, align(rows, named(v.By))...)
	if n := size.Lines; n == 1 {
		lines = lines[:1]
	} else if n > 0 && len(lines) > n {
		lines = append(lines[:n-1], fmt.Sprintf("… and %d more", len(lines)-n+1))
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(strings.TrimRight(cut(l, size.Columns), " ") + "\n")
	}
	return b.String()
}

// named is how many columns of a table are names.
func named(by traffic.By) int {
	if by == traffic.Members {
		return 2
	}
	return 1
}

func summary(v *traffic.View) string {
	t := &v.Total
	return fmt.Sprintf("%s  %s req/s  %s 4xx/s  %s 5xx/s  p50 %s  p99 %s  %s/s out  %s/s in  %d in flight  %d of %d %ss active",
		v.Time.Format("15:04:05"), rate(t.Rate), rate(t.Refused), rate(t.Errors), seconds(t.P50), seconds(t.P99), size(t.Sent), size(t.Received),
		t.InFlight, v.Active, len(v.Lines), v.By)
}

func header(by traffic.By) []string {
	names := []string{strings.ToUpper(string(by))}
	if by == traffic.Members {
		names = []string{"POOL", "MEMBER"}
	}
	return append(names, "REQ/S", "4XX/S", "5XX/S", "RETRY/S", "P50", "P99", "OUT/S", "IN/S", "FLIGHT", "TOTAL")
}

func row(by traffic.By, l *traffic.Line) []string {
	names := []string{cli.Clean(l.Name)}
	if by == traffic.Members {
		names = []string{cli.Clean(l.Pool), cli.Clean(l.Name)}
	}
	return append(names, rate(l.Rate), rate(l.Refused), rate(l.Errors), rate(l.Retries), seconds(l.P50), seconds(l.P99), size(l.Sent), size(l.Received),
		strconv.FormatInt(l.InFlight, 10), strconv.FormatUint(l.Total, 10))
}

// rate shows a number per second.
func rate(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(math.Round(v), 'f', 0, 64)
}

// seconds shows a duration by three digits.
func seconds(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case d <= 0:
		return "-"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "us"
	case d < time.Second:
		return digits(s*1e3) + "ms"
	}
	return digits(s) + "s"
}

// size shows bytes by three digits.
func size(v float64) string {
	units := "BkMGTPE"
	i := 0
	for v >= 999.5 && i < len(units)-1 {
		v /= 1000
		i++
	}
	if i == 0 {
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64) + "B"
	}
	return digits(v) + units[i:i+1] + "B"
}

// digits shows a number below 1000 by three digits.
func digits(v float64) string {
	decimals := 0
	switch {
	case v < 9.995:
		decimals = 2
	case v < 99.95:
		decimals = 1
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// align makes columns: names to the left, numbers to the right.
func align(rows [][]string, names int) []string {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var out []string
	for _, r := range rows {
		var b strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i > 0 {
				b.WriteString("  ")
			}
			if i < names {
				b.WriteString(c + pad)
			} else {
				b.WriteString(pad + c)
			}
		}
		out = append(out, b.String())
	}
	return out
}

// cut takes what is beyond n columns off.
func cut(s string, n int) string {
	if n <= 0 || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}

// Terminal sequences: another screen without a cursor, and back; to its beginning, and what is behind it cleared.
const (
	Enter = "\x1b[?1049h\x1b[?25l"
	Leave = "\x1b[?25h\x1b[?1049l"
)

// Frame is Text for a terminal, over what it shows.
func Frame(v *traffic.View, size Size) string {
	text := strings.TrimSuffix(Text(v, size), "\n")
	return "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\r\n") + "\x1b[K\x1b[J"
}
