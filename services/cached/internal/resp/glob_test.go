package resp

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	f := func(p, s string, want bool) {
		t.Helper()
		if got := match([]byte(p), []byte(s)); got != want {
			t.Errorf("match(%q, %q) = %v", p, s, got)
		}
	}
	f("", "", true)
	f("", "a", false)
	f("*", "", true)
	f("a*c", "abbc", true)
	f("a*c", "abbcd", false)
	f("a?c", "abc", true)
	f("a?c", "ac", false)
	f("**a**", "bab", true)
	f("[a-c]x", "bx", true)
	f("[c-a]x", "bx", true)
	f("[^a-c]x", "bx", false)
	f("[^a-c]x", "dx", true)
	f("[ab", "b", true)
	f("[", "b", false)
	f("[]", "b", false)
	f(`\*`, "*", true)
	f(`\*`, "a", false)
	f(`[\]]`, "]", true)
	f(`a\`, `a\`, true)
	f(strings.Repeat("*a", 200)+"b", strings.Repeat("a", 250), false) // ends soon
}
