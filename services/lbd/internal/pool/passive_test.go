package pool

import (
	"strconv"
	"testing"
	"time"

	"github.com/everup/everup/shared/probe"
	"github.com/google/go-cmp/cmp"
)

// send sends n requests to a member, whose session they are of, and has each end with a result.
func (c *Core) send(t *testing.T, now time.Duration, id ID, n int, r Result) {
	t.Helper()
	m := c.Find(id)
	for range n {
		s := c.enter(m, &Ask{})
		c.Report(now, s, r)
		c.Release(now, s)
	}
}

var (
	fine     = Result{Status: 200, Head: time.Millisecond}
	error503 = Result{Status: 503, Head: time.Millisecond}
	late     = Result{Failure: Late, Head: time.Second}
)

func statuses(codes ...int) (s Statuses) {
	for _, code := range codes {
		s.Add(code)
	}
	return s
}

func TestConsecutiveFailuresEject(t *testing.T) {
	c := core(Rules{
		SlowStart: 10 * time.Second, Failures: statuses(503),
		Outliers: Outliers{Consecutive: 3, Interval: 10 * time.Second, Ejection: 30 * time.Second, MaxEjection: 70 * time.Second, MaxEjected: 50},
	}, "a b c")
	now := t0
	c.send(t, now, "a", 2, late)
	c.send(t, now, "a", 1, fine) // breaks the row
	c.send(t, now, "a", 2, error503)
	c.wantKinds(t)
	c.send(t, now, "a", 1, late)
	c.wantKinds(t, "member-ejected a")
	if got := c.picks(now, 4); got != "bcbc" {
		t.Error(got)
	}
	c.send(t, now, "b", 5, late) // one of three is the most at 50 %
	c.wantKinds(t)
	c.send(t, now, "b", 1, fine)
	now += 30 * time.Second
	c.Tick(now)
	c.wantKinds(t, "member-returned a")
	if got := c.Snapshot(now)[0]; got.Share == 0 || got.Share > 10 || got.Ejections != 1 {
		t.Errorf("back, but not slowly: %+v", got)
	}
	// Each ejection lasts longer, up to a bound; each interval within shortens the next.
	out := func() time.Duration {
		c.send(t, now, "a", 3, late)
		begin := now
		for c.Find("a").ejection.until > now {
			now += time.Second
			c.Tick(now)
		}
		c.Take()
		return now - begin
	}
	if a, b, d := out(), out(), out(); a != 60*time.Second || b != 70*time.Second || d != 70*time.Second {
		t.Errorf("out for %v, %v and %v", a, b, d)
	}
	now += time.Hour
	for range 10 {
		now += 10 * time.Second
		c.Tick(now)
	}
	if a := out(); a != 30*time.Second {
		t.Errorf("out for %v after a long time within", a)
	}
}

func TestAMemberIsNotEjectedFromAPoolOfOne(t *testing.T) {
	c := core(Rules{Outliers: Outliers{Consecutive: 1, Interval: time.Second, Ejection: time.Second, MaxEjected: 100}}, "a")
	c.send(t, t0, "a", 9, late)
	c.wantKinds(t)
}

func TestSuccessRates(t *testing.T) {
	rules := Rules{Failures: statuses(503), Outliers: Outliers{
		Interval: 10 * time.Second, Ejection: 30 * time.Second, MaxEjected: 50, Deviations: 1.9, MinMembers: 5, MinRequests: 100,
	}}
	f := func(members string, sent int, failed map[ID]int, want ...string) {
		t.Helper()
		c := core(rules, members)
		for _, m := range c.members {
			c.send(t, t0, m.ID, failed[m.ID], error503)
			c.send(t, t0, m.ID, sent-failed[m.ID], fine)
		}
		c.Tick(t0 + 10*time.Second - 1)
		c.wantKinds(t)
		c.Tick(t0 + 10*time.Second)
		c.wantKinds(t, want...)
	}
	f("a b c d e", 100, map[ID]int{"c": 30}, "member-ejected c")
	f("a b c d e", 99, map[ID]int{"c": 30})                                      // too few requests
	f("a b c d", 100, map[ID]int{"c": 30})                                       // too few members
	f("a b c d e", 100, map[ID]int{"a": 50, "b": 50, "c": 50, "d": 50, "e": 50}) // all alike: nobody stands out
	f("a b c d e", 100, map[ID]int{"a": 10, "b": 20, "c": 30, "d": 40, "e": 50})
}

