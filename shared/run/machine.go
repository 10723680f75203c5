package run

import (
	"cmp"
	"errors"
	"time"

	"github.com/everup/everup/shared/fault"
)

// phase is where a life is.
type phase uint8

const (
	starting  phase = iota // Serve runs, Ready is not closed yet
	ready                  // traffic may come
	reloading              // as ready, with a reload under way
	quiescing              // asked to stop: a reload under way is given time to end
	stopping               // the stop steps are being done
	ending                 // the steps are done, Serve has been told to end
	stopped
)

// event is what happens to a life.
type event struct {
	kind eventKind
	err  error // of evServed, evReloaded, evStepDone, evDumped; why the health is bad for evPulse
	step int   // of evStepDone
	line string
}

type eventKind uint8

const (
	evReady    eventKind = iota // traffic may come
	evTerm                      // SIGTERM, SIGINT
	evCancel                    // the context given to Supervise ended
	evHup                       // SIGHUP
	evDump                      // SIGUSR1
	evServed                    // Serve returned
	evReloaded                  // Reload returned
	evStepDone                  // a stop step returned
	evDumped                    // Dump returned
	evPulse                     // Healthy returned err, Status returned line
	evTimer                     // the time of deadline() has come
)

// effect is what the shell has to do.
type effect struct {
	kind    effectKind
	step    int           // of doStep
	timeout time.Duration // of doStep, tellExtend
	text    string        // of tell…, logInfo and logError
	err     error         // of logError
}

type effectKind uint8

const (
	doReload      effectKind = iota // run Reload, answer evReloaded
	abandonReload                   // end the context of Reload
	doStep                          // run the step, answer evStepDone
	abandonStep                     // end the context of the step
	doDump                          // run Dump, answer evDumped
	endServe                        // end the context of Serve
	tellReady                       // READY=1 with STATUS=text
	tellReloading
	tellStopping
	tellStatus
	tellAlive  // WATCHDOG=1
	tellExtend // EXTEND_TIMEOUT_USEC
	logInfo
	logError
)

// extendMargin is added to what a step may take when the service manager is asked for more time.
const extendMargin = 5 * time.Second

// stepSlack is the time a step has to return after its context has ended: a drain that is cut short still flushes.
const stepSlack = time.Second

// machine decides a life's course. It holds no clock, no channel and no goroutine.
type machine struct {
	steps []Step
	grace time.Duration

	phase    phase
	due      time.Time // when the phase's present wait ends; zero: it does not
	step     int       // of stopping
	again    bool      // one more reload is asked for
	dumping  bool
	redump   bool
	reloaded error // the last reload's error: it stays in the status
	served   bool  // Serve has returned
	line     string
	told     string // the last status told
	errs     []error
}

func newMachine(steps []Step, grace time.Duration) *machine {
	if grace <= 0 {
		grace = 10 * time.Second
	}
	return &machine{steps: steps, grace: grace}
}

// deadline is when evTimer is wanted; false: not at all.
func (m *machine) deadline() (time.Time, bool) { return m.due, !m.due.IsZero() }

// result is what Supervise returns once the phase is stopped.
func (m *machine) result() error { return errors.Join(m.errs...) }

// Step takes one event at the time now and returns what is to be done, in order.
func (m *machine) Step(now time.Time, ev event) []effect {
	switch ev.kind {
	case evReady:
		return m.onReady()
	case evTerm, evCancel:
		return m.onStop(now, ev.kind == evTerm)
	case evHup:
		return m.onHup()
	case evDump:
		return m.onDump()
	case evServed:
		return m.onServed(now, ev.err)
	case evReloaded:
		return m.onReloaded(now, ev.err)
	case evStepDone:
		return m.onStepDone(now, ev)
	case evDumped:
		return m.onDumped(ev.err)
	case evPulse:
		return m.onPulse(ev)
	case evTimer:
		return m.onTimer(now)
	}
	return nil
}

func (m *machine) onReady() []effect {
	if m.phase != starting {
		return nil
	}
	m.phase = ready
	out := []effect{m.tell(tellReady, m.status())}
	return append(out, m.nextReload()...)
}

// onHup begins a reload, or remembers that one more is wanted: any number of signals before readiness or during a reload
// make one. While stopping nothing comes of it.
func (m *machine) onHup() []effect {
	m.again = true
	return m.nextReload()
}

func (m *machine) nextReload() []effect {
	if m.phase != ready || !m.again {
		return nil
	}
	m.again = false
	m.phase = reloading
	return []effect{{kind: tellReloading}, m.tell(tellStatus, "reloading"), {kind: doReload}}
}

func (m *machine) onReloaded(now time.Time, err error) []effect {
	switch m.phase {
	case reloading:
		m.phase = ready
		m.reloaded = err
		out := []effect{m.tell(tellReady, m.status()), reloadLog(err)}
		return append(out, m.nextReload()...)
	case quiescing:
		return m.beginStep(now, 0)
	}
	return nil
}

func reloadLog(err error) effect {
	if err != nil {
		return effect{kind: logError, text: "reload failed, the earlier configuration stays", err: err}
	}
	return effect{kind: logInfo, text: "reloaded"}
}

