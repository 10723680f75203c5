package pool

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/everup/everup/shared/probe"
	"github.com/everup/everup/shared/ring"
)

// simulation drives a core with requests that come by chance, and members that take their time.
type simulation struct {
	c      *Core
	r      *rand.Rand
	every  time.Duration // between two requests, in the mean
	takes  map[ID]time.Duration
	fails  map[ID]float64 // share of its requests
	key    func() uint64  // nil: none
	now    time.Duration
	under  ends
	got    map[ID]int
	failed int
	most   map[ID]int // under way
}

// end is when a request ends.
type end struct {
	at   time.Duration
	seat Seat
	res  Result
}

type ends []end

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(end)) }
func (e *ends) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func simulate(c *Core, every time.Duration, takes map[ID]time.Duration) *simulation {
	return &simulation{
		c: c, r: rand.New(rand.NewPCG(7, 7)), every: every, takes: takes, fails: map[ID]float64{}, now: t0, got: map[ID]int{}, most: map[ID]int{},
	}
}

// run sends n requests.
func (s *simulation) run(n int) {
	clear(s.got)
	s.failed = 0
	for range n {
		s.now += time.Duration(s.r.ExpFloat64() * float64(s.every))
		for len(s.under) > 0 && s.under[0].at <= s.now {
			e := heap.Pop(&s.under).(end)
			s.c.Report(e.at, e.seat, e.res)
			s.c.Release(e.at, e.seat)
		}
		a := Ask{}
		if s.key != nil {
			a.Key, a.Keyed = s.key(), true
		}
		seat, _, o := s.c.Pick(s.now, &a)
		if o != Granted {
			s.failed++
			continue
		}
		m := seat.Member
		s.got[m.ID]++
		s.most[m.ID] = max(s.most[m.ID], m.active)
		takes := time.Duration(s.r.ExpFloat64() * float64(s.takes[m.ID]))
		res := Result{Status: 200, Head: takes}
		if s.r.Float64() < s.fails[m.ID] {
			res.Status = 503
			s.failed++
		}
		heap.Push(&s.under, end{s.now + takes, seat, res})
	}
}

// A member ten times as slow gets much less than its share where latency counts; once it is fast again it has its share back.
func TestASlowMemberGetsLess(t *testing.T) {
	f := func(b Balance, most int) {
		t.Helper()
		takes := map[ID]time.Duration{"a": 10 * time.Millisecond, "b": 10 * time.Millisecond, "c": 10 * time.Millisecond, "d": 100 * time.Millisecond}
		s := simulate(core(Rules{Balance: b}, "a b c d"), time.Millisecond, takes)
		s.run(30_000)
		if s.got["d"] > most {
			t.Errorf("%s: the slow one has %d of 30000: %v", b, s.got["d"], s.got)
		}
		takes["d"] = 10 * time.Millisecond
		s.run(30_000) // 30 s: what was measured is forgotten
		s.run(30_000)
		if s.got["d"] < 6000 {
			t.Errorf("%s: the one that is well again has %d of 30000: %v", b, s.got["d"], s.got)
		}
	}
	f(Random, 2500)
	f(EWMA, 1500)
}

// A member that fails at once does not seem to be the fastest. (That it never has many under way still counts for it: under load it takes
// ejection or a circuit to keep it from its share.)
func TestAMemberThatFailsAtOnceAttractsNothing(t *testing.T) {
	for _, b := range []Balance{Random, EWMA} {
		s := simulate(core(Rules{Balance: b}, "a b c"), 50*time.Millisecond, map[ID]time.Duration{"a": 10e6, "b": 10e6, "c": 1e3})
		s.fails["c"] = 1
		s.run(30_000)
		if s.got["c"] > 7500 {
			t.Errorf("%s: %v", b, s.got)
		}
	}
}

