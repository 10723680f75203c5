package member

import (
	"strings"
	"testing"
)

func TestMinority(t *testing.T) {
	states := map[byte]State{'+': Alive, '-': Dead, '.': Left}
	f := func(members string, want bool) {
		t.Helper()
		var v View
		for _, m := range strings.Fields(members) {
			v.Members = append(v.Members, Member{Node: m[:1], State: states[m[1]]})
		}
		if got := v.Minority(); got != want {
			t.Errorf("%q: minority %v", members, got)
		}
	}
	f("", false)
	f("a+", false)
	f("a+ b-", false) // one half
	f("a+ b- c-", true)
	f("a+ b+ c-", false)
	f("a+ b. c.", false) // they went
	f("a+ b- c- d.", true)
	f("a- a+ b- b+ c-", false) // a daemon is not a node
	f("a+ a+ a+ b- c-", true)
}
