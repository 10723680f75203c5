package pool

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/probe"
	"github.com/google/go-cmp/cmp"
)

const t0 = time.Hour // any instant

// specs reads members: "a=5 b=1" gives weights, "a!" is a backup, "a/2" has room for two requests.
func specs(members string) (out []Spec) {
	for _, f := range strings.Fields(members) {
		s := Spec{Weight: 100}
		name, w, ok := strings.Cut(f, "=")
		if ok {
			fmt.Sscan(w, &s.Weight)
		}
		name, room, ok := strings.Cut(name, "/")
		if ok {
			fmt.Sscan(room, &s.MaxRequests)
		}
		name, s.Backup = strings.CutSuffix(name, "!")
		s.ID = ID(name)
		out = append(out, s)
	}
	return out
}

// core returns a core whose members are up.
func core(r Rules, members string) *Core {
	c := NewCore(1)
	c.SetRules(t0, &r)
	c.Set(t0, specs(members))
	for _, m := range c.members {
		c.Checked(t0, m.ID, probe.Up, "")
	}
	c.Take()
	return c
}

func (c *Core) named(ids ...ID) (out []*Member) {
	for _, id := range ids {
		out = append(out, c.Find(id))
	}
	return out
}

// picks picks n times at now; each request ends at once, and nothing is known of it.
func (c *Core) picks(now time.Duration, n int, tried ...ID) string {
	var out []string
	for range n {
		s, _, o := c.Pick(now, &Ask{Tried: c.named(tried...)})
		if o != Granted {
			out = append(out, "-")
			continue
		}
		c.Release(now, s)
		out = append(out, s.Member.Name())
	}
	return strings.Join(out, "")
}

// kinds are the events since the last call.
func (c *Core) kinds() (out []string) {
	events, _ := c.Take()
	for _, e := range events {
		out = append(out, strings.TrimSpace(strings.TrimPrefix(e.Kind, "pool-")+" "+string(e.Member)))
	}
	return out
}

