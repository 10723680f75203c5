package probe

import (
	"time"
)

// State says whether a target may serve.
type State string

// The states. A target is Unknown only before its first result.
const (
	Unknown State = "unknown"
	Up      State = "up"
	Down    State = "down"
)

// Change is a step from one state to another, or a change of what goes with it (warning, suppression).
type Change struct {
	At         time.Time
	From, To   State  // equal when only Warn or Suppressed changed
	Warn       bool   // the target is up and its last success warned
	Suppressed bool   // the target is held down for flapping
	Result     Result // the result that made the change
}

// Machine decides from the results of one target's checks whether it is up. It is pure: it knows only the
// times it is given, which must not go backwards, and it is not safe for concurrent use.
//
//   - Unknown: the first result decides at once.
//   - Up becomes Down after Fall failures in a row.
//   - Down becomes Up after Rise successes in a row.
//   - With damping, a target that falls too often is suppressed: State says Down, while rise and fall go on
//     being counted underneath, until its points have decayed to Reuse.
type Machine struct {
	cfg        Config
	state      State // by rise and fall alone
	run        int   // results in a row that speak against state; 0 when settled
	warn       bool  // of the last success
	suppressed bool
	points     points
	told       State // what the last Change (or the start) said
}

// NewMachine returns a Machine in the state that cfg.Start names.
func NewMachine(cfg Config) *Machine {
	m := &Machine{state: cfg.Start}
	if m.state == "" {
		m.state = Unknown
	}
	m.told = m.state
	m.Configure(cfg)
	return m
}

// Configure changes the rules and keeps the state. Damping that is no longer asked for ends with the next
// result.
func (m *Machine) Configure(cfg Config) {
	m.cfg = cfg
	if cfg.Flap == nil {
		m.points = points{}
	}
}

// State returns what the target counts as: Down while it is suppressed.
func (m *Machine) State() State {
	if m.suppressed {
		return Down
	}
	return m.state
}

// Warn reports whether the target is up and its last success warned.
func (m *Machine) Warn() bool { return m.warn && m.State() == Up }

// Suppressed reports whether the target is held down for flapping.
func (m *Machine) Suppressed() bool { return m.suppressed }

// Settled reports whether the last result agreed with the state.
func (m *Machine) Settled() bool { return m.run == 0 && m.state != Unknown }

// Step takes the result of the check that ended at now. It returns the change it made, if any.
func (m *Machine) Step(now time.Time, r Result) (c Change, changed bool) {
	warned, held := m.Warn(), m.suppressed
	fell := m.count(r.OK)
	if r.OK {
		m.warn = r.Warn // a failure that does not take the target down leaves the warning as it is
	}
	m.damp(now, fell)
	c = Change{At: now, From: m.told, To: m.State(), Warn: m.Warn(), Suppressed: m.suppressed, Result: r}
	m.told = c.To
	return c, c.From != c.To || c.Warn != warned || c.Suppressed != held
}

// count applies rise and fall. It reports whether the state fell from Up to Down.
func (m *Machine) count(ok bool) (fell bool) {
	next := Down
	need := max(m.cfg.Fall, 1)
	if ok {
		next, need = Up, max(m.cfg.Rise, 1)
	}
	if next == m.state {
		m.run = 0
		return false
	}
	m.run++
	if m.state != Unknown && m.run < need {
		return false
	}
	fell = m.state == Up
	m.state, m.run = next, 0
	return fell
}

// damp adds the points of a fall, and begins or ends the suppression.
func (m *Machine) damp(now time.Time, fell bool) {
	f := m.cfg.Flap
	if f == nil {
		m.suppressed = false
		return
	}
	if fell {
		m.points.add(now, f)
	}
	p := m.points.at(now, f)
	switch {
	case !m.suppressed && fell && p >= float64(f.Suppress):
		m.suppressed = true
	case m.suppressed && p <= float64(f.Reuse):
		m.suppressed = false
	}
}

// Next returns the interval, before jitter, until the next check.
func (m *Machine) Next() time.Duration {
	switch {
	case !m.Settled():
		return m.cfg.fast()
	case m.state == Down:
		return m.cfg.down()
	}
	return m.cfg.Interval.Std()
}

// NextAt returns when the next check is due after one that began at start. rnd in [0, 1) places it within
// the jitter: 0 earliest, 0.5 on time.
func (m *Machine) NextAt(start time.Time, rnd float64) time.Time {
	d := float64(m.Next())
	d += d * float64(m.cfg.Jitter) / 100 * (2*rnd - 1)
	return start.Add(time.Duration(d))
}
