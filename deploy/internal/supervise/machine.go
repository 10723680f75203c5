package supervise

import (
	"fmt"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/run"
)

// phase is where a child stands.
type phase uint8

const (
	idle     phase = iota // not started yet, or ended for good
	starting              // runs, not ready yet
	ready                 // runs and was ready
	pausing               // died; waits for its restart
	stopping              // was told to end
)

// child is one process of the machine.
type child struct {
	name    string
	rank    int
	phase   phase
	life    int       // counts the starts, so that news of an earlier life is not taken for the present one
	began   time.Time // this life's start
	due     time.Time // when the phase must end: readiness, restart, or death
	killed  bool      // SIGKILL was sent in this phase
	died    time.Time // the last death, while it is not ready again
	exit    string    // how the last life ended
	backoff run.Backoff
}

func (c *child) running() bool { return c.phase == starting || c.phase == ready || c.phase == stopping }

// stage is where the whole stands.
type stage uint8

const (
	rising  stage = iota // ranks are started one by one
	up                   // all were ready once
	falling              // ranks are stopped one by one, from the highest
	ended
)

// Machine decides what is done to the children. It keeps no clock and no random source. It is not safe for concurrent use.
type Machine struct {
	children []*child
	timings  Timings
	stage    stage
	rank     int // the rank that rises or falls
	hurry    bool
	cause    error
	failed   string // the child that ended the start
}

// Input is what happened; the zero Input says only that time has passed.
type Input struct {
	Kind  InputKind
	Child string
	Life  int     // of the child, as Spawn gave it
	Exit  string  // Exited: how it ended
	Rand  float64 // Exited: a random number in [0, 1)
}

// InputKind is the kind of an Input.
type InputKind uint8

// The kinds of input.
const (
	Tick   InputKind = iota
	Ready            // the child says that it is ready
	Exited           // the child ended, or could not be started
	Stop             // the operator asks for an end; the second time, for an end at once
)

// Effect is what the shell has to do.
type Effect struct {
	Kind    EffectKind
	Child   string
	Life    int
	Restart Restart // Restarted
}

// EffectKind is the kind of an Effect.
type EffectKind uint8

// The kinds of effect.
const (
	Spawn     EffectKind = iota // start the child and watch its readiness
	Terminate                   // send SIGTERM
	Kill                        // send SIGKILL
	Died                        // say that the child died and will be back
	Restarted                   // say that it is back
	AllReady                    // say that all are ready for the first time
	End                         // nothing runs any more
)

// Child names a process and its place: lower ranks are started first and stopped last.
type Child struct {
	Name string
	Rank int
}

// NewMachine returns a machine for the children; none is started before the first Step.
func NewMachine(children []Child, t Timings) *Machine {
	m := &Machine{timings: t.filled(), rank: -1}
	for _, c := range children {
		m.children = append(m.children, &child{name: c.Name, rank: c.Rank, backoff: run.Backoff{
			Min: m.timings.Min, Max: m.timings.Max, Healthy: m.timings.Healthy, Jitter: 0.2,
		}})
	}
	return m
}

// Err tells why the machine ended by itself, nil after a stop that was asked for and orderly.
func (m *Machine) Err() error { return m.cause }

// Step takes one input at a time and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, in Input) []Effect {
	var out []Effect
	switch in.Kind {
	case Ready:
		out = m.becameReady(now, in)
	case Exited:
		out = m.exited(now, in)
	case Stop:
		out = m.stop()
	}
	for _, c := range m.children {
		out = append(out, m.expire(now, c)...)
	}
	return append(out, m.advance(now)...)
}

// Next is when Step must be called at the latest, the zero time for never.
func (m *Machine) Next() time.Time {
	var next time.Time
	for _, c := range m.children {
		waits := c.phase == starting || c.phase == pausing || c.phase == stopping
		if waits && !c.killed && (next.IsZero() || c.due.Before(next)) {
			next = c.due
		}
	}
	return next
}

// find returns the child whose present life in speaks of, nil for news from an earlier one.
func (m *Machine) find(in Input) *child {
	for _, c := range m.children {
		if c.name == in.Child && c.life == in.Life && c.running() {
			return c
		}
	}
	return nil
}

func (m *Machine) becameReady(now time.Time, in Input) []Effect {
	c := m.find(in)
	if c == nil || c.phase != starting {
		return nil
	}
	c.phase = ready
	if c.died.IsZero() {
		return nil
	}
	r := Restart{Name: c.name, Exit: c.exit, After: now.Sub(c.died), Fails: c.backoff.Fails()}
	c.died = time.Time{}
	return []Effect{{Kind: Restarted, Child: c.name, Life: c.life, Restart: r}}
}

