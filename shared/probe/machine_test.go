package probe

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/labtest"
)

// TestMachineScript runs testdata/machine/*.txt. Commands:
//
//	new key=value…      a machine; times in seconds
//	set key=value…      Configure
//	ok|warn|fail [n]    n results, each at the time the machine wants
//	wait seconds        time passes without a result
func TestMachineScript(t *testing.T) {
	labtest.Script(t, "testdata/machine", func(t *testing.T) labtest.Runner {
		s := &machineScript{t: t, now: time.Unix(0, 0).UTC()}
		return s.run
	})
}

type machineScript struct {
	t   *testing.T
	m   *Machine
	cfg Config
	now time.Time
}

func (s *machineScript) run(cmd string, args []string, _ string) string {
	switch cmd {
	case "new":
		s.cfg = testConfig()
		s.set(args)
		s.m = NewMachine(s.cfg)
		return s.line()
	case "set":
		s.set(args)
		s.m.Configure(s.cfg)
		return s.line()
	case "wait":
		s.now = s.now.Add(time.Duration(s.number(args[0])) * time.Second)
		return s.line()
	}
	n := 1
	if len(args) > 0 {
		n = s.number(args[0])
	}
	var out []string
	for range n {
		out = append(out, s.step(Result{OK: cmd != "fail", Warn: cmd == "warn"}))
	}
	return strings.Join(out, "\n")
}

func (s *machineScript) step(r Result) string {
	s.now = s.m.NextAt(s.now, 0.5)
	c, changed := s.m.Step(s.now, r)
	out := s.line()
	if changed {
		out += fmt.Sprintf("  change %s->%s warn=%v suppressed=%v", c.From, c.To, c.Warn, c.Suppressed)
	}
	return out
}

func (s *machineScript) line() string {
	out := fmt.Sprintf("%6.1fs %s next=%s", s.now.Sub(time.Unix(0, 0)).Seconds(), s.m.State(), s.m.Next())
	if s.cfg.Flap != nil {
		out += fmt.Sprintf(" points=%.0f", s.m.points.at(s.now, s.cfg.Flap))
	}
	return out
}

func (s *machineScript) set(args []string) {
	for _, a := range args {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "rise":
			s.cfg.Rise = s.number(value)
		case "fall":
			s.cfg.Fall = s.number(value)
		case "down":
			s.cfg.DownInterval = conf.Duration(s.number(value)) * conf.Duration(time.Second)
		case "start":
			s.cfg.Start = State(value)
		case "flap":
			s.cfg.Flap = nil
			if value == "on" {
				s.cfg.Flap = testFlap()
			}
		default:
			s.t.Fatalf("unknown setting %q", a)
		}
	}
}

func (s *machineScript) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func testConfig() Config {
	const s = conf.Duration(time.Second)
	return Config{Type: TCP, Interval: 2 * s, Timeout: s, Rise: 2, Fall: 3, Jitter: 10, Start: Unknown}
}

func testFlap() *FlapConfig {
	const m = conf.Duration(time.Minute)
	return &FlapConfig{HalfLife: m, Suppress: 3500, Reuse: 1500, MaxSuppress: 5 * m}
}

// TestMachineProperties feeds random results to random machines and compares with the rules, told once more by
// looking at the whole history.
func TestMachineProperties(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		cfg := testConfig()
		cfg.Rise, cfg.Fall = 1+rnd.IntN(4), 1+rnd.IntN(4)
		cfg.Jitter = rnd.IntN(51)
		cfg.Start = []State{Unknown, Up, Down}[rnd.IntN(3)]
		m := NewMachine(cfg)
		checkMachine(t, seed, rnd, cfg, m)
	}
}

func checkMachine(t *testing.T, seed uint64, rnd *rand.Rand, cfg Config, m *Machine) {
	t.Helper()
	var history []bool
	now := time.Unix(0, 0)
	sticky := rnd.Float64() // how likely a result is like the one before
	for i := range 400 {
		ok := rnd.IntN(2) == 0
		if i > 0 && rnd.Float64() < sticky {
			ok = history[i-1]
		}
		history = append(history, ok)
		before := m.State()
		base := m.Next()
		next := m.NextAt(now, rnd.Float64())
		if d, off := next.Sub(now), time.Duration(float64(base)*float64(cfg.Jitter)/100)+1; d < base-off || d > base+off {
			t.Fatalf("seed %d step %d: next in %v, interval %v, jitter %d %%", seed, i, d, base, cfg.Jitter)
		}
		now = next
		c, changed := m.Step(now, Result{OK: ok})
		want := wantState(before, history, cfg)
		if m.State() != want {
			t.Fatalf("seed %d step %d: %s -> %s, want %s (rise %d, fall %d) after %v",
				seed, i, before, m.State(), want, cfg.Rise, cfg.Fall, history[max(0, i-5):])
		}
		if changed != (before != want) || changed && (c.From != before || c.To != want) {
			t.Fatalf("seed %d step %d: %s -> %s made change %v %+v", seed, i, before, want, changed, c)
		}
	}
}

// wantState tells the rule from the history alone.
func wantState(before State, history []bool, cfg Config) State {
	last := history[len(history)-1]
	run := 0
	for i := len(history) - 1; i >= 0 && history[i] == last; i-- {
		run++
	}
	switch {
	case before == Unknown && last, before == Down && last && run >= cfg.Rise:
		return Up
	case before == Unknown, before == Up && !last && run >= cfg.Fall:
		return Down
	}
	return before
}

// TestDampingEnds flaps a machine at random, then lets it be well: it must come back within MaxSuppress.
func TestDampingEnds(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		cfg := testConfig()
		cfg.Flap = &FlapConfig{
			HalfLife: conf.Duration(1+rnd.IntN(300)) * conf.Duration(time.Second),
			Suppress: 1000 + rnd.IntN(5000), MaxSuppress: conf.Duration(1+rnd.IntN(900)) * conf.Duration(time.Second),
		}
		cfg.Flap.Reuse = 1 + rnd.IntN(cfg.Flap.Suppress-1)
		m := NewMachine(cfg)
		now := time.Unix(0, 0)
		for range 50 + rnd.IntN(500) {
			now = m.NextAt(now, rnd.Float64())
			m.Step(now, Result{OK: rnd.IntN(2) == 0})
			if m.Suppressed() && m.State() != Down {
				t.Fatalf("seed %d: suppressed and %s", seed, m.State())
			}
		}
		if left := timeToUp(m, now); left > dampingLimit(cfg) {
			t.Errorf("seed %d: %v until up, limit %v, %+v", seed, left, dampingLimit(cfg), *cfg.Flap)
		}
	}
}

// timeToUp returns how long successes take to bring m up.
func timeToUp(m *Machine, start time.Time) time.Duration {
	now := start
	for range 1_000_000 {
		if m.State() == Up {
			break
		}
		now = m.NextAt(now, 0.5)
		m.Step(now, Result{OK: true})
	}
	return now.Sub(start)
}

// dampingLimit is MaxSuppress, or longer where the cap may not be below Suppress, and the time to rise.
func dampingLimit(cfg Config) time.Duration {
	f := cfg.Flap
	bySuppress := math.Log2(float64(f.Suppress)/float64(f.Reuse)) * f.HalfLife.Std().Seconds()
	return max(f.MaxSuppress.Std(), time.Duration(bySuppress*1e9)) + 3*cfg.Interval.Std()
}