// Weights are kept where members are equal, by all that balance at all.
func TestSharesFollowWeights(t *testing.T) {
	for _, b := range []Balance{WRR, Least, Random, EWMA, Hash} {
		s := simulate(core(Rules{Balance: b}, "a=100 b=200 c=300 d=0"), time.Hour, map[ID]time.Duration{"a": 1, "b": 1, "c": 1})
		s.key = rand.New(rand.NewPCG(3, 3)).Uint64
		if b == Random || b == EWMA {
			s.takes = map[ID]time.Duration{} // latency without chance
		}
		s.run(60_000)
		for id, want := range map[ID]float64{"a": 10_000, "b": 20_000, "c": 30_000, "d": 0} {
			if got := float64(s.got[id]); math.Abs(got-want) > 5*math.Sqrt(want) {
				t.Errorf("%s: %s has %v, want %v", b, id, got, want)
			}
		}
	}
}

// Two equal members under load share it evenly, whoever was measured faster by chance.
func TestEqualMembersShareALoad(t *testing.T) {
	for _, b := range []Balance{Random, EWMA} {
		s := simulate(core(Rules{Balance: b}, "a b"), time.Millisecond, map[ID]time.Duration{"a": 20e6, "b": 20e6})
		s.run(40_000)
		if n := s.got["a"]; n < 17_000 || n > 23_000 {
			t.Errorf("%s: %v", b, s.got)
		}
	}
}

// Of one key that everybody asks for, no member has more under way than the bound; without a bound one has all.
func TestBoundedLoad(t *testing.T) {
	f := func(factor float64) *simulation {
		s := simulate(core(Rules{Balance: Hash, LoadFactor: factor}, "a b c d"), time.Millisecond,
			map[ID]time.Duration{"a": 100e6, "b": 100e6, "c": 100e6, "d": 100e6})
		s.key = func() uint64 { return 42 }
		for range 20_000 {
			s.run(1)
			for _, m := range s.c.members {
				if bound := math.Ceil(factor * float64(s.c.active) / 4); factor > 0 && float64(m.active) > bound && s.got[m.ID] > 0 {
					t.Fatalf("%s has %d of %d under way, the bound is %v", m.ID, m.active, s.c.active, bound)
				}
			}
		}
		return s
	}
	for _, factor := range []float64{1.01, 1.25, 2} {
		if s := f(factor); len(s.most) < 3 && factor < 2 {
			t.Errorf("factor %v: most under way %v", factor, s.most)
		}
	}
	if s := f(0); len(s.most) != 1 {
		t.Errorf("without a bound: %v", s.most)
	}
}

// A key's member is that of every process with the same members (ring.Rendezvous), and only the keys that must move do.
func TestHashMovesLittle(t *testing.T) {
	at := func(members string) func(uint64) string {
		c := core(Rules{Balance: Hash}, members)
		return func(key uint64) string {
			s, _, _ := c.Pick(t0, &Ask{Key: key, Keyed: true})
			c.Release(t0, s)
			return s.Member.Name()
		}
	}
	all, without, grown := at("a b c=50 d=200"), at("a b d=200"), at("a b=150 c=50 d=200")
	r, err := ring.NewRendezvous([]ring.Backend{{Name: "a", Weight: 100}, {Name: "b", Weight: 100}, {Name: "c", Weight: 50}, {Name: "d", Weight: 200}})
	if err != nil {
		t.Fatal(err)
	}
	moved := 0
	for key := range uint64(20_000) {
		was := all(key)
		if want := r.Backends()[r.Pick(key)].Name; was != want {
			t.Fatalf("key %d is at %s, ring says %s", key, was, want)
		}
		if now := without(key); now != was && was != "c" {
			t.Fatalf("c left and key %d went from %s to %s", key, was, now)
		}
		if now := grown(key); now != was {
			if moved++; now != "b" {
				t.Fatalf("b grew and key %d went from %s to %s", key, was, now)
			}
		}
	}
	if moved < 1000 || moved > 2200 { // 50/500 of them, less what b had
		t.Errorf("b grew by a ninth of all and %d of 20000 keys moved", moved)
	}
}