func (m *machine) onDump() []effect {
	if m.dumping {
		m.redump = true
		return nil
	}
	m.dumping = true
	return []effect{{kind: doDump}}
}

func (m *machine) onDumped(err error) []effect {
	var out []effect
	if err != nil {
		out = append(out, effect{kind: logError, text: "dump failed", err: err})
	}
	m.dumping = false
	if !m.redump {
		return out
	}
	m.redump = false
	return append(out, m.onDump()...)
}

// onStop begins the stop. A signal while it is under way ends at once; a context can end only once, and a signal
// after it is the first.
func (m *machine) onStop(now time.Time, signal bool) []effect {
	if m.phase < quiescing {
		return m.stop(now, "stopping")
	}
	if !signal || m.phase == stopped {
		return nil
	}
	m.errs = append([]error{fault.New(fault.Partial, "run: stopped at once by a second signal, in %s", m.where())}, m.errs...)
	m.phase, m.due = stopped, time.Time{}
	return []effect{{kind: abandonReload}, {kind: abandonStep}, {kind: endServe}}
}

// where names the part of the stop that is under way.
func (m *machine) where() string {
	switch m.phase {
	case quiescing:
		return "a reload"
	case stopping:
		return "step " + m.steps[m.step].Name
	}
	return "the end of serving"
}

func (m *machine) stop(now time.Time, why string) []effect {
	out := []effect{{kind: logInfo, text: why}, m.tell(tellStopping, why)}
	if m.phase != reloading {
		return append(out, m.beginStep(now, 0)...)
	}
	m.phase, m.due = quiescing, now.Add(m.grace)
	return append(out, effect{kind: abandonReload}, effect{kind: tellExtend, timeout: m.grace + extendMargin})
}

// beginStep starts step i, or the end when there is none.
func (m *machine) beginStep(now time.Time, i int) []effect {
	if i >= len(m.steps) {
		return m.end(now)
	}
	s := m.steps[i]
	timeout := stepTimeout(s)
	m.phase, m.step, m.due = stopping, i, now.Add(timeout+stepSlack)
	return []effect{
		m.tell(tellStatus, "stopping: "+s.Name),
		{kind: tellExtend, timeout: timeout + extendMargin},
		{kind: doStep, step: i, timeout: timeout},
	}
}

func stepTimeout(s Step) time.Duration {
	if s.Timeout <= 0 {
		return 10 * time.Second
	}
	return s.Timeout
}

func (m *machine) onStepDone(now time.Time, ev event) []effect {
	if m.phase != stopping || ev.step != m.step {
		return nil // an abandoned step came back
	}
	if ev.err != nil {
		m.errs = append(m.errs, named("run: stop step "+m.steps[m.step].Name, ev.err))
	}
	return m.beginStep(now, m.step+1)
}

func (m *machine) end(now time.Time) []effect {
	if m.served {
		m.phase, m.due = stopped, time.Time{}
		return nil
	}
	m.phase, m.due = ending, now.Add(m.grace)
	return []effect{{kind: tellExtend, timeout: m.grace + extendMargin}, {kind: endServe}}
}

func (m *machine) onServed(now time.Time, err error) []effect {
	m.served = true
	if err != nil {
		m.errs = append([]error{named("run: serve", err)}, m.errs...)
	}
	switch {
	case m.phase == ending:
		m.phase, m.due = stopped, time.Time{}
	case m.phase < quiescing && err != nil:
		return m.stop(now, "serving failed: "+oneLine(err.Error()))
	case m.phase < quiescing:
		return m.stop(now, "serving ended")
	}
	return nil
}

func (m *machine) onTimer(now time.Time) []effect {
	if m.due.IsZero() || now.Before(m.due) {
		return nil
	}
	switch m.phase {
	case quiescing:
		m.errs = append(m.errs, fault.New(fault.Timeout, "run: reload: abandoned after %v", m.grace))
		return m.beginStep(now, 0)
	case stopping:
		s := m.steps[m.step]
		m.errs = append(m.errs, fault.New(fault.Timeout, "run: stop step %s: abandoned after %v", s.Name, stepTimeout(s)))
		return append([]effect{{kind: abandonStep}}, m.beginStep(now, m.step+1)...)
	case ending:
		m.errs = append(m.errs, fault.New(fault.Timeout, "run: serve: did not return within %v", m.grace))
		m.phase, m.due = stopped, time.Time{}
	}
	return nil
}

// onPulse passes a good health on to the watchdog, and a changed status line to the manager.
func (m *machine) onPulse(ev event) []effect {
	var out []effect
	if ev.err == nil {
		out = append(out, effect{kind: tellAlive})
	}
	m.line = ev.line
	if ev.err != nil {
		m.line = "not healthy: " + ev.err.Error()
	}
	if s := m.status(); m.phase == ready && s != m.told {
		out = append(out, m.tell(tellStatus, s))
	}
	return out
}

// status is the line while the daemon runs.
func (m *machine) status() string {
	line := cmp.Or(m.line, "running")
	if m.reloaded == nil {
		return line
	}
	return line + "; reload failed, the earlier configuration stays: " + oneLine(m.reloaded.Error())
}

func (m *machine) tell(k effectKind, text string) effect {
	m.told = text
	return effect{kind: k, text: text}
}
