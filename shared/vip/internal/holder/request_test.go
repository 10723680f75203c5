package holder

import (
	"fmt"
	"testing"
	"time"

	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

func TestSwitchOver(t *testing.T) {
	r := newRig(t)
	s := spec(51, addr)
	r.ask(1, wire.SwitchOver, "g", 0)
	r.answered(`1 there is no group "g"`)
	r.activate(s)
	r.ask(2, wire.SwitchOver, "g", 0)
	r.answered()
	r.advert(s, 90, "10.77.0.9", 0)
	r.hear()
	r.answered("2 ")
	r.told("v51 state Backup switch_over")
	r.ask(3, wire.SwitchOver, "g", 0)
	r.answered("3 g is not held by this host")
	r.ask(4, wire.TakeOver, "g", 0)
	r.answered("4 ")
	r.quiet()
	r.ask(5, wire.SwitchOver, "g", 0)
	r.run(time.Second)
	r.answered("5 no peer has taken g")
	r.told("v51 kept")
}

func TestTakeOverRefused(t *testing.T) {
	r := newRig(t)
	s := spec(51, addr)
	r.putPlan(group1("g", s))
	r.ask(1, wire.TakeOver, "g", 0)
	r.answered("1 v51 takes no part")
	r.judge("g", 0)
	r.advert(s, 255, "10.77.0.9", 0)
	r.hear()
	r.ask(2, wire.TakeOver, "g", 0)
	r.answered("2 10.77.0.9 holds v51 with priority 255, which cannot be exceeded")
}

func TestReleaseAndResume(t *testing.T) {
	r := newRig(t)
	r.activate(spec(51, addr))
	r.ask(1, wire.Release, "", 50*ms)
	r.run(49 * ms)
	r.answered()
	r.run(2 * ms)
	r.answered("1 ")
	r.told("v51 state Initialize shutdown")
	r.judge("g", 5) // does not start it
	r.told()
	r.ask(2, wire.Resume, "g", 0)
	r.answered("2 ")
	r.told("v51 state Backup startup")
	r.run(500 * ms)
	r.quiet()

	// A release that is taken back has ended.
	r.ask(3, wire.Release, "g", 0)
	r.ask(4, wire.Resume, "g", 0)
	r.answered("4 ", "3 ")
	if !r.find("g").active() {
		t.Error("the addresses are gone")
	}
	r.ask(5, "dance", "g", 0)
	r.answered(`5 "dance" is not known`)
}

// TestTasksAreBounded: who asks without end is refused.
func TestTasksAreBounded(t *testing.T) {
	r := newRig(t)
	r.activate(spec(51, addr))
	for i := range maxTasks + 2 {
		r.ask(uint64(i), wire.SwitchOver, "g", 0)
	}
	why := fmt.Sprintf(" %d requests have not ended yet", maxTasks)
	r.answered(fmt.Sprint(maxTasks)+why, fmt.Sprint(maxTasks+1)+why)
}

// TestSnapshot: one after each change, not more than ten a second, one each second; none while the daemon does not read.
func TestSnapshot(t *testing.T) {
	r := newRig(t)
	count := func(want int) {
		t.Helper()
		if n := len(r.daemon.snapshots); n != want {
			t.Errorf("%d snapshots, want %d", n, want)
		}
		r.daemon.snapshots = nil
	}
	r.putPlan(group1("g", spec(51, addr)))
	count(1)
	for range 20 {
		r.judge("g", 0, "a")
		r.judge("g", 0)
	}
	count(0)
	r.run(100 * ms)
	count(1)
	r.advert(spec(51, addr), vrrp.PriorityOwner, "10.77.0.9", 0)
	r.hear()
	r.judge("g", 0, "a")
	r.run(2 * time.Second)
	count(3)
	r.daemon.busy = true
	r.run(5 * time.Second)
	count(0)
	r.daemon.busy = false
	r.turn()
	count(1)
}
