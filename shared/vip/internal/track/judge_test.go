package track

import (
	"testing"

	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/google/go-cmp/cmp"
)

// TestJudge gives items, what was found of each, and the verdict.
func TestJudge(t *testing.T) {
	f := func(s State, delta int, faults []string, pairs ...any) {
		t.Helper()
		g := Group{Name: "g"}
		found := map[string]Reading{}
		for i := 0; i < len(pairs); i += 2 {
			it := pairs[i].(Item)
			it.Key = string(rune('a' + i))
			g.Items = append(g.Items, it)
			found[it.Key] = pairs[i+1].(Reading)
		}
		got := Judge(&g, s, func(key string) Reading { return found[key] })
		if d := cmp.Diff(wire.Verdict{Group: "g", Delta: delta, Faults: faults}, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
	ready := State{Ready: true}
	none := []string(nil)
	is := func(n int) Reading { return Reading{Known: true, N: n} }
	unknown := Reading{}

	f(ready, 0, none)
	f(State{}, 0, []string{"starting"})
	f(State{Ready: true, Isolated: true}, -100, none)
	f(State{Isolated: true}, -100, []string{"starting"})

	route := func(w int) Item { return Item{Kind: Route, Name: "0.0.0.0/0", Weight: w} }
	f(ready, 0, none, route(0), is(1))
	f(ready, 0, []string{"no route to 0.0.0.0/0"}, route(0), is(0))
	f(ready, 0, []string{"route 0.0.0.0/0 is not known yet"}, route(0), unknown)
	f(ready, 0, []string{"route 0.0.0.0/0: denied"}, route(0), Reading{Why: "denied"})
	f(ready, 0, none, route(-20), is(1))
	f(ready, -20, none, route(-20), is(0))
	f(ready, -20, none, route(-20), unknown)
	f(ready, 20, none, route(20), is(1))
	f(ready, 0, none, route(20), is(0))
	f(ready, 0, none, route(20), unknown)

	probe := func(w int) Item { return Item{Kind: Probe, Name: "gw:80", Weight: w} }
	f(ready, 0, []string{"check of gw:80 fails", "check of gw:80 is not known yet"}, probe(0), is(0), probe(0), unknown)
	f(ready, -5, none, probe(-5), is(0), probe(3), unknown)

	value := func(w, least int) Item { return Item{Kind: Value, Name: "backends", Weight: w, Min: least} }
	f(ready, 0, none, value(0, 2), is(2))
	f(ready, 0, []string{"backends is 1, less than 2"}, value(0, 2), is(1))
	f(ready, 0, []string{"value backends is not known yet"}, value(0, -5), unknown)
	f(ready, 0, none, value(0, -5), is(-5))
	f(ready, 7, none, value(7, 1), is(3), value(-8, 1), is(1))
	each := Item{Kind: Value, Name: "backends", Weight: 3, Each: true, Min: 1}
	f(ready, 12, none, each, is(4))
	f(ready, -3, none, each, is(-1))
	f(ready, 0, none, each, unknown)
	f(ready, 254, none, each, is(1<<31-1))
	f(ready, -254, none, each, is(-1<<31))

	file := func(w int) Item { return Item{Kind: File, Name: "/f", Weight: w} }
	f(ready, 0, none, file(0), is(0))
	f(ready, 0, []string{"file /f says 1"}, file(0), is(1))
	f(ready, 0, []string{"file /f: holds no whole number"}, file(0), Reading{Why: "holds no whole number"})
	f(ready, -20, none, file(10), is(-2))
	f(ready, 0, none, file(10), Reading{Why: "x"})

	// The sum is bounded, not its parts.
	f(ready, 54, none, each, is(1<<20), Item{Kind: Value, Weight: -3, Each: true}, is(1<<20), each, is(18))
	f(State{Ready: true, Isolated: true}, -90, none, route(10), is(1))
}
