package viptest

import (
	"fmt"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// Bounds of the tests, which run on busy machines; the bench is stricter.
const (
	// margin is how much later than the protocol has it something may be.
	margin = 150 * time.Millisecond
	// early is how much earlier: clocks are read at different places.
	early = 10 * time.Millisecond
	// startLimit is how long the start of a program may take beside the protocol's own times.
	startLimit = 2 * time.Second
	// reachLimit is how long the third host may take to be right again.
	reachLimit = 3 * time.Second
)

// life is a rig on which an address is moved.
type life struct {
	*Rig
	t     *testing.T
	roles map[*labtest.Host]Role
	sides map[*labtest.Host]Router
}

func newLife(t *testing.T, s Setting, a, b Kind, roleA, roleB Role) *life {
	t.Helper()
	l := &life{Rig: New(t, s, a, b), t: t, sides: map[*labtest.Host]Router{}}
	l.roles = map[*labtest.Host]Role{l.A: roleA, l.B: roleB}
	return l
}

func (l *life) start(h *labtest.Host) {
	l.t.Helper()
	l.sides[h] = l.Start(h, l.roles[h])
}

func (l *life) down(h *labtest.Host) time.Duration { return l.Setting.Down(l.roles[h].Priority) }
func (l *life) skew(h *labtest.Host) time.Duration { return l.Setting.Skew(l.roles[h].Priority) }

// wins returns the host whose priority, or else address, is greater.
func (l *life) wins() *labtest.Host {
	a, b := l.roles[l.A].Priority, l.roles[l.B].Priority
	if a > b || a == b && l.sources["b"].Less(l.sources["a"]) {
		return l.A
	}
	return l.B
}

// move does something after which the address is to be at a host alone, not before least from its beginning and not after
// most from its end, and the third host reaches it there. Two hosts may have had it for an interval at most after the end: to
// do a thing takes its time, and what happens while it is half done counts for nothing.
func (l *life) move(what string, to *labtest.Host, least, most time.Duration, act func()) {
	l.t.Helper()
	l.moved(what, to, least, most, act)
	l.Reaches(to, reachLimit)
}

// moved is move without the third host.
func (l *life) moved(what string, to *labtest.Host, least, most time.Duration, act func()) {
	l.t.Helper()
	began := time.Now()
	act()
	l.judge(what, to, began, time.Now(), least, most)
}

// moveWhile is move with what is to happen while something is done, so that all times count from its beginning.
func (l *life) moveWhile(what string, to *labtest.Host, most time.Duration, act func()) {
	l.t.Helper()
	began := time.Now()
	act()
	l.judge(what, to, began, began, 0, most)
	l.Reaches(to, reachLimit)
}

func (l *life) judge(what string, to *labtest.Host, began, acted time.Time, least, most time.Duration) {
	l.t.Helper()
	at := l.Holders.Wait(most+startLimit, to)
	now := time.Now()
	slack := margin + l.stalled(began, now)
	if at.Sub(began) < least-early || at.Sub(acted) > most+slack {
		l.t.Errorf("%s: %s had the address %v after it began and %v after it was done, not %v to %v; %s", what, to.Name, round(at.Sub(began)),
			round(at.Sub(acted)), least, most, l.Holders.Between(began, now))
	}
	if u := l.Holders.Between(acted, now); u.Two > l.Setting.Interval+slack {
		l.t.Errorf("%s: two hosts had the address for %v; %s", what, round(u.Two), u)
	}
	l.t.Logf("%s: %s", what, l.Holders.Between(began, now))
}

// stalled returns how much later everything may be because the machine stood still.
func (l *life) stalled(from, to time.Time) time.Duration {
	d := 3 * l.Holders.Stalled(from, to)
	if d > margin {
		l.t.Logf("the machine stood still for %v", round(d/3))
	}
	return d
}

// stay does something after which the address is to stay where it is, for the time in which it would have moved. It may move
// and come back if the machine stood still for long enough that none of the hosts heard of another.
func (l *life) stay(what string, at *labtest.Host, act func()) {
	l.t.Helper()
	began := time.Now()
	act()
	err := l.Holders.Stay(max(l.down(l.A), l.down(l.B))+margin, at)
	u := l.Holders.Since(began)
	if err == nil && (u.None != 0 || u.Two != 0) {
		err = fmt.Errorf("it moved to and fro: %s", u)
	}
	switch {
	case err == nil:
		l.t.Log(what, "moved nothing")
	case l.stalled(began, time.Now()) > l.Setting.Interval:
		l.t.Log(what, err)
		l.Holders.Wait(l.down(l.A)+startLimit, at)
	default:
		l.t.Fatalf("%s: %v (the machine stood still for %v)", what, err, round(l.Holders.Stalled(began, time.Now())))
	}
	l.Reaches(at, reachLimit)
}

// moves is the life of an address between two hosts of different priority: each thing that is to move it does.
func (l *life) moves() {
	w := l.wins()
	o := l.Other(w)
	l.move("the lower starts", o, l.down(o), l.down(o)+startLimit, func() { l.start(o) })
	l.move("the higher starts", w, l.down(w), l.down(w)+startLimit, func() { l.start(w) })
	l.moveWhile("the higher stops", o, l.skew(o), func() { l.sides[w].Terminate() })
	l.move("the higher is back", w, l.down(w), l.down(w)+startLimit, func() { l.start(w) })
	l.move("the higher crashes", o, l.down(o)-l.Setting.Interval, l.down(o), func() { l.Crash(w, l.sides[w]) })
	l.move("the higher is back again", w, l.down(w), l.down(w)+startLimit, func() { l.Lab.Rejoin(w); l.start(w) })
	if l.Setting.Interval < time.Second { // that would be long
		l.stay("the lower crashes", w, func() { l.Crash(o, l.sides[o]) })
		l.stay("the lower is back", w, func() { l.Lab.Rejoin(o); l.start(o) })
	}
	l.heals(w)
}

// keeps is that between two hosts of which none takes it from the other.
func (l *life) keeps(first *labtest.Host) {
	second := l.Other(first)
	l.move("the first starts", first, l.down(first), l.down(first)+startLimit, func() { l.start(first) })
	l.stay("the second starts", first, func() { l.start(second) })
	l.moveWhile("the first stops", second, l.skew(second), func() { l.sides[first].Terminate() })
	l.stay("the first is back", second, func() { l.start(first) })
	l.move("the second crashes", first, l.down(first)-l.Setting.Interval, l.down(first), func() { l.Crash(second, l.sides[second]) })
	l.stay("the second is back", first, func() { l.Lab.Rejoin(second); l.start(second) })
}

// heals cuts the two hosts from each other, so that both have the address, and brings them together.
func (l *life) heals(winner *labtest.Host) {
	l.t.Helper()
	l.Lab.Cut(l.A, l.B)
	l.Holders.Wait(max(l.down(l.A), l.down(l.B))+startLimit, l.A, l.B)
	l.moved("the partition heals", winner, 0, l.Setting.Interval, func() { l.Lab.Heal(l.A, l.B) })
	// A keepalived that yields is silent, so that the winner does not learn that there were two, and one that wins does not
	// announce again: others go on to send to the loser for seconds.
	if l.kinds["a"] == Everup && l.kinds["b"] == Everup {
		l.Reaches(winner, reachLimit)
	}
}

const tenth = 100 * time.Millisecond

// settings are those that both sides have to share in all their versions, families and carriers.
func settings() []Setting {
	return []Setting{
		{Version: 3, Interval: tenth},
		{Version: 3, Interval: tenth, RFCChecksum: true},
		{Version: 3, Interval: tenth, Unicast: true},
		{Version: 3, Interval: tenth, Unicast: true, RFCChecksum: true},
		{Version: 3, Interval: tenth, VMAC: true},
		{Version: 3, Interval: tenth, Six: true},
		{Version: 3, Interval: tenth, Six: true, Unicast: true},
		{Version: 3, Interval: tenth, Six: true, VMAC: true},
		{Version: 2, Interval: time.Second},
		{Version: 2, Interval: time.Second, Unicast: true},
		{Version: 2, Interval: time.Second, Password: "hello"},
		{Version: 2, Interval: time.Second, VMAC: true},
	}
}

// TestRig: keepalived against itself, which is known to work, shows that the instruments do.
func TestRig(t *testing.T) {
	t.Parallel()
	for _, s := range []Setting{{Version: 3, Interval: tenth}, {Version: 3, Interval: tenth, Six: true, Unicast: true}} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			newLife(t, s, Foreign, Foreign, Role{Priority: 200}, Role{Priority: 100}).moves()
		})
	}
}
