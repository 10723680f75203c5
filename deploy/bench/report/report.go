// Package report prints what benches measured: medians, spreads and Markdown tables. It is pure but for the writer it is given.
package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Table prints a Markdown table; the first row is its head.
func Table(out io.Writer, rows [][]string) {
	for i, r := range rows {
		fmt.Fprintf(out, "| %s |\n", strings.Join(r, " | "))
		if i == 0 {
			fmt.Fprintf(out, "|%s\n", strings.Repeat("---|", len(r)))
		}
	}
}

// Median returns the middle one of the values, the mean of the middle two of an even number; 0 of none.
func Median[T cmp.Ordered](of []T, mean func(a, b T) T) T {
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

// Mid returns the median of one figure of the samples.
func Mid[S any](samples []S, of func(S) float64) float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, of(s))
	}
	return Median(all, func(a, b float64) float64 { return (a + b) / 2 })
}

// Spread returns the smallest and the largest of one figure.
func Spread[S any](samples []S, of func(S) float64) (low, high float64) {
	for i, s := range samples {
		v := of(s)
		if i == 0 {
			low, high = v, v
		}
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

func Micros(ns float64) string { return fmt.Sprintf("%.2f µs", ns/1e3) }

// Thousands prints a rate.
func Thousands(v float64) string {
	if v >= 1e6 {
		return fmt.Sprintf("%.2f M/s", v/1e6)
	}
	return fmt.Sprintf("%.1f k/s", v/1e3)
}

func Mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func Percent(share float64) string { return fmt.Sprintf("%.1f %%", share*100) }

func Ratio(v float64) string { return fmt.Sprintf("%.2fx", v) }
