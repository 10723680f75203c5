package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Total adds counts up.
func Total(calls map[string]int64) int64 {
	var n int64
	for _, c := range calls {
		n += c
	}
	return n
}

// PerRequest lists the calls that were made for each request, the most frequent first, with so many digits; what would be 0 is left out.
func PerRequest(calls map[string]int64, requests, digits int) string {
	names := slices.SortedFunc(maps.Keys(calls), func(a, b string) int {
		return cmp.Or(-cmp.Compare(calls[a], calls[b]), cmp.Compare(a, b))
	})
	zero := fmt.Sprintf("%.*f", digits, 0.0)
	var out []string
	for _, n := range names {
		if v := fmt.Sprintf("%.*f", digits, float64(calls[n])/float64(requests)); v != zero {
			out = append(out, n+" "+v)
		}
	}
	return strings.Join(out, ", ")
}
