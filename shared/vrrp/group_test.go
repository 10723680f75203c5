package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// TestGroupOfOne: an owner that is alone in its group does not wait, as RFC 9568 section 6.4.1 has it.
func TestGroupOfOne(t *testing.T) {
	cfg := testConfig()
	cfg.Priority = PriorityOwner
	g := NewGroup(newMachine(t, cfg))
	g.StepAll(time.Second, Event{Kind: EvStartup}, nil)
	if s := g.Member(0).State(); s != Active {
		t.Errorf("the owner is %v", s)
	}
}

// TestRegroup: a machine that is Active goes on in a group with a new member, which joins it by EvAdopt; and alone again.
func TestRegroup(t *testing.T) {
	first := newMachine(t, testConfig())
	other := testConfig()
	other.VRID, other.Addrs = 52, []netip.Addr{netip.MustParseAddr("10.77.0.102")}
	second := newMachine(t, other)

	g := NewGroup(first)
	g.StepAll(0, Event{Kind: EvAdopt}, nil)
	g = NewGroup(first, second)
	for _, e := range g.Step(time.Millisecond, 1, Event{Kind: EvAdopt}, nil) {
		if e.Member == 0 {
			t.Errorf("the first does %v", e.Kind)
		}
	}
	if first.State() != Active || second.State() != Active {
		t.Fatalf("%v and %v, want both Active", first.State(), second.State())
	}

	g = NewGroup(first)
	if fx := g.Step(time.Second, 0, Event{Kind: EvTimer}, nil); first.State() != Active || len(fx) == 0 || fx[0].Kind != DoSend {
		t.Errorf("alone it is %v and does %v", first.State(), fx)
	}
}
