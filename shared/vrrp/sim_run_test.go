package vrrp

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// disturbance is an entry of a schedule.
type disturbance struct {
	at   time.Duration // in intervals of the slowest router, a thousandth each
	what int
	a, b int
	n    int // how much
}

// what disturbances there are. Each has an equal chance.
var disturbances = []struct {
	name string
	do   func(s *simulation, d disturbance)
}{
	{"cut both ways", func(s *simulation, d disturbance) { s.setCut(d.a, d.b, true); s.setCut(d.b, d.a, true) }},
	{"cut one way", func(s *simulation, d disturbance) { s.setCut(d.a, d.b, true) }},
	{"partition", func(s *simulation, d disturbance) {
		for a := range s.routers {
			for b := range s.routers {
				s.setCut(a, b, d.n>>a&1 != d.n>>b&1)
			}
		}
	}},
	{"heal", func(s *simulation, _ disturbance) { s.heal() }},
	{"heal", func(s *simulation, _ disturbance) { s.heal() }},
	{"loss", func(s *simulation, d disturbance) { s.loss = []float64{0, 0.05, 0.3, 0.7}[d.n%4] }},
	{"no loss", func(s *simulation, _ disturbance) { s.loss = 0 }},
	{"freeze process", func(s *simulation, d disturbance) { s.freeze(d, process) }},
	{"freeze machine", func(s *simulation, d disturbance) { s.freeze(d, machine) }},
	{"crash", func(s *simulation, d disturbance) {
		r := s.routers[d.a]
		r.up = false
		for i := range r.held {
			s.hold(r, i, false)
		}
	}},
	{"boot", func(s *simulation, d disturbance) {
		if r := s.routers[d.a]; !r.up {
			s.boot(r, false)
			s.check.changed(s.now)
		}
	}},
	{"boot", func(s *simulation, d disturbance) {
		if r := s.routers[d.a]; !r.up {
			s.boot(r, false)
			s.check.changed(s.now)
		}
	}},
	{"restart in place", func(s *simulation, d disturbance) {
		if r := s.routers[d.a]; r.up && r.frozen == running {
			s.boot(r, r.held[0])
			s.check.thaw(r.id)
		}
	}},
	{"clock leaps", func(s *simulation, d disturbance) {
		r := s.routers[d.a]
		r.clock += time.Duration(d.n%10) * s.check.interval() / 2
		if r.up && r.frozen == running {
			s.check.thaw(r.id)
			s.book(r)
		}
	}},
	{"priority", func(s *simulation, d disturbance) {
		s.order(d, Event{Kind: EvPriority, Priority: Priority(1 + d.n%254)})
	}},
	{"fault", func(s *simulation, d disturbance) { s.order(d, Event{Kind: EvFault}) }},
	{"fault cleared", func(s *simulation, d disturbance) { s.order(d, Event{Kind: EvFaultCleared}) }},
	{"startup", func(s *simulation, d disturbance) { s.order(d, Event{Kind: EvStartup}) }},
	{"shutdown", func(s *simulation, d disturbance) { s.order(d, Event{Kind: EvShutdown}) }},
	{"release", func(s *simulation, d disturbance) { s.order(d, Event{Kind: EvRelease}) }},
	{"switch over", func(s *simulation, d disturbance) { s.order(d, Event{Kind: EvSwitchOver}) }},
	{"take over", func(s *simulation, d disturbance) { s.order(d, Event{Kind: EvTakeOver}) }},
	{"address lost", func(s *simulation, d disturbance) { s.order(d, Event{Kind: EvAddressLost}) }},
}

// order gives an event to a router that runs; one that does not is as if nothing were asked.
func (s *simulation) order(d disturbance, ev Event) {
	r := s.routers[d.a]
	if r.up && r.frozen == running {
		s.all(r, ev)
	}
}

func (s *simulation) setCut(a, b int, cut bool) {
	if a != b && s.cut[a][b] != cut {
		s.cut[a][b] = cut
		s.check.disturb(a, b)
	}
}

func (s *simulation) heal() {
	for a := range s.routers {
		for b := range s.routers {
			s.setCut(a, b, false)
		}
	}
}

func (s *simulation) freeze(d disturbance, f freeze) {
	r := s.routers[d.a]
	if !r.up || r.frozen != running {
		return
	}
	r.frozen = f
	s.check.thaw(r.id)
	machines := [...]*Machine{r.machine, nil}
	if r.group != nil {
		machines[1] = r.group.Member(0)
	}
	length := time.Duration(d.n%1000) * s.check.interval() * 12 / 1000
	s.after(length, simEvent{act: func() {
		same := r.machine == machines[0] && (r.group == nil || r.group.Member(0) == machines[1])
		if r.up && r.frozen == f && same {
			s.trace("%d thaws", r.id)
			s.thaw(r)
			s.check.thaw(r.id)
		}
	}})
}

// schedule returns what happens in a run.
func schedule(seed uint64, routers int) []disturbance {
	rng := rand.New(rand.NewPCG(seed, 2))
	var out []disturbance
	at := 0
	for range 5 + rng.IntN(20) {
		at += rng.IntN(8000)
		out = append(out, disturbance{time.Duration(at), rng.IntN(len(disturbances)), rng.IntN(routers), rng.IntN(routers), rng.IntN(1 << 20)})
	}
	return out
}

