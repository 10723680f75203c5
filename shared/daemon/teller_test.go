package daemon

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/member"
	"github.com/google/go-cmp/cmp"
)

// viewOf makes a view of "a:1 b:2+ c:3-": id, generation, and + left, - dead.
func viewOf(self, members string) member.View {
	v := member.View{Self: member.ID(self)}
	for _, w := range strings.Fields(members) {
		m := member.Member{State: member.Alive}
		switch w[len(w)-1] {
		case '+':
			m.State = member.Left
		case '-':
			m.State = member.Dead
		}
		id, gen, _ := strings.Cut(strings.TrimRight(w, "+-"), ":")
		m.ID = member.ID(id)
		fmt.Sscan(gen, &m.Generation)
		v.Members = append(v.Members, m)
	}
	return v
}

// A course is a list of steps as one daemon sees them: "view → what it tells", or "hear kind id:generation".
func TestTeller(t *testing.T) {
	f := func(self string, course ...string) {
		t.Helper()
		tl, now := newTeller(), time.Unix(1000, 0)
		for _, step := range course {
			if after, ok := strings.CutPrefix(step, "wait "); ok {
				d, _ := time.ParseDuration(after)
				now = now.Add(d)
				continue
			}
			if after, ok := strings.CutPrefix(step, "hear "); ok {
				kind, who, _ := strings.Cut(after, " ")
				id, gen, _ := strings.Cut(who, ":")
				tl.hear(now, bus.Event{Kind: kind, Object: id, Data: json.RawMessage(`{"generation":"` + gen + `"}`)})
				continue
			}
			view, want, _ := strings.Cut(step, " →")
			var got []string
			for _, n := range tl.look(now, viewOf(self, view)) {
				got = append(got, n.kind+" "+n.object)
			}
			if d := cmp.Diff(strings.TrimSpace(want), strings.Join(got, ", ")); d != "" {
				t.Errorf("%s: %v: at %q: -want +got\n%s", self, course, step, d)
			}
		}
	}
	// The smallest tells, the others do not.
	f("a", "a:1", "a:1 b:2 → member-up b", "a:1 b:2- → member-down b", "a:1 b:3 → member-up b", "a:1 b:3+ → member-left b")
	f("b", "b:1", "a:1 b:1 c:2 →", "hear member-up c:2", "a:1 b:1 c:2- →")
	// A newcomer learns who is there; that is no news. The one told of by the speaker before is the newcomer.
	f("a", "a:9", "a:9 b:2 c:3 →")
	f("b", "b:2 c:1", "a:9 b:2 c:1 → member-up a")
	// The speaker dies together with another: the next one tells of both.
	f("b", "a:1 b:1 c:1", "a:1 b:1 c:1- →", "a:1- b:1 c:1- → member-down a, member-down c")
	// What the speaker told before it died is not told again, heard before or after it was seen.
	f("b", "a:1 b:1 c:1", "a:1 b:1 c:1- →", "hear member-down c:1", "a:1- b:1 c:1- → member-down a")
	f("b", "a:1 b:1 c:1", "hear member-down c:1", "a:1 b:1 c:1- →", "a:1- b:1 c:1- → member-down a")
	// Old news is not told.
	f("b", "a:1 b:1 c:1", "a:1 b:1 c:1- →", "wait 1m", "a:1- b:1 c:1- → member-down a")
}

func TestMemberEventData(t *testing.T) {
	b, err := json.Marshal(memberData(member.Member{Node: "n", Service: "s", Generation: 1<<63 + 1}))
	if err != nil || !strings.Contains(string(b), `"generation":"9223372036854775809"`) {
		t.Errorf("%s, %v", b, err)
	}
}