func TestADownMemberReturnsWithoutItsEjection(t *testing.T) {
	c := core(Rules{Outliers: Outliers{Consecutive: 1, Interval: time.Second, Ejection: time.Hour, MaxEjection: time.Hour, MaxEjected: 50}}, "a b")
	c.send(t, t0, "a", 1, late)
	if got := c.picks(t0, 2); got != "bb" {
		t.Error(got)
	}
	c.Checked(t0, "a", probe.Down, "")
	c.Checked(t0, "a", probe.Up, "")
	if got := c.picks(t0, 2); got != "ab" && got != "ba" {
		t.Error(got)
	}
}

func TestBreaker(t *testing.T) {
	c := core(Rules{
		Failures: statuses(503),
		Breaker:  BreakerRules{Percent: 50, MinRequests: 10, Window: 10 * time.Second, Open: 5 * time.Second, Trials: 2},
	}, "a b")
	now := t0
	c.send(t, now, "a", 5, error503)
	c.send(t, now, "a", 4, fine)
	c.wantKinds(t)
	c.send(t, now, "a", 1, error503)
	c.wantKinds(t, "breaker-open a")
	if got := c.picks(now, 3); got != "bbb" {
		t.Error(got)
	}
	now += 5 * time.Second
	// Half open: two trials at once, no more; one fails.
	one, _, _ := c.Pick(now, &Ask{Tried: c.named("b")})
	two, _, _ := c.Pick(now, &Ask{Tried: c.named("b")})
	three, _, _ := c.Pick(now, &Ask{Tried: c.named("b")})
	if one.Member.ID != "a" || two.Member.ID != "a" || three.Member.ID != "b" || c.Snapshot(now)[0].Breaker != "half-open" {
		t.Fatalf("%v %v %v", one, two, three)
	}
	c.Report(now, one, fine)
	c.Report(now, two, late)
	c.wantKinds(t, "breaker-open a")
	now += 5 * time.Second
	// One of which nothing becomes known makes room for another trial.
	one, _, _ = c.Pick(now, &Ask{Tried: c.named("b")})
	two, _, _ = c.Pick(now, &Ask{Tried: c.named("b")})
	c.Report(now, one, Result{})
	three, _, _ = c.Pick(now, &Ask{Tried: c.named("b")})
	if three.Member.ID != "a" {
		t.Fatal("no third trial")
	}
	c.Report(now, two, fine)
	c.wantKinds(t)
	c.Report(now, three, fine)
	c.wantKinds(t, "breaker-closed a")
}

func TestOpenCircuitsAreTold(t *testing.T) {
	c := core(Rules{Breaker: BreakerRules{Percent: 50, MinRequests: 1, Window: time.Second, Open: time.Second, Trials: 1}}, "a")
	c.send(t, t0, "a", 1, late)
	if _, _, o := c.Pick(t0, &Ask{}); o != CircuitOpen {
		t.Errorf("outcome %d", o)
	}
	c.wantKinds(t, "breaker-open a", "empty")
	// What began before the circuit opened says nothing of a half open one.
	before := c.enter(c.Find("a"), &Ask{})
	if _, _, o := c.Pick(t0+time.Second, &Ask{}); o != Granted {
		t.Errorf("outcome %d", o)
	}
	c.Report(t0+time.Second, Seat{Member: before.Member}, late)
	c.wantKinds(t)
	c.SetRules(t0+time.Second, &Rules{}) // switched off
	if got := c.picks(t0+time.Second, 2); got != "aa" {
		t.Error(got)
	}
}

func TestRetriesAtOnceAreBounded(t *testing.T) {
	c := core(Rules{MaxRetries: 2}, "a")
	var seats []Seat
	for range 2 {
		if !c.Retry(t0) {
			t.Fatal("no retry")
		}
		s, _, _ := c.Pick(t0, &Ask{Retry: true})
		seats = append(seats, s)
	}
	if c.Retry(t0) {
		t.Error("a third")
	}
	c.Release(t0, seats[0])
	if !c.Retry(t0) {
		t.Error("none after one has ended")
	}
	c.Checked(t0, "a", probe.Down, "")
	c.Pick(t0, &Ask{Retry: true}) // no seat: it is given back
	if !c.Retry(t0) {
		t.Error("none after one found no member")
	}
}

