package pool

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/probe"
	"github.com/google/go-cmp/cmp"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// core returns a core whose members are up: "a=5 b=1" gives weights.
func core(b Balance, members string) *Core {
	c := NewCore(b)
	var specs []Spec
	for _, f := range strings.Fields(members) {
		s := Spec{Weight: 100}
		name, w, ok := strings.Cut(f, "=")
		if ok {
			fmt.Sscan(w, &s.Weight)
		}
		s.ID = ID(name)
		specs = append(specs, s)
	}
	c.Set(specs)
	for _, s := range specs {
		c.Checked(s.ID, probe.Up, "")
	}
	return c
}

// picks picks n times; each request ends at once.
func picks(c *Core, n int, tried ...ID) string {
	var out []string
	for range n {
		id, ok := c.Pick(t0, tried)
		if !ok {
			id = "-"
		}
		c.Done(id)
		out = append(out, string(id))
	}
	return strings.Join(out, "")
}

func TestWRRIsSmooth(t *testing.T) {
	f := func(members, want string) {
		t.Helper()
		if got := picks(core(WRR, members), len(want)); got != want {
			t.Errorf("%s: %s, want %s", members, got, want)
		}
	}
	f("a=5 b=1 c=1", "aabacaaaabacaa") // nginx's own example
	f("a b c", "abcabc")
	f("a=2 b=0", "aaa")
	f("a=0", "-")
}

func TestWRRKeepsShares(t *testing.T) {
	c, n := core(WRR, "a=7 b=2 c=1"), map[ID]int{}
	for range 1000 {
		id, _ := c.Pick(t0, nil)
		n[id]++
	}
	if diff := cmp.Diff(map[ID]int{"a": 700, "b": 200, "c": 100}, n); diff != "" {
		t.Error(diff)
	}
}

func TestLeastTakesTheLeastLoaded(t *testing.T) {
	c := core(Least, "a=1 b=2")
	n := map[ID]int{}
	for range 30 { // none ends
		id, _ := c.Pick(t0, nil)
		n[id]++
	}
	if diff := cmp.Diff(map[ID]int{"a": 10, "b": 20}, n); diff != "" {
		t.Error(diff)
	}
	for range 5 {
		c.Done("a")
	}
	for range 5 {
		if id, _ := c.Pick(t0, nil); id != "a" {
			t.Errorf("picked %s", id)
		}
	}
}

func TestWhoIsPicked(t *testing.T) {
	c := core(WRR, "a b c")
	f := func(want string, tried ...ID) {
		t.Helper()
		if got := picks(c, 3, tried...); got != want {
			t.Errorf("%s, want %s: %+v", got, want, c.Snapshot(t0))
		}
	}
	f("bcb", "a")
	c.Checked("c", probe.Down, "")
	f("bbb", "a")
	f("aaa", "b")
	if !c.Suspect("a", t0) || c.Suspect("a", t0) {
		t.Error("the first suspicion is told once")
	}
	f("bbb")
	f("aaa", "b") // better a suspect than one that failed this request already
	c.Checked("b", probe.Down, "")
	f("aaa") // nobody else is left
	if got, ok := c.Pick(t0.Add(hold), nil); !ok || got != "a" || c.Suspected("a", t0.Add(hold)) {
		t.Errorf("after the hold: %s", got)
	}
	c.Set([]Spec{{ID: "a", Weight: 1, Drained: true}, {ID: "b", Weight: 1}, {ID: "d", Weight: 1}})
	f("ddd") // unknown, but all there is
	c.Checked("d", probe.Down, "")
	f("---")
}

func TestEventsAreToldOnce(t *testing.T) {
	c := NewCore(WRR)
	f := func(got []Event, want ...string) {
		t.Helper()
		var kinds []string
		for _, e := range got {
			kinds = append(kinds, strings.TrimSpace(e.Kind+" "+string(e.Member)))
		}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	}
	a, b := Spec{ID: "a", Weight: 1}, Spec{ID: "b", Weight: 1}
	f(c.Set([]Spec{a, b}))
	f(c.Checked("a", probe.Up, ""), "pool-member-up a")
	f(c.Checked("a", probe.Up, ""))
	f(c.Checked("a", probe.Down, ""), "pool-member-down a")
	b.Drained = true
	f(c.Set([]Spec{a, b}), "pool-member-drained b", "pool-empty")
	f(c.Set([]Spec{a, b}))
	b.Drained = false
	f(c.Set([]Spec{a, b}), "pool-member-undrained b")
	f(c.Set(nil), "pool-empty")
	f(c.Checked("a", probe.Up, ""))
}

// TestPickNeverErrs drives a core at random and holds that it never picks whom it must not, never fails while somebody may
// serve, and counts requests right.
func TestPickNeverErrs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		c := core(Balance([]Balance{WRR, Least}[r.IntN(2)]), "a b c d")
		now, active := t0, map[ID]int{}
		for range 300 {
			id := ID("abcd"[r.IntN(4)])
			now = now.Add(time.Duration(r.IntN(300)) * time.Millisecond)
			switch r.IntN(6) {
			case 0:
				c.Checked(id, []probe.State{probe.Up, probe.Down}[r.IntN(2)], "")
			case 1:
				c.Suspect(id, now)
			case 2:
				c.Done(id)
				active[id] = max(0, active[id]-1)
			default:
				got, ok := c.Pick(now, []ID{id})
				if ok != (c.Usable() > 0) {
					t.Fatalf("picked %v with %d usable", ok, c.Usable())
				}
				if ok {
					active[got]++
				}
			}
			for _, m := range c.Snapshot(now) {
				if m.Active != active[m.ID] {
					t.Fatalf("%s: %d under way, want %d", m.ID, m.Active, active[m.ID])
				}
			}
		}
	}
}

func TestBudget(t *testing.T) {
	b := Budget{}
	b.SetPercent(20)
	grant := func(now time.Time, tries int) (n int) {
		for range tries {
			if b.Retry(now) {
				n++
			}
		}
		return n
	}
	if n := grant(t0, 1000); n != 100 {
		t.Errorf("%d retries without requests, want 100 in 10 s", n)
	}
	for range 1000 {
		b.Request(t0.Add(time.Second))
	}
	if n := grant(t0.Add(time.Second), 1000); n != 200 {
		t.Errorf("%d more after 1000 requests, want 200", n)
	}
	if n := grant(t0.Add(10*time.Second), 1000); n != 100 {
		t.Errorf("%d once the first second is forgotten, want 100", n)
	}
	if n := grant(t0.Add(time.Hour), 1000); n != 100 {
		t.Errorf("%d after a silence, want 100", n)
	}
	if n := grant(t0, 1000); n != 0 {
		t.Errorf("%d after the clock went back, want 0", n)
	}
}
