package viptest

import (
	"testing"
	"time"
)

// TestInterop: an address moves between everup and keepalived as it does between two of a kind, whoever is the better, in
// every version, family and carrier.
func TestInterop(t *testing.T) {
	t.Parallel()
	high, low := Role{Priority: 200}, Role{Priority: 100}
	for _, s := range settings() {
		t.Run(s.String()+"/higher", func(t *testing.T) {
			t.Parallel()
			newLife(t, s, Everup, Foreign, high, low).moves()
		})
		t.Run(s.String()+"/lower", func(t *testing.T) {
			t.Parallel()
			newLife(t, s, Everup, Foreign, low, high).moves()
		})
	}
}

// TestInteropTie: among equals the address stays where it is, and goes to the one with the greater address of its own
// when both have it.
func TestInteropTie(t *testing.T) {
	t.Parallel()
	equal := Role{Priority: 150, More: []string{"checksum: pseudo"}}
	for name, kinds := range map[string][2]Kind{"lower address": {Everup, Foreign}, "greater address": {Foreign, Everup}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLife(t, settings()[0], kinds[0], kinds[1], equal, equal)
			l.keeps(l.A)
			l.heals(l.B)
		})
	}
}

// TestInteropNoPreempt: whoever has the address keeps it from a better one that comes later. A keepalived that has never
// said which form of the checksum it uses takes nobody's adverts of the other form: that is to be configured.
func TestInteropNoPreempt(t *testing.T) {
	t.Parallel()
	for _, s := range []Setting{{Version: 3, Interval: tenth}, {Version: 3, Interval: tenth, Six: true}, {Version: 2, Interval: time.Second}} {
		var pseudo []string
		if s.Version == 3 && !s.Six {
			pseudo = []string{"checksum: pseudo"}
		}
		for name, kinds := range map[string][2]Kind{"higher": {Foreign, Everup}, "lower": {Everup, Foreign}} {
			t.Run(s.String()+"/"+name, func(t *testing.T) {
				t.Parallel()
				l := newLife(t, s, kinds[0], kinds[1], Role{Priority: 100, NoPreempt: true, More: pseudo}, Role{Priority: 200, NoPreempt: true, More: pseudo})
				l.keeps(l.A)
			})
		}
	}
}

// TestPair is TestInterop between two of everup.
func TestPair(t *testing.T) {
	t.Parallel()
	for _, s := range settings() {
		if s.RFCChecksum {
			continue // keepalived's option
		}
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			newLife(t, s, Everup, Everup, Role{Priority: 200}, Role{Priority: 100}).moves()
		})
	}
	t.Run("tie", func(t *testing.T) {
		t.Parallel()
		l := newLife(t, settings()[0], Everup, Everup, Role{Priority: 150}, Role{Priority: 150})
		l.keeps(l.A)
		l.heals(l.B)
	})
	t.Run("no preemption", func(t *testing.T) {
		t.Parallel()
		s := Setting{Version: 3, Interval: tenth, Unicast: true}
		l := newLife(t, s, Everup, Everup, Role{Priority: 100, NoPreempt: true}, Role{Priority: 200, NoPreempt: true})
		l.keeps(l.A)
	})
}
