package viptest

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// pair is a life between two of everup, whose holder is a.
func pair(t *testing.T, s Setting, more ...string) (l *life, a, b *Ours) {
	t.Helper()
	l = newLife(t, s, Everup, Everup, Role{Priority: 200, More: more}, Role{Priority: 100, More: more})
	l.begin()
	return l, l.sides[l.A].(*Ours), l.sides[l.B].(*Ours)
}

// begin starts the better side, then the other, which is to hear it.
func (l *life) begin() {
	l.t.Helper()
	w := l.wins()
	l.start(w)
	l.Holders.Wait(l.down(w)+startLimit, w)
	l.start(l.Other(w))
	l.stay("both are there", w, func() {})
}

// ordinary is what most of the tests of faults use.
func ordinary() Setting { return Setting{Version: 3, Interval: tenth} }

// TestPartition: two that do not hear each other both have the address, and when they do again there is one within an
// interval, which the third host finds.
func TestPartition(t *testing.T) {
	t.Parallel()
	for _, s := range []Setting{ordinary(), {Version: 3, Interval: tenth, Six: true}, {Version: 3, Interval: tenth, VMAC: true}, {Version: 3, Interval: tenth, Unicast: true}} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			l, _, _ := pair(t, s)
			for range 3 {
				l.heals(l.A)
			}
			// The better hears the other and answers each of its adverts, the other hears nothing.
			l.Lab.DropOneWay(l.A, l.B)
			l.Holders.Wait(l.down(l.B)+startLimit, l.A, l.B)
			l.moved("the way to the lower heals", l.A, 0, s.Interval, func() { l.Lab.Heal(l.A, l.B) })
			l.Reaches(l.A, reachLimit)
			l.stay("the way to the higher is cut", l.A, func() { l.Lab.DropOneWay(l.B, l.A) })
			l.stay("the way to the higher heals", l.A, func() { l.Lab.Heal(l.A, l.B) })
		})
	}
}

// TestPartitionForeign is TestPartition with a keepalived for the worse side: of two that both have the address one is
// left, though the third host may be late to know.
func TestPartitionForeign(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string][2]Kind{"better": {Everup, Foreign}, "worse": {Foreign, Everup}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pseudo := []string{"checksum: pseudo"}
			l := newLife(t, ordinary(), kinds[0], kinds[1], Role{Priority: 200, More: pseudo}, Role{Priority: 100, More: pseudo})
			l.begin()
			for range 3 {
				l.heals(l.A)
			}
			l.Lab.DropOneWay(l.A, l.B)
			l.Holders.Wait(l.down(l.B)+startLimit, l.A, l.B)
			l.moved("the way to the lower heals", l.A, 0, l.Setting.Interval, func() { l.Lab.Heal(l.A, l.B) })
		})
	}
}

// TestDeath: whatever dies of the holder, there is one holder soon.
func TestDeath(t *testing.T) {
	t.Parallel()
	t.Run("daemon", func(t *testing.T) {
		t.Parallel()
		l, a, _ := pair(t, ordinary())
		l.moveWhile("the daemon is killed", l.B, l.skew(l.B), func() { a.KillDaemon() })
		l.move("it is back", l.A, l.down(l.A), l.down(l.A)+startLimit, func() { l.start(l.A) })
	})
	t.Run("child", func(t *testing.T) {
		t.Parallel()
		l, a, _ := pair(t, ordinary())
		for range 3 {
			var dead int
			l.stay("the child is killed", l.A, func() { dead = a.KillChild() })
			if now := a.Child(); now == dead {
				t.Errorf("child %d is dead and still there", now)
			}
		}
	})
	t.Run("child of the worse", func(t *testing.T) {
		t.Parallel()
		l, _, b := pair(t, ordinary())
		l.stay("the child is killed", l.A, func() { b.KillChild() })
	})
	t.Run("both, and the addresses stay", func(t *testing.T) {
		t.Parallel()
		l, a, _ := pair(t, ordinary())
		a.Kill()
		l.Holders.Wait(l.down(l.B)+startLimit, l.A, l.B) // a's kernel goes on to answer
		l.Reaches(l.B, reachLimit)
		// What was left is removed, for there is a holder.
		l.moved("it is back", l.A, 0, 2*l.down(l.A)+startLimit, func() { l.start(l.A) })
		l.Reaches(l.A, reachLimit)
		if u := l.Holders.Now(); len(u) != 1 {
			t.Errorf("held by %v", u)
		}
	})
}