func (c *Core) wantKinds(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, c.kinds()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestWRRIsSmooth(t *testing.T) {
	f := func(members, want string) {
		t.Helper()
		if got := core(Rules{}, members).picks(t0, len(want)); got != want {
			t.Errorf("%s: %s, want %s", members, got, want)
		}
	}
	f("a=5 b=1 c=1", "aabacaaaabacaa") // nginx's own example
	f("a b c", "abcabc")
	f("a=2 b=0", "aaa")
	f("a=0", "-")
}

func TestWRRKeepsShares(t *testing.T) {
	c, n := core(Rules{}, "a=7 b=2 c=1"), map[string]int{}
	for range 1000 {
		s, _, _ := c.Pick(t0, &Ask{})
		n[s.Member.Name()]++
	}
	if diff := cmp.Diff(map[string]int{"a": 700, "b": 200, "c": 100}, n); diff != "" {
		t.Error(diff)
	}
}

func TestLeastTakesTheLeastLoaded(t *testing.T) {
	c := core(Rules{Balance: Least}, "a=1 b=2")
	n, seats := map[string]int{}, []Seat{}
	for range 30 { // none ends
		s, _, _ := c.Pick(t0, &Ask{})
		n[s.Member.Name()]++
		if s.Member.ID == "a" {
			seats = append(seats, s)
		}
	}
	if diff := cmp.Diff(map[string]int{"a": 10, "b": 20}, n); diff != "" {
		t.Error(diff)
	}
	for _, s := range seats[:5] {
		c.Release(t0, s)
	}
	for range 5 {
		if s, _, _ := c.Pick(t0, &Ask{}); s.Member.ID != "a" {
			t.Errorf("picked %s", s.Member.ID)
		}
	}
}

func TestWhoIsPicked(t *testing.T) {
	c := core(Rules{}, "a b c")
	f := func(want string, tried ...ID) {
		t.Helper()
		if got := c.picks(t0, 3, tried...); got != want {
			t.Errorf("%s, want %s: %+v", got, want, c.Snapshot(t0))
		}
	}
	f("bcb", "a")
	c.Checked(t0, "c", probe.Down, "")
	f("bbb", "a")
	f("aaa", "b")
	if a := c.Find("a"); !c.Suspect(t0, a) || c.Suspect(t0, a) {
		t.Error("the first suspicion is told once")
	}
	f("bbb")
	f("aaa", "b") // better a suspect than one that failed this request already
	c.Checked(t0, "b", probe.Down, "")
	f("aaa") // nobody else is left
	if got := c.picks(t0+hold, 1); got != "a" || c.Suspected(t0+hold, c.Find("a")) {
		t.Errorf("after the hold: %s", got)
	}
	c.Set(t0, []Spec{{ID: "a", Weight: 1, Drain: Draining}, {ID: "b", Weight: 1}, {ID: "d", Weight: 1}})
	f("ddd") // unknown, but all there is
	c.Checked(t0, "d", probe.Down, "")
	f("---")
}

func TestEventsAreToldOnce(t *testing.T) {
	c := NewCore(1)
	a, b := Spec{ID: "a", Weight: 1}, Spec{ID: "b", Weight: 1}
	c.Set(t0, []Spec{a, b})
	c.wantKinds(t)
	c.Checked(t0, "a", probe.Up, "")
	c.wantKinds(t, "member-up a")
	c.Checked(t0, "a", probe.Up, "")
	c.wantKinds(t)
	c.Checked(t0, "a", probe.Down, "")
	c.wantKinds(t, "member-down a")
	b.Drain = Draining
	c.Set(t0, []Spec{a, b})
	c.wantKinds(t, "member-drained b", "empty")
	c.Set(t0, []Spec{a, b})
	c.wantKinds(t)
	b.Drain = Drained
	c.Set(t0, []Spec{a, b})
	c.wantKinds(t, "member-drained b")
	b.Drain = Serving
	c.Set(t0, []Spec{a, b})
	c.wantKinds(t, "member-undrained b")
	c.Set(t0, nil)
	c.wantKinds(t, "empty")
	c.Checked(t0, "a", probe.Up, "")
	c.wantKinds(t)
}

func TestEventsNobodyTakesAreBounded(t *testing.T) {
	c := core(Rules{}, "a")
	for i := range 10_000 {
		c.Checked(t0, "a", []probe.State{probe.Down, probe.Up}[i%2], "")
	}
	if n := len(c.kinds()); n != maxEvents {
		t.Errorf("%d events", n)
	}
}

// Backups serve from when no primary may until primaries have been well for as long as failback says.
func TestFailoverAndFailback(t *testing.T) {
	c := core(Rules{Failback: time.Minute}, "a b x! y!")
	now := t0
	f := func(want string) {
		t.Helper()
		if got := c.picks(now, len(want)); got != want {
			t.Errorf("at %v: %s, want %s", now-t0, got, want)
		}
	}
	f("abab")
	c.Checked(now, "a", probe.Down, "")
	f("bbb")
	c.Checked(now, "b", probe.Down, "")
	f("xyxy")
	c.wantKinds(t, "member-down a", "member-down b", "failover")
	c.Checked(now, "a", probe.Up, "")
	now += 59 * time.Second
	f("xyxy")
	c.Checked(now, "a", probe.Down, "") // not stable: the time begins anew
	now += time.Second
	f("xyxy")
	c.Checked(now, "b", probe.Up, "")
	now += 59 * time.Second
	f("xyxy")
	now += time.Second
	f("bbb")
	c.wantKinds(t, "member-up a", "member-down a", "member-up b", "failback")
	c.Checked(now, "b", probe.Down, "")
	f("xy")
	c.Checked(now, "x", probe.Down, "")
	c.Checked(now, "y", probe.Down, "")
	f("--")
	c.Checked(now, "a", probe.Up, "") // nobody else is there: at once
	f("aa")
	c.wantKinds(t, "member-down b", "failover", "member-down x", "member-down y", "empty", "member-up a", "failback")
}

func TestFailbackAtOnce(t *testing.T) {
	c := core(Rules{}, "a x!")
	c.Checked(t0, "a", probe.Down, "")
	if got := c.picks(t0, 2); got != "xx" {
		t.Error(got)
	}
	c.Checked(t0, "a", probe.Up, "")
	if got := c.picks(t0, 2); got != "aa" {
		t.Error(got)
	}
	// A request that has failed at the primaries goes to a backup, and so do all while each primary is suspect.
	if got := c.picks(t0, 1, "a"); got != "x" {
		t.Error(got)
	}
	c.Suspect(t0, c.Find("a"))
	if got := c.picks(t0, 1); got != "x" {
		t.Error(got)
	}
	c.Take()
	c.Tick(t0 + hold)
	c.wantKinds(t, "failback")
}

// A primary that is not checked yet comes before a backup that is well: at a start the backup's check may end first.
func TestAnUncheckedPrimaryComesBeforeABackup(t *testing.T) {
	c := NewCore(1)
	c.Set(t0, specs("a x!"))
	c.Checked(t0, "x", probe.Up, "")
	if got := c.picks(t0, 2); got != "aa" {
		t.Error(got)
	}
}

func TestOnlyBackups(t *testing.T) {
	c := core(Rules{}, "x! y!")
	if got := c.picks(t0, 2); got != "xy" {
		t.Error(got)
	}
}

// Below the threshold all members are used, so that the few that are well are not crushed.
func TestPanic(t *testing.T) {
	c := core(Rules{Panic: 50}, "a b c d")
	c.Checked(t0, "a", probe.Down, "")
	c.Checked(t0, "b", probe.Down, "")
	if got := c.picks(t0, 4); got != "cdcd" {
		t.Error(got)
	}
	c.Take()
	c.Checked(t0, "c", probe.Down, "")
	c.wantKinds(t, "member-down c", "panic")
	seen := map[byte]bool{}
	for _, m := range []byte(c.picks(t0, 8)) {
		seen[m] = true
	}
	if len(seen) != 4 {
		t.Errorf("used: %v", seen)
	}
	c.Checked(t0, "d", probe.Down, "")
	c.wantKinds(t, "member-down d") // not empty: all are tried
	c.Checked(t0, "a", probe.Up, "")
	c.Checked(t0, "b", probe.Up, "")
	c.wantKinds(t, "member-up a", "member-up b", "panic-over")
	if got := c.picks(t0, 4); got != "abab" && got != "baba" {
		t.Error(got)
	}
	c.Set(t0, []Spec{{ID: "a", Weight: 1}, {ID: "b", Weight: 1, Drain: Drained}, {ID: "c", Weight: 0}})
	c.wantKinds(t, "member-drained b") // who is drained does not count as unwell
}

func TestSlowStart(t *testing.T) {
	c := core(Rules{SlowStart: 10 * time.Second}, "a b")
	share := func(now time.Duration) int { return strings.Count(c.picks(now, 1000), "b") }
	if n := share(t0); n != 500 {
		t.Errorf("the first members: b has %d of 1000", n)
	}
	c.Checked(t0, "b", probe.Down, "")
	c.Checked(t0, "b", probe.Up, "")
	for _, x := range []struct{ at, want int }{{0, 90}, {1, 90}, {5, 333}, {9, 473}, {10, 500}, {100, 500}} {
		if n := share(t0 + time.Duration(x.at)*time.Second); n < x.want-10 || n > x.want+10 {
			t.Errorf("after %d s b has %d of 1000, want %d", x.at, n, x.want)
		}
	}
	c.Set(t0, specs("a b c"))
	now := t0 + time.Hour
	c.Checked(now, "c", probe.Up, "")
	if n := strings.Count(c.picks(now, 1000), "c"); n < 40 || n > 55 {
		t.Errorf("a new member has %d of 1000 at its start", n)
	}
}

// TestPickNeverErrs drives a core at random, with all rules at once, and holds that it never picks whom it must not, never fails
// while somebody may serve, keeps every bound, counts requests right and loses nobody who waits.
func TestPickNeverErrs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		w := newWorld(t, r, round)
		for range 300 {
			w.step()
			w.check()
		}
		w.end()
	}
}