// simulate does a run and returns what was wrong. without are the entries of the schedule that are left out.
func simulate(seed uint64, members int, without map[int]bool, tell func(string, ...any)) *simulation {
	s := newSimulation(seed, members)
	s.tell = tell
	unit := s.check.interval() / 1000
	end := time.Duration(0)
	for i, d := range schedule(seed, len(s.routers)) {
		end = d.at * unit
		if without[i] {
			continue
		}
		s.after(d.at*unit, simEvent{act: func() {
			s.trace("--- %s of %d (%d, %d)", disturbances[d.what].name, d.a, d.b, d.n)
			disturbances[d.what].do(s, d)
			s.check.changed(s.now)
		}})
	}
	for _, r := range s.routers {
		s.after(s.upTo(s.check.interval()), simEvent{act: func() {
			if !r.up {
				s.boot(r, false)
				s.check.changed(s.now)
			}
		}})
	}
	s.run(end + 4000*unit)
	s.settle()
	return s
}

// settle ends all disturbances, waits, and looks who holds the addresses: one router, all of them.
func (s *simulation) settle() {
	s.heal()
	s.loss = 0
	s.run(s.now + 13*s.check.interval()) // the longest freeze
	s.heal()
	wait := 12 * s.check.interval() // a release or a preemption delay and some elections, one after the other
	if s.routers[0].cfgs[0].Version == V2 {
		wait += 4 * time.Second
	}
	s.run(s.now + wait)
	if s.check.failure != "" {
		return
	}
	able, holders := 0, 0
	for _, r := range s.routers {
		if r.up && r.able() {
			able++
		}
		if r.up && slices.Contains(r.held, true) {
			holders++
			if slices.Contains(r.held, false) {
				s.check.fail("router %d holds some addresses of its group only: %v", r.id, r.held)
			}
		}
	}
	if holders != min(able, 1) {
		s.check.fail("of %d able routers %d hold the addresses in the end", able, holders)
	}
}

// seeds is the -seeds flag: how many schedules TestSimulation goes through.
var seeds = flag.Uint64("seeds", 1500, "random schedules of the simulation")

// TestSimulation lets routers suffer thousands of random schedules.
func TestSimulation(t *testing.T) {
	seeds := *seeds
	if testing.Short() {
		seeds = min(seeds, 300)
	}
	f := func(members int, seeds uint64) {
		takeovers, maxBoth, maxNobody := 0, time.Duration(0), time.Duration(0)
		for seed := range seeds {
			s := simulate(seed, members, nil, nil)
			if s.check.failure != "" {
				t.Fatal(explain(seed, members))
			}
			takeovers += s.check.takeovers
			maxBoth, maxNobody = max(maxBoth, s.check.maxBoth), max(maxNobody, s.check.maxNobody)
		}
		t.Logf("%d members, %d seeds: %d takeovers; two holders for at most %d, nobody for at most %d thousandths of the bound",
			members, seeds, takeovers, maxBoth, maxNobody)
		if takeovers < int(seeds)*2 || members == 1 && (maxBoth < 100 || maxNobody < 700) {
			t.Error("the schedules disturb too little")
		}
	}
	f(1, seeds)
	f(2, seeds/4)
}

// TestFrozenBackupTakesNothing: while an Active router is well and its adverts arrive, a Backup whose process stands
// still for any time never has the addresses, not for an instant: the adverts lie in its socket.
func TestFrozenBackupTakesNothing(t *testing.T) {
	for seed := range uint64(200) {
		s := newSimulation(seed, 1)
		for _, r := range s.routers {
			s.boot(r, false)
		}
		unit := s.check.interval()
		s.run(10 * unit)
		holder := slices.IndexFunc(s.routers, func(r *simRouter) bool { return r.held[0] })
		before := s.check.takeovers
		for i := range 40 {
			if a := s.rng.IntN(len(s.routers)); a != holder {
				s.after(time.Duration(i)*unit, simEvent{act: func() {
					s.freeze(disturbance{a: a, n: s.rng.IntN(1000)}, process)
				}})
			}
		}
		s.run(60 * unit)
		if s.check.failure != "" || s.check.takeovers != before {
			t.Fatalf("seed %d: %d takeovers, then %d: %s\n%s", seed, before, s.check.takeovers, s.check.failure, s.describe())
		}
	}
}

// explain leaves out of a failing schedule what the failure does not need, and returns the trace of the rest.
func explain(seed uint64, members int) string {
	without := map[int]bool{}
	for again := true; again; {
		again = false
		for i := range schedule(seed, 2) {
			if without[i] {
				continue
			}
			without[i] = true
			if simulate(seed, members, without, nil).check.failure == "" {
				delete(without, i)
			} else {
				again = true
			}
		}
	}
	var lines []string
	last := ""
	s := simulate(seed, members, without, func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		if _, text, _ := strings.Cut(line, "  "); text != last { // not each of many adverts
			lines, last = append(lines, line), text
		}
	})
	if n := len(lines) - 120; n > 0 {
		lines = lines[n:]
	}
	return fmt.Sprintf("seed %d, %d members, without %d of the disturbances:\n%s%s\n%s",
		seed, members, len(without), s.describe(), strings.Join(lines, "\n"), s.check.failure)
}