// TestFreeze: a process that does not run for a while does no harm when it runs again.
func TestFreeze(t *testing.T) {
	t.Parallel()
	freeze := func(o *Ours, pids ...int) (thaw func()) {
		for _, pid := range pids {
			o.Signal(syscall.SIGSTOP, pid)
		}
		return func() {
			for _, pid := range pids {
				o.Signal(syscall.SIGCONT, pid)
			}
		}
	}
	t.Run("holder", func(t *testing.T) {
		t.Parallel()
		l, a, _ := pair(t, ordinary())
		thaw := freeze(a, a.Child(), a.Daemon())
		l.Holders.Wait(l.down(l.B)+margin+startLimit, l.A, l.B)
		l.Reaches(l.B, reachLimit)
		l.moved("it thaws", l.A, 0, l.Setting.Interval, thaw)
		l.Reaches(l.A, reachLimit)
	})
	t.Run("child of the holder", func(t *testing.T) {
		t.Parallel()
		l, a, _ := pair(t, ordinary())
		thaw := freeze(a, a.Child())
		l.Holders.Wait(l.down(l.B)+margin+startLimit, l.A, l.B)
		l.moved("it thaws", l.A, 0, l.Setting.Interval, thaw)
		l.Reaches(l.A, reachLimit)
	})
	t.Run("worse", func(t *testing.T) {
		t.Parallel()
		l, _, b := pair(t, ordinary())
		for range 3 {
			thaw := freeze(b, b.Child(), b.Daemon())
			l.stay("the worse is frozen", l.A, func() {})
			l.stay("it thaws", l.A, thaw)
		}
	})
	t.Run("daemon of the holder", func(t *testing.T) {
		t.Parallel()
		const lifeline = 500 * time.Millisecond
		l, a, _ := pair(t, ordinary(), "lifeline: 500ms")
		var thaw func()
		l.move("the daemon is stuck", l.B, 0, lifeline+500*time.Millisecond+l.skew(l.B), func() { thaw = freeze(a, a.Daemon()) })
		l.move("it thaws", l.A, 0, l.down(l.A)+startLimit, thaw)
	})
	t.Run("keepalived beside a frozen worse", func(t *testing.T) {
		t.Parallel()
		more := []string{"checksum: pseudo"}
		l := newLife(t, ordinary(), Foreign, Everup, Role{Priority: 200}, Role{Priority: 100, More: more})
		l.begin()
		b := l.sides[l.B].(*Ours)
		thaw := freeze(b, b.Child(), b.Daemon())
		l.stay("the worse is frozen", l.A, func() {})
		l.stay("it thaws", l.A, thaw)
	})
}

// TestStarved: a host whose processors are busy neither loses the address nor takes it.
func TestStarved(t *testing.T) {
	labtest.Needs(t, "timeout")
	l, _, _ := pair(t, ordinary())
	const busy = time.Second
	for _, h := range []*labtest.Host{l.A, l.B} {
		var load []*labtest.Proc
		for range 4 {
			load = append(load, h.Start("busy", "timeout", "1", "sh", "-c", "while :; do :; done"))
		}
		began := time.Now()
		if err := l.Holders.Stay(busy, l.A); err != nil && l.stalled(began, time.Now()) < l.Setting.Interval {
			t.Error(err)
		}
		for _, p := range load {
			p.Wait(endLimit)
		}
	}
	l.Reaches(l.A, reachLimit)
}