// world is a core with what a caller knows of it.
type world struct {
	t     *testing.T
	r     *rand.Rand
	c     *Core
	round int
	now   time.Duration
	seats []Seat
	wait  map[*waiting]*Ticket
	given []Grant
}

type waiting struct{ w *world }

func (x *waiting) Granted(Grant) {}

func newWorld(t *testing.T, r *rand.Rand, round int) *world {
	rules := Rules{
		Balance: []Balance{WRR, Least, Random, EWMA, Hash}[r.IntN(5)], LoadFactor: []float64{0, 1.25}[r.IntN(2)],
		SlowStart: time.Duration(r.IntN(2)) * time.Second, Failback: time.Duration(r.IntN(2)) * time.Second, Panic: r.IntN(2) * r.IntN(101),
		MaxRequests: r.IntN(2) * (1 + r.IntN(10)), Queue: r.IntN(2) * r.IntN(8), MaxRetries: r.IntN(3), Budget: 20,
	}
	if r.IntN(2) == 0 {
		rules.Outliers = Outliers{
			Consecutive: r.IntN(4), Interval: time.Second, Ejection: time.Second, MaxEjection: 5 * time.Second, MaxEjected: r.IntN(101),
			Deviations: 1.9, MinMembers: 2, MinRequests: 3,
		}
	}
	if r.IntN(2) == 0 {
		rules.Breaker = BreakerRules{Percent: 50, MinRequests: 2, Window: time.Second, Open: time.Second, Trials: 1 + r.IntN(3)}
	}
	w := &world{t: t, r: r, c: NewCore(uint64(round)), round: round, now: t0, wait: map[*waiting]*Ticket{}}
	w.c.SetRules(w.now, &rules)
	w.set()
	return w
}