// A request without a key goes in turn.
func TestHashWithoutAKey(t *testing.T) {
	if got := core(Rules{Balance: Hash}, "a b c").picks(t0, 6); got != "abcabc" {
		t.Error(got)
	}
}

func TestPeakEWMA(t *testing.T) {
	var l latency
	f := func(now, took time.Duration, peak, mean float64) {
		t.Helper()
		if took > 0 {
			l.observe(now, took)
		}
		if p, m := l.peakAt(now)/1e6, l.meanAt(now)/1e6; math.Abs(p-peak) > 0.01*peak || math.Abs(m-mean) > 0.01*mean {
			t.Errorf("at %v: peak %.2f ms, mean %.2f ms", now, p, m)
		}
	}
	f(0, 10e6, 10, 10)
	f(10*time.Second, 10e6, 10, 10)
	f(20*time.Second, 110e6, 110, 10/math.E+110*(1-1/math.E)) // at once
	f(30*time.Second, 0, 110/math.E, (10/math.E+110*(1-1/math.E))/math.E)
	f(30*time.Second, 10e6, 110/math.E+10*(1-1/math.E), (10/math.E+110*(1-1/math.E))/math.E+10*(1-1/math.E))
	f(25*time.Second, 0, 110/math.E+10*(1-1/math.E), (10/math.E+110*(1-1/math.E))/math.E+10*(1-1/math.E)) // a clock behind
}

func TestPicksAllocateNothing(t *testing.T) {
	for _, b := range []Balance{WRR, Least, Random, EWMA, Hash} {
		c := core(Rules{Balance: b, LoadFactor: 1.25, Breaker: BreakerRules{Percent: 50, Window: time.Second}}, "a b c/5 d=50")
		n := testing.AllocsPerRun(1000, func() { round(c, t0) })
		if n != 0 {
			t.Errorf("%s: %v allocations", b, n)
		}
	}
}

// round is what a request without trouble asks of a core.
func round(c *Core, now time.Duration) {
	s, _, _ := c.Pick(now, &Ask{Key: uint64(now), Keyed: true})
	c.Report(now, s, Result{Status: 200, Head: time.Millisecond})
	c.Release(now, s)
}

// BenchmarkRequest is Pick, Report and Release of the pool, with their locks.
func BenchmarkRequest(b *testing.B) {
	for _, balance := range []Balance{WRR, Least, Random, EWMA, Hash} {
		for _, n := range []int{4, 16} {
			b.Run(fmt.Sprint(balance, "-", n), func(b *testing.B) {
				p := benchPool(balance, n)
				now := time.Now()
				b.ReportAllocs()
				for i := uint64(0); b.Loop(); i++ {
					now = now.Add(10 * time.Microsecond)
					request(p, now, i)
				}
			})
		}
	}
}

// BenchmarkContended is the same by all processors at once.
func BenchmarkContended(b *testing.B) {
	p := benchPool(EWMA, 4)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		now := time.Now()
		for i := uint64(0); pb.Next(); i++ {
			now = now.Add(10 * time.Microsecond)
			request(p, now, i)
		}
	})
}

func request(p *Pool, now time.Time, key uint64) {
	c, _, _ := p.Pick(now, &Ask{Key: key, Keyed: true})
	p.Release(now, c.Seat, Result{Status: 200, Head: time.Millisecond}, false)
}

// benchPool is a pool without checks.
func benchPool(balance Balance, n int) *Pool {
	p := &Pool{origin: time.Now(), core: NewCore(1)}
	p.core.SetRules(0, &Rules{Balance: balance, LoadFactor: 1.25, Budget: 20})
	var specs []Spec
	for i := range n {
		specs = append(specs, Spec{ID: ID(fmt.Sprint("10.0.0.", i, ":80")), Weight: 100})
	}
	p.core.Set(0, specs)
	for _, m := range p.core.members {
		m.place = &Backend{}
		p.core.Checked(0, m.ID, probe.Up, "")
	}
	p.core.Take()
	return p
}
