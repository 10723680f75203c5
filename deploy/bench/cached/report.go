package cached

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// section begins a part of the report.
func (b *bench) section(title, text string) { fmt.Fprintf(b.out, "\n### %s\n\n%s\n\n", title, text) }

// table prints a Markdown table; the first row is its head.
func (b *bench) table(rows [][]string) {
	for i, r := range rows {
		fmt.Fprintf(b.out, "| %s |\n", strings.Join(r, " | "))
		if i == 0 {
			fmt.Fprintf(b.out, "|%s\n", strings.Repeat("---|", len(r)))
		}
	}
}

// fewer says that there was no time for all runs.
func (b *bench) fewer() {
	if b.done < b.Runs {
		fmt.Fprintf(b.out, "\nThe machine was slow: medians of %d runs.\n", b.done)
	}
}

// bar records a row of the summary.
func (b *bench) bar(what, figure, wanted string, met bool) {
	b.bars = append(b.bars, bar{what, figure, wanted, met})
}

// summary prints the bars of BARS.md that were measured.
func (b *bench) summary() {
	if len(b.bars) == 0 {
		return
	}
	b.section("The bars", "What BARS.md asks of cached, by the figures above.")
	rows := [][]string{{"what", "figure", "bar", "met"}}
	for _, r := range b.bars {
		met := "**no**"
		if r.met {
			met = "yes"
		}
		rows = append(rows, []string{r.what, r.figure, r.wanted, met})
	}
	b.table(rows)
}

// median returns the middle one of the values, the mean of the middle two of an even number; 0 of none.
func median[T cmp.Ordered](of []T, mean func(a, b T) T) T {
	if len(of) == 0 {
		var zero T
		return zero
	}
	s := slices.Sorted(slices.Values(of))
	if n := len(s); n%2 == 0 {
		return mean(s[n/2-1], s[n/2])
	}
	return s[len(s)/2]
}

// mid returns the median of one figure of the samples.
func mid[S any](samples []S, of func(S) float64) float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, of(s))
	}
	return median(all, func(a, b float64) float64 { return (a + b) / 2 })
}

// spread returns the smallest and the largest of one figure.
func spread[S any](samples []S, of func(S) float64) (low, high float64) {
	for i, s := range samples {
		v := of(s)
		if i == 0 {
			low, high = v, v
		}
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

func micros(ns float64) string { return fmt.Sprintf("%.2f µs", ns/1e3) }

// thousands prints a rate.
func thousands(v float64) string {
	if v >= 1e6 {
		return fmt.Sprintf("%.2f M/s", v/1e6)
	}
	return fmt.Sprintf("%.1f k/s", v/1e3)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func percent(share float64) string { return fmt.Sprintf("%.1f %%", share*100) }

func ratio(v float64) string { return fmt.Sprintf("%.2fx", v) }