func (w *world) set() {
	var all []Spec
	for i := range 5 {
		if w.r.IntN(6) == 0 {
			continue
		}
		all = append(all, Spec{
			ID: ID("m" + strconv.Itoa(i)), Weight: w.r.IntN(4) * 50, Drain: Drain(max(0, w.r.IntN(6)-3)), Backup: w.r.IntN(4) == 0,
			MaxRequests: w.r.IntN(2) * (1 + w.r.IntN(3)), Tags: []Tag{{byte(i)}},
		})
	}
	w.c.Set(w.now, all)
}

func (w *world) step() {
	c, r := w.c, w.r
	w.now += time.Duration(r.IntN(300)-20) * time.Millisecond // loops' clocks differ
	id := ID("m" + strconv.Itoa(r.IntN(5)))
	switch r.IntN(12) {
	case 0:
		c.Checked(w.now, id, []probe.State{probe.Up, probe.Down}[r.IntN(2)], "")
	case 1:
		if r.IntN(5) == 0 {
			w.set()
		}
	case 2:
		for x, ticket := range w.wait {
			if c.Cancel(ticket) {
				delete(w.wait, x)
			}
			break
		}
	case 3, 4, 5, 6:
		if len(w.seats) == 0 {
			return
		}
		i := r.IntN(len(w.seats))
		s := w.seats[i]
		w.seats = append(w.seats[:i], w.seats[i+1:]...)
		c.Report(w.now, s, Result{Failure: Failure(max(0, r.IntN(8)-3)), Status: []int{0, 200, 502}[r.IntN(3)], Head: time.Millisecond})
		c.Release(w.now, s)
	default:
		w.pick()
	}
}

func (w *world) pick() {
	c, r := w.c, w.r
	a := Ask{Key: r.Uint64(), Keyed: r.IntN(2) == 0, Tag: Tag{byte(r.IntN(6))}, Tagged: r.IntN(2) == 0, Priority: uint8(r.IntN(12))}
	if r.IntN(3) == 0 && len(c.members) > 0 {
		a.Tried = []*Member{c.members[r.IntN(len(c.members))]}
		if a.Retry = c.Retry(w.now); !a.Retry {
			return
		}
	}
	x := &waiting{w}
	if r.IntN(2) == 0 {
		a.Waiter = x
	}
	s, ticket, o := c.Pick(w.now, &a)
	w.take() // what became due came first
	if (o == Granted) != (s.Member != nil) || (o == Queued) != (ticket != nil) {
		w.t.Fatalf("round %d: outcome %d with seat %v and ticket %v", w.round, o, s, ticket)
	}
	switch o {
	case Granted:
		w.may(s.Member, &a)
		w.seats = append(w.seats, s)
	case Queued:
		w.wait[x] = ticket
	case NoMember, CircuitOpen:
		if c.usable > 0 {
			w.t.Fatalf("round %d: nobody, with %d usable", w.round, c.usable)
		}
	case QueueFull:
		if c.rules.Queue > c.queue.n && a.Waiter != nil {
			w.t.Fatalf("round %d: turned away with %d of %d waiting", w.round, c.queue.n, c.rules.Queue)
		}
	}
}