// TestAddresses: what others do to the addresses is undone.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, s := range []Setting{ordinary(), {Version: 3, Interval: tenth, Six: true}} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			l, a, _ := pair(t, s)
			dev := l.Device(l.A)
			l.restores("someone removes the address", time.Second, func() { l.A.Run("ip", "addr", "del", l.Addresses()[len(l.Addresses())-1].String(), "dev", dev) })
			own4, own6 := l.A.Addr(), l.A.Addr6()
			l.restores("someone sets the interface up anew", 2*time.Second, func() {
				family := "-4"
				if s.Six {
					family = "-6"
				}
				l.A.Run("ip", family, "addr", "flush", "dev", dev, "scope", "global")
				l.A.Run("ip", "addr", "replace", own4.String()+"/24", "dev", dev)
				l.A.Run("ip", "addr", "replace", own6.String()+"/64", "dev", dev, "nodad")
			})
			l.stay("the MTU changes", l.A, func() {
				l.A.Run("ip", "link", "set", dev, "mtu", "1400")
				l.A.Run("ip", "link", "set", dev, "mtu", "1500")
			})
			if !strings.Contains(a.Log(), "added again") {
				t.Error("nothing was told of addresses that were added again")
			}
		})
	}
}

// restores does something to a's addresses after which a is to have the virtual one again in time, and to be reached.
func (l *life) restores(what string, most time.Duration, act func()) {
	l.t.Helper()
	act()
	acted := time.Now()
	at := l.Holders.Wait(most+startLimit, l.A)
	if at.Sub(acted) > most+margin+l.stalled(acted, at) {
		l.t.Errorf("%s: %s had the address after %v", what, l.A.Name, round(at.Sub(acted)))
	}
	l.Reaches(l.A, reachLimit)
	l.t.Logf("%s: %s", what, l.Holders.Since(acted.Add(-margin)))
}

// TestLink: a holder without a carrier has no address, and one whose link flaps does not take it to and fro.
func TestLink(t *testing.T) {
	t.Parallel()
	for _, s := range []Setting{ordinary(), {Version: 3, Interval: tenth, Six: true}, {Version: 3, Interval: tenth, VMAC: true}} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			l, _, _ := pair(t, s)
			l.move("the link is cut", l.B, l.down(l.B)-s.Interval, l.down(l.B), func() { l.Lab.Unplug(l.A) })
			l.move("the link is back", l.A, l.down(l.A), l.down(l.A)+s.Interval, func() { l.Lab.Plug(l.A) })
			l.stay("the worse's link is cut", l.A, func() { l.Lab.Unplug(l.B) })
			l.stay("the worse's link is back", l.A, func() { l.Lab.Plug(l.B) })
			l.move("the link flaps", l.A, 0, 2*l.down(l.B)+s.Interval, func() { l.Lab.Flap(l.A, 5, 20*time.Millisecond, 20*time.Millisecond) })
		})
	}
}

// TestSwitchOver: a planned move loses no echo but, on a busy machine, some that are on their way when the address leaves its
// host, and stays. The bench wants none lost.
func TestSwitchOver(t *testing.T) {
	t.Parallel()
	for _, s := range []Setting{ordinary(), {Version: 3, Interval: tenth, Six: true}, {Version: 3, Interval: tenth, VMAC: true}, {Version: 3, Interval: tenth, Unicast: true}} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			l, a, b := pair(t, s)
			from, to := a, b
			e := StartEcho(t, EchoOptions{From: l.C, To: l.Addr()})
			for range 4 {
				l.moveWhile("switch-over", to.host, l.skew(to.host), func() {
					if err := from.Do("switch-over"); err != nil {
						t.Error(err)
					}
				})
				l.stay("after it", to.host, func() {})
				from, to = to, from
			}
			if got := e.Stop(); got.Longest().For > 50*time.Millisecond {
				t.Error(got)
			}
		})
	}
}
