package vip

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/vip/internal/track"
)

// tracked returns what each group depends on, in the order of groupNames; what is tracked twice alike counts once. What the child
// sees itself, interfaces, is in the plan.
func (c Config) tracked() (out []track.Group) {
	for _, name := range c.groupNames() {
		g := track.Group{Name: name}
		for _, member := range c.members(name) {
			for i := range c[conf.Name(member)].Track {
				it, ok := c[conf.Name(member)].Track[i].item(fmt.Sprintf("probe %s %d", member, i))
				if ok && !slices.ContainsFunc(g.Items, func(other track.Item) bool { return alike(it, other) }) {
					g.Items = append(g.Items, it)
				}
			}
		}
		out = append(out, g)
	}
	return out
}

// alike reports whether two items are the same thing with the same weight. Probes are named by their place.
func alike(a, b track.Item) bool {
	a.Key, b.Key = "", ""
	return reflect.DeepEqual(a, b)
}

// item makes an item of a Track; probe is its key if it is one.
func (t *Track) item(probe string) (it track.Item, ok bool) {
	it = track.Item{Weight: t.Weight, Min: t.Min, Each: t.Each}
	switch {
	case t.Route.IsValid():
		it.Kind, it.Name, it.Route = track.Route, t.Route.String(), t.Route
		it.Key = "route " + it.Name
	case t.File != "":
		it.Kind, it.Name = track.File, t.File
		it.Key = "file " + it.Name
	case t.Value != "":
		it.Kind, it.Name, it.Key = track.Value, t.Value, track.ValueKey(t.Value)
	case t.Probe != nil:
		target, err := t.Probe.target()
		if err != nil { // Validate has refused it
			return it, false
		}
		it.Kind, it.Name, it.Key = track.Probe, t.Probe.Target, probe
		it.Target, it.Check = target, t.Probe.Check
	default:
		return it, false
	}
	return it, true
}