// may fails unless the member may have a request.
func (w *world) may(m *Member, a *Ask) {
	sticks := a.Tagged && len(m.Tags) > 0 && m.Tags[0] == a.Tag
	switch {
	case m.Drain == Drained, !sticks && !m.eligible(), m.gone, m.standing == out && !w.c.panicking:
		w.t.Fatalf("round %d: picked %+v", w.round, m)
	}
}

func (w *world) take() {
	_, grants := w.c.Take()
	for _, g := range grants {
		x := g.Waiter.(*waiting)
		if w.wait[x] == nil && g.Outcome == Granted {
			w.t.Fatalf("round %d: granted to one who does not wait", w.round)
		}
		delete(w.wait, x)
		if g.Outcome == Granted {
			w.seats = append(w.seats, g.Seat)
		}
	}
}

func (w *world) check() {
	w.take()
	c, active, retries := w.c, map[*Member]int{}, 0
	for _, s := range w.seats {
		active[s.Member]++
		if s.retry {
			retries++
		}
	}
	for _, ticket := range w.wait {
		if ticket.ask.Retry {
			retries++
		}
	}
	for _, m := range c.members {
		if m.active != active[m] {
			w.t.Fatalf("round %d: %s has %d under way, want %d", w.round, m.ID, m.active, active[m])
		}
	}
	if c.active != len(w.seats) || c.queue.n != len(w.wait) || c.retries != retries {
		w.t.Fatalf("round %d: %d under way, %d wait, %d retries; want %d, %d, %d", w.round, c.active, c.queue.n, c.retries, len(w.seats), len(w.wait), retries)
	}
	if c.rules.MaxRequests > 0 && c.active > c.rules.MaxRequests || c.queue.n > c.rules.Queue {
		w.t.Fatalf("round %d: %d under way, %d wait: %+v", w.round, c.active, c.queue.n, c.rules)
	}
	// One that has failed at the only member with room waits for another, until the next goes on.
	if next := c.nextTicket(); next != nil && len(next.ask.Tried) == 0 && (c.rules.MaxRequests == 0 || c.active < c.rules.MaxRequests) {
		w.t.Fatalf("round %d: one waits for whom there is room", w.round)
	}
}

// end gives all seats back and holds that nobody waits for ever then.
func (w *world) end() {
	for len(w.seats) > 0 {
		s := w.seats[0]
		w.seats = w.seats[1:]
		w.c.Report(w.now, s, Result{})
		w.c.Release(w.now, s)
		w.take()
	}
	for _, ticket := range w.wait {
		w.t.Fatalf("round %d: one waits in an idle pool: %+v", w.round, ticket)
	}
}

func TestBudget(t *testing.T) {
	b := Budget{}
	b.SetPercent(20)
	grant := func(now time.Duration, tries int) (n int) {
		for range tries {
			if b.Retry(now) {
				n++
			}
		}
		return n
	}
	if n := grant(t0, 1000); n != 100 {
		t.Errorf("%d retries without requests, want 100 in 10 s", n)
	}
	for range 1000 {
		b.Request(t0 + time.Second)
	}
	if n := grant(t0+time.Second, 1000); n != 200 {
		t.Errorf("%d more after 1000 requests, want 200", n)
	}
	if n := grant(t0+10*time.Second, 1000); n != 100 {
		t.Errorf("%d once the first second is forgotten, want 100", n)
	}
	if n := grant(t0+time.Hour, 1000); n != 100 {
		t.Errorf("%d after a silence, want 100", n)
	}
	if n := grant(t0, 1000); n != 0 {
		t.Errorf("%d after the clock went back, want 0", n)
	}
}
