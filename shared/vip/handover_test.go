package vip

import (
	"testing"
	"time"
)

// TestHandOver: another process of the host goes on with the addresses, and the one before removes nothing when it ends.
func TestHandOver(t *testing.T) {
	f := func(name string, pause time.Duration, want bool) {
		t.Helper()
		path := t.TempDir()
		var told []byte
		inBubble(t, path, mustParse(t, oneVIP, bothFam), func(r *rig) {
			r.Ready()
			waitInBubble(time.Minute)
			var err error
			if told, err = r.HandOver(r.t.Context()); err != nil {
				t.Fatal(err)
			}
			waitInBubble(pause)
			if n := len(r.children()); n != 1 {
				t.Errorf("%s: %d children, though the addresses are another's", name, n)
			}
			r.end() // and none is started to remove anything
			r.end = nil
			if n := len(r.children()); n != 1 {
				t.Errorf("%s: %d children at the end", name, n)
			}
			if len(r.record().Places) == 0 {
				t.Errorf("%s: the record of places is empty", name)
			}
			r.successor(told, want)
		})
	}
	f("at once", 100*time.Millisecond, true)
	f("late", time.Minute, false)
}

// successor is the process that takes over.
func (r *rig) successor(told []byte, want bool) {
	r.t.Helper()
	r.env = newEnv(r.t, r.dir, &r.recorder, r.env.Log)
	r.make(mustParse(r.t, oneVIP, bothFam))
	if err := r.Adopt(told); err != nil {
		r.t.Fatal(err)
	}
	r.run()
	for _, g := range r.child().nth(0).Plan.Groups {
		for _, router := range g.Routers {
			if router.Adopt != want {
				r.t.Errorf("%s: adopted is %v", router.Vip, router.Adopt)
			}
		}
	}
}

func TestAdoptRefusesNonsense(t *testing.T) {
	inBubble(t, t.TempDir(), mustParse(t, oneVIP), func(r *rig) {
		if err := r.Adopt([]byte("{")); err == nil {
			t.Error("taken")
		}
	})
}
