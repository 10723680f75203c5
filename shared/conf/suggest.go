package conf

import (
	"slices"
	"strconv"
	"strings"
)

// maxSuggest is the longest text a suggestion is looked for, and maxListed the most choices a hint lists.
const (
	maxSuggest = 64
	maxListed  = 12
)

// didYouMean returns a hint for name: the nearest of known, else the choices where they are few.
func didYouMean(name string, known []string) string {
	if best, ok := nearest(name, known); ok {
		return "did you mean " + strconv.Quote(best) + "?"
	}
	switch {
	case len(known) == 0:
		return "there are none"
	case len(known) > maxListed:
		return ""
	}
	return "known: " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

// nearest returns the text among known that is a few typing slips from name; of equals the one that begins
// most like it, then the first.
func nearest(name string, known []string) (best string, ok bool) {
	if len(name) > maxSuggest {
		return "", false
	}
	limit, alike := max(1, len(name)/3), -1
	if name = fold(name); name == "" {
		return "", false
	}
	for _, k := range known {
		d, common := distance(name, k, limit), commonPrefix(name, k)
		if d < limit || d == limit && common > alike {
			best, ok, limit, alike = k, true, d, common
		}
	}
	return best, ok
}

// fold removes the differences in writing that do not count as slips.
func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// commonPrefix returns how many bytes a and b begin with alike.
func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// distance returns the number of slips (a letter more, less, other, or two swapped) between folded a and b,
// or more than limit when there are more.
func distance(a, b string, limit int) int {
	b = fold(b)
	if len(b) > maxSuggest || max(len(a)-len(b), len(b)-len(a)) > limit {
		return limit + 1
	}
	var before, prev, cur [maxSuggest + 1]int
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev = prev, cur
	}
	return prev[len(b)]
}
