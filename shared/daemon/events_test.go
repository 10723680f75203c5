package daemon

import (
	"testing"

	"github.com/everup/everup/shared/health"
	"github.com/google/go-cmp/cmp"
)

func brief(in []news) (out []string) {
	for _, n := range in {
		out = append(out, n.kind+" "+n.object)
	}
	return out
}

func TestEventerHealth(t *testing.T) {
	e := newEventer(nil)
	f := func(want []string, items ...health.Status) {
		t.Helper()
		if d := cmp.Diff(want, brief(e.compareHealth(items))); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	}
	at := func(l health.Level, count uint64) health.Status {
		return health.Status{ID: "x", Level: l, Count: count}
	}
	f(nil, at(health.Fail, 0)) // pending
	f(nil, at(health.OK, 0))
	f([]string{"alert-raised x"}, at(health.Warn, 1))
	f(nil, at(health.Warn, 1))
	f([]string{"alert-raised x"}, at(health.Fail, 2))
	f([]string{"alert-cleared x"}, at(health.OK, 2))
	f([]string{"alert-raised x"}, at(health.Fail, 3))
	f([]string{"alert-cleared x"}) // removed
	f(nil)
}