func TestSessionsStick(t *testing.T) {
	c := core(Rules{}, "a b c")
	all := specs("a b c")
	for i := range all {
		all[i].Tags = []Tag{{byte(i), 1}, {byte(i), 2}}
	}
	set := func() {
		c.Set(t0, all)
		c.Take()
	}
	set()
	f := func(want string, tag Tag, tried ...ID) {
		t.Helper()
		got := ""
		for range 3 {
			s, _, o := c.Pick(t0, &Ask{Tag: tag, Tagged: true, Tried: c.named(tried...)})
			if o != Granted {
				got += "-"
				continue
			}
			c.Release(t0, s)
			got += s.Member.Name()
		}
		if got != want {
			t.Errorf("%v: %s, want %s", tag, got, want)
		}
	}
	b := Tag{1, 1}
	f("bbb", b)
	f("bbb", Tag{1, 2}) // told by an older secret
	f("abc", Tag{9})    // nobody's
	f("aca", b, "b")
	c.Suspect(t0, c.Find("b"))
	f("bbb", b) // its session is worth a try
	all[1].Drain = Draining
	set()
	f("bbb", b) // sessions stay
	if got := c.picks(t0, 4); got != "caca" {
		t.Errorf("new ones: %s", got)
	}
	all[1].Drain = Drained
	set()
	f("cac", b)
	all[1].Drain, all[1].Weight = Serving, 0
	set()
	f("bbb", b)
	c.Checked(t0, "b", probe.Down, "")
	f("aca", b)
}

func TestQueue(t *testing.T) {
	c := core(Rules{Queue: 3}, "a/1 b/1")
	var names []string
	pick := func(name string, priority uint8, tag Tag) (Seat, *Ticket, Outcome) {
		return c.Pick(t0, &Ask{Waiter: waiterNamed(name), Priority: priority, Tag: tag, Tagged: tag != Tag{}})
	}
	granted := func(want ...string) (seats []Seat) {
		t.Helper()
		names = nil
		_, grants := c.Take()
		for _, g := range grants {
			name := string(g.Waiter.(waiterNamed))
			if g.Outcome != Granted {
				name += "-"
			} else {
				name += " " + g.Seat.Member.Name()
				seats = append(seats, g.Seat)
			}
			names = append(names, name)
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("granted (-want +got):\n%s", diff)
		}
		return seats
	}
	all := specs("a/1 b/1")
	all[0].Tags, all[1].Tags = []Tag{{1}}, []Tag{{2}}
	c.Set(t0, all)
	one, _, _ := pick("1", 5, Tag{})
	two, _, _ := pick("2", 5, Tag{})
	_, _, o3 := pick("3", 5, Tag{})
	_, t4, o4 := pick("4", 5, Tag{2}) // b's session
	_, _, o5 := pick("5", 3, Tag{})
	_, _, o6 := pick("6", 0, Tag{})
	if diff := cmp.Diff([]Outcome{Queued, Queued, Queued, QueueFull}, []Outcome{o3, o4, o5, o6}); diff != "" {
		t.Error(diff)
	}
	c.Release(t0, one) // a
	seats := granted("5 a")
	c.Release(t0, seats[0])
	seats = granted("3 a")
	c.Release(t0, seats[0])
	granted() // 4 waits for b
	if s, _, o := pick("7", 9, Tag{}); o != Granted || s.Member.ID != "a" {
		t.Errorf("a has room: %d", o)
	} else {
		seats[0] = s
	}
	if !c.Cancel(t4) || c.Cancel(t4) {
		t.Error("cancelling is done once")
	}
	_, _, _ = pick("8", 9, Tag{2})
	_, _, _ = pick("9", 9, Tag{})
	c.Release(t0, two)
	two = granted("8 b")[0]
	_, _, _ = pick("10", 1, Tag{2})
	c.Checked(t0, "b", probe.Down, "") // its session goes to whoever has room
	granted()
	c.Release(t0, seats[0])
	seats = granted("10 a")
	all[0].MaxRequests = 2
	c.Set(t0, all)
	seats = append(seats, granted("9 a")...)
	_, _, _ = pick("11", 1, Tag{})
	c.Checked(t0, "a", probe.Down, "")
	granted("11-") // nobody may serve: there is nothing to wait for
	for _, s := range append(seats, two) {
		c.Release(t0, s)
	}
	if c.active != 0 || c.queue.n != 0 {
		t.Errorf("%d under way, %d wait", c.active, c.queue.n)
	}
}

