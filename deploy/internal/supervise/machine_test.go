package supervise

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

var kinds = map[string]InputKind{"tick": Tick, "ready": Ready, "exited": Exited, "stop": Stop}

// play answers "<event> [child] t=SECONDS [life=N] [exit=…]" with the effects and the machine after it.
func play(t *testing.T) labtest.Runner {
	start := time.Unix(1000, 0)
	m := NewMachine([]Child{{"store", 0}, {"web1", 1}, {"web2", 1}, {"front", 2}}, Timings{})
	return func(cmd string, args []string, _ string) string {
		in, at := Input{Kind: kinds[cmd], Life: 1, Rand: 0.5}, 0.0
		for _, a := range args {
			key, value, isPair := strings.Cut(a, "=")
			switch {
			case !isPair:
				in.Child = a
			case key == "t":
				fmt.Sscan(value, &at)
			case key == "life":
				fmt.Sscan(value, &in.Life)
			case key == "exit":
				in.Exit = value
			default:
				t.Fatalf("no such argument: %s", a)
			}
		}
		now := start.Add(time.Duration(at * float64(time.Second)))
		var b strings.Builder
		for _, e := range m.Step(now, in) {
			b.WriteString(describe(e) + "\n")
		}
		b.WriteString(m.String())
		if next := m.Next(); !next.IsZero() {
			fmt.Fprintf(&b, " next=%.1f", next.Sub(start).Seconds())
		}
		if m.Err() != nil {
			fmt.Fprintf(&b, "\n%v", m.Err())
		}
		return b.String() + "\n"
	}
}

func describe(e Effect) string {
	name := [...]string{"spawn", "terminate", "kill", "died", "restarted", "all-ready", "end"}[e.Kind]
	switch e.Kind {
	case AllReady, End:
		return name
	case Restarted:
		return fmt.Sprintf("%s %s after=%s fails=%d exit=%s", name, e.Child, e.Restart.After, e.Restart.Fails, e.Restart.Exit)
	}
	return fmt.Sprintf("%s %s life=%d", name, e.Child, e.Life)
}

func TestMachine(t *testing.T) { labtest.Script(t, "testdata/machine", play) }

// TestMachineEnds checks, over random courses of events, that a stop always ends everything and that no child runs twice.
func TestMachineEnds(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		m := NewMachine([]Child{{"a", 0}, {"b", 1}, {"c", 1}, {"d", 3}}, Timings{})
		sim := &sim{m: m, now: time.Unix(1000, 0), alive: map[string]int{}, t: t}
		sim.step(Input{})
		for range rnd.IntN(60) {
			sim.random(rnd)
		}
		for range 50 { // the children obey now
			sim.step(Input{Kind: Stop})
			sim.reap()
		}
		if !sim.ended || len(sim.alive) != 0 {
			t.Fatalf("seed %d: ended %t, alive %v, %s", seed, sim.ended, sim.alive, m)
		}
	}
}

// sim is a world of processes for a machine.
type sim struct {
	t     *testing.T
	m     *Machine
	now   time.Time
	alive map[string]int // life by name
	dying []string       // were signalled
	ended bool
}

func (s *sim) step(in Input) {
	for _, e := range s.m.Step(s.now, in) {
		switch e.Kind {
		case Spawn:
			if s.ended || s.alive[e.Child] != 0 {
				s.t.Fatalf("%s is started while it runs, or after the end: %s", e.Child, s.m)
			}
			s.alive[e.Child] = e.Life
		case Terminate, Kill:
			s.dying = append(s.dying, e.Child)
		case End:
			if len(s.alive) != 0 {
				s.t.Fatalf("the end with %v alive", s.alive)
			}
			s.ended = true
		}
	}
}

// reap lets what was signalled die.
func (s *sim) reap() {
	for _, c := range s.dying {
		s.die(c)
	}
	s.dying = nil
}

func (s *sim) die(child string) {
	if life := s.alive[child]; life != 0 {
		delete(s.alive, child)
		s.step(Input{Kind: Exited, Child: child, Life: life, Exit: "exit code 1", Rand: 0.5})
	}
}

func (s *sim) random(rnd *rand.Rand) {
	child := string("abcd"[rnd.IntN(4)])
	switch rnd.IntN(6) {
	case 0, 1, 2:
		s.step(Input{Kind: Ready, Child: child, Life: max(s.alive[child], rnd.IntN(3))})
	case 3:
		s.die(child)
	case 4:
		if next := s.m.Next(); !next.IsZero() && next.After(s.now) {
			s.now = next
		}
		s.step(Input{})
	case 5:
		s.reap()
	}
}