// exited decides whether a child that ended comes back. One that ends before all were ready for the first time ends
// the start: its configuration or its surroundings are wrong, and the operator is there to read why.
func (m *Machine) exited(now time.Time, in Input) []Effect {
	c := m.find(in)
	if c == nil {
		return nil
	}
	was := c.phase
	c.exit, c.killed = in.Exit, false
	switch {
	case m.stage == falling || was == stopping:
		c.phase = idle
		return nil
	case m.stage == rising && was == starting:
		c.phase = idle
		m.fail(c, fault.New(fault.Unavailable, "supervise: %s ended before it was ready: %s", c.name, in.Exit))
		return nil
	}
	if c.died.IsZero() {
		c.died = now
	}
	c.phase = pausing
	c.due = now.Add(c.backoff.Next(now.Sub(c.began), in.Rand))
	return []Effect{{Kind: Died, Child: c.name, Life: c.life, Restart: Restart{Name: c.name, Exit: c.exit, Fails: c.backoff.Fails()}}}
}

// fail begins the end because of c.
func (m *Machine) fail(c *child, cause error) {
	if m.cause == nil {
		m.cause, m.failed = cause, c.name
	}
	m.fall()
}

// fall begins the end from the highest rank that runs.
func (m *Machine) fall() {
	if m.stage >= falling {
		return
	}
	m.stage = falling
	m.rank = m.highest() + 1
	for _, c := range m.children {
		if c.phase == pausing {
			c.phase = idle
		}
	}
}

func (m *Machine) stop() []Effect {
	if m.stage < falling {
		m.fall()
		return nil
	}
	if m.hurry || m.stage == ended {
		return nil
	}
	m.hurry = true
	if m.cause == nil {
		m.cause = fault.New(fault.Partial, "supervise: stopped at once, without waiting")
	}
	var out []Effect
	for _, c := range m.children {
		if c.running() {
			c.phase, c.killed = stopping, true
			out = append(out, Effect{Kind: Kill, Child: c.name, Life: c.life})
		}
	}
	return out
}

// expire does what is due to c.
func (m *Machine) expire(now time.Time, c *child) []Effect {
	if c.killed || now.Before(c.due) {
		return nil
	}
	switch c.phase {
	case pausing:
		return m.spawn(now, c)
	case starting:
		if m.stage == rising {
			m.fail(c, fault.New(fault.Timeout, "supervise: %s was not ready within %s", c.name, m.timings.Start))
			return nil
		}
	case stopping:
		if m.cause == nil {
			m.cause = fault.New(fault.Partial, "supervise: %s did not stop within %s and was killed", c.name, m.timings.Stop)
		}
	default:
		return nil
	}
	c.killed = true
	return []Effect{{Kind: Kill, Child: c.name, Life: c.life}}
}

func (m *Machine) spawn(now time.Time, c *child) []Effect {
	c.phase, c.killed, c.life = starting, false, c.life+1
	c.began, c.due = now, now.Add(m.timings.Start)
	return []Effect{{Kind: Spawn, Child: c.name, Life: c.life}}
}

// advance takes the next ranks up or down as far as it goes.
func (m *Machine) advance(now time.Time) []Effect {
	var out []Effect
	for m.stage == rising && m.all(m.rank, func(c *child) bool { return c.phase == ready }) {
		next, more := m.above(m.rank)
		if !more {
			m.stage = up
			return append(out, Effect{Kind: AllReady})
		}
		m.rank = next
		out = append(out, m.each(next, func(c *child) []Effect { return m.spawn(now, c) })...)
	}
	for m.stage == falling && m.all(m.rank, func(c *child) bool { return !c.running() }) {
		next, more := m.below(m.rank)
		if !more {
			m.stage = ended
			return append(out, Effect{Kind: End})
		}
		m.rank = next
		out = append(out, m.each(next, func(c *child) []Effect { return m.terminate(now, c) })...)
	}
	return out
}

func (m *Machine) terminate(now time.Time, c *child) []Effect {
	if !c.running() || c.phase == stopping {
		return nil
	}
	c.phase, c.killed, c.due = stopping, false, now.Add(m.timings.Stop)
	return []Effect{{Kind: Terminate, Child: c.name, Life: c.life}}
}

func (m *Machine) all(rank int, is func(*child) bool) bool {
	for _, c := range m.children {
		if c.rank == rank && !is(c) {
			return false
		}
	}
	return true
}

func (m *Machine) each(rank int, do func(*child) []Effect) []Effect {
	var out []Effect
	for _, c := range m.children {
		if c.rank == rank {
			out = append(out, do(c)...)
		}
	}
	return out
}

func (m *Machine) highest() int {
	top := -1
	for _, c := range m.children {
		top = max(top, c.rank)
	}
	return top
}

// above returns the lowest rank above r.
func (m *Machine) above(r int) (rank int, ok bool) {
	for _, c := range m.children {
		if c.rank > r && (!ok || c.rank < rank) {
			rank, ok = c.rank, true
		}
	}
	return rank, ok
}

// below returns the highest rank below r.
func (m *Machine) below(r int) (rank int, ok bool) {
	for _, c := range m.children {
		if c.rank < r && (!ok || c.rank > rank) {
			rank, ok = c.rank, true
		}
	}
	return rank, ok
}

// String shows the machine in one line, for tests.
func (m *Machine) String() string {
	s := [...]string{"rising", "up", "falling", "ended"}[m.stage]
	for _, c := range m.children {
		s += fmt.Sprintf(" %s=%s", c.name, [...]string{"idle", "starting", "ready", "pausing", "stopping"}[c.phase])
	}
	return s
}