type waiterNamed string

func (waiterNamed) Granted(Grant) {}

func TestTheWholePoolIsBounded(t *testing.T) {
	c := core(Rules{MaxRequests: 2, Queue: 1}, "a b c")
	one, _, _ := c.Pick(t0, &Ask{})
	c.Pick(t0, &Ask{})
	if _, _, o := c.Pick(t0, &Ask{}); o != QueueFull {
		t.Errorf("without a waiter: %d", o)
	}
	_, _, o := c.Pick(t0, &Ask{Waiter: waiterNamed("x")})
	_, _, over := c.Pick(t0, &Ask{Waiter: waiterNamed("y")})
	if o != Queued || over != QueueFull {
		t.Errorf("outcomes %d, %d", o, over)
	}
	c.Pick(t0, &Ask{Waiter: waiterNamed("y")})
	c.wantKinds(t, "queue-full") // once
	c.Release(t0, one)
	if _, grants := c.Take(); len(grants) != 1 || grants[0].Waiter != waiterNamed("x") {
		t.Errorf("granted %v", grants)
	}
	c.SetRules(t0, &Rules{})
	if _, _, o := c.Pick(t0, &Ask{}); o != Granted {
		t.Errorf("without a bound: %d", o)
	}
}

// Backups are not for what exceeds the primaries' room, as long as somebody may wait.
func TestAFullPrimaryIsWaitedFor(t *testing.T) {
	c := core(Rules{Queue: 1}, "a/1 x!")
	c.Pick(t0, &Ask{})
	if _, _, o := c.Pick(t0, &Ask{Waiter: waiterNamed("1")}); o != Queued {
		t.Errorf("outcome %d", o)
	}
	if _, _, o := c.Pick(t0, &Ask{Waiter: waiterNamed("2")}); o != QueueFull {
		t.Errorf("outcome %d", o)
	}
	c.SetRules(t0, &Rules{})
	if s, _, o := c.Pick(t0, &Ask{}); o != Granted || s.Member.ID != "x" {
		t.Errorf("outcome %d", o)
	}
}

// Who waits for a member that leaves, or takes no sessions any more, waits for any from then on, at the place that was taken first.
func TestWhoWaitsForAMemberThatGoes(t *testing.T) {
	f := func(what string, change func(all []Spec) []Spec) {
		t.Helper()
		c := core(Rules{Queue: 9}, "a/1 b/1")
		all := specs("a/1 b/1")
		all[1].Tags = []Tag{{2}}
		c.Set(t0, all)
		one, _, _ := c.Pick(t0, &Ask{})
		c.Pick(t0, &Ask{})
		for i, tag := range []Tag{{}, {2}, {}, {2}} {
			c.Pick(t0, &Ask{Waiter: waiterNamed("w" + strconv.Itoa(i)), Tag: tag, Tagged: tag != Tag{}})
		}
		c.Set(t0, change(all))
		got := ""
		for seat := one; seat.Member != nil; {
			c.Release(t0, seat)
			_, grants := c.Take()
			seat = Seat{}
			for _, g := range grants {
				got += string(g.Waiter.(waiterNamed)) + g.Seat.Member.Name() + " "
				seat = g.Seat
			}
		}
		if got != "w0a w1a w2a w3a " || c.queue.n != 0 {
			t.Errorf("%s: granted %s, %d wait", what, got, c.queue.n)
		}
	}
	f("gone", func(all []Spec) []Spec { return all[:1] })
	f("drained", func(all []Spec) []Spec { all[1].Drain = Drained; return all })
}
