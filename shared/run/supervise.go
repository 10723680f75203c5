package run

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// pulseInterval is how often health and status are looked at when no watchdog asks for it more often.
const pulseInterval = 5 * time.Second

// pulseEnd is how long Supervise waits at its end for a Healthy or Status that does not return.
const pulseEnd = time.Second

// Supervise runs l until ctx ends, a signal asks to stop, or Serve returns; then it runs the stop steps, ends Serve's
// context and waits for it. A second SIGTERM or SIGINT returns at once with fault.Partial, and so leaves goroutines
// behind: the process is expected to exit. It returns Serve's error joined with those of the steps and of what had to
// be abandoned (fault.Timeout), nil after an orderly stop.
//
// SIGHUP reloads; any number of them during a reload, or before readiness, make one more. A failed reload leaves the
// daemon running and is told in STATUS= and the log. During the stop SIGHUP is ignored.
//
// The contexts of Serve, Reload and the steps carry ctx's values but not its end, which begins the drain instead.
func Supervise(ctx context.Context, l Life) error {
	signals, release := l.signals()
	defer release()
	s := newShell(ctx, l)
	defer s.close()
	return s.loop(ctx, signals)
}

// signals returns the channel of signals and what to call when it is no longer read.
func (l *Life) signals() (<-chan os.Signal, func()) {
	if l.Signals != nil {
		return l.Signals, func() {}
	}
	c := make(chan os.Signal, 16)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	return c, func() { signal.Stop(c) }
}

// shell runs what machine decides.
type shell struct {
	l      Life
	m      *machine
	events chan event
	gone   chan struct{} // closed when nobody reads events any more
	base   context.Context

	endServe  context.CancelFunc
	endReload context.CancelFunc
	endStep   context.CancelFunc

	pulse    sync.WaitGroup
	endPulse context.CancelFunc
}

func newShell(ctx context.Context, l Life) *shell {
	s := &shell{
		l: l, m: newMachine(l.Stop, l.Grace),
		events: make(chan event), gone: make(chan struct{}),
		base:      context.WithoutCancel(ctx),
		endReload: func() {}, endStep: func() {},
	}
	serveCtx, endServe := context.WithCancel(s.base)
	s.endServe = endServe
	s.start("serve", evServed, func() error { return l.Serve(serveCtx) })
	pulseCtx, endPulse := context.WithCancel(s.base)
	s.endPulse = endPulse
	s.pulse.Go(func() { s.pulses(pulseCtx) })
	return s
}

// start runs f beside the loop and answers with an event of kind. The loop waits for that event; what it abandons
// instead ends by its context.
func (s *shell) start(name string, kind eventKind, f func() error) {
	s.startStep(name, kind, 0, f)
}

func (s *shell) startStep(name string, kind eventKind, step int, f func() error) {
	go func() { s.send(event{kind: kind, err: guard(name, f), step: step}) }()
}

// send gives up when the loop has ended.
func (s *shell) send(ev event) {
	select {
	case s.events <- ev:
	case <-s.gone:
	}
}

func (s *shell) loop(ctx context.Context, signals <-chan os.Signal) error {
	readyCh, done := s.l.Ready, ctx.Done()
	if readyCh == nil {
		s.step(event{kind: evReady})
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for s.m.phase != stopped {
		select {
		case ev := <-s.events:
			s.step(ev)
		case sig := <-signals:
			s.signal(sig)
		case <-readyCh:
			readyCh = nil
			s.step(event{kind: evReady})
		case <-done:
			done = nil
			s.step(event{kind: evCancel})
		case <-s.timer(timer):
			s.step(event{kind: evTimer})
		}
	}
	return s.m.result()
}

// timer sets t to the machine's deadline. It returns nil where there is none.
func (s *shell) timer(t *time.Timer) <-chan time.Time {
	due, ok := s.m.deadline()
	if !ok {
		return nil
	}
	t.Reset(time.Until(due))
	return t.C
}

func (s *shell) signal(sig os.Signal) {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT:
		s.l.Log.Info().Str("signal", sig.String()).Msg("asked to stop")
		s.step(event{kind: evTerm})
	case syscall.SIGHUP:
		s.step(event{kind: evHup})
	case syscall.SIGUSR1:
		s.step(event{kind: evDump})
	}
}

func (s *shell) step(ev event) {
	for _, e := range s.m.Step(time.Now(), ev) {
		s.do(e)
	}
}

func (s *shell) do(e effect) {
	switch e.kind {
	case doReload:
		s.reload()
	case abandonReload:
		s.endReload()
	case doStep:
		s.stopStep(e)
	case abandonStep:
		s.endStep()
	case doDump:
		s.start("dump", evDumped, s.dump)
	case endServe:
		s.endServe()
	case logInfo:
		s.l.Log.Info().Msg(e.text)
	case logError:
		s.l.Log.Error().Err(e.err).Msg(e.text)
	default:
		s.tell(e)
	}
}

func (s *shell) reload() {
	ctx, cancel := context.WithCancel(s.base)
	s.endReload = cancel
	s.start("reload", evReloaded, func() error {
		defer cancel()
		if s.l.Reload == nil {
			return nil
		}
		return s.l.Reload(ctx)
	})
}

func (s *shell) stopStep(e effect) {
	ctx, cancel := context.WithTimeout(s.base, e.timeout)
	s.endStep = cancel
	st := s.m.steps[e.step]
	s.startStep("stop step "+st.Name, evStepDone, e.step, func() error {
		defer cancel()
		return st.Do(ctx)
	})
}

func (s *shell) dump() error {
	if s.l.Dump != nil {
		s.l.Dump()
	}
	return nil
}

// tell speaks to the service manager. That it does not hear is no reason to stop, so it is only logged.
func (s *shell) tell(e effect) {
	var err error
	switch n := s.l.Notify; e.kind {
	case tellReady:
		err = n.Ready(e.text)
	case tellReloading:
		err = n.Reloading()
	case tellStopping:
		err = n.Stopping(e.text)
	case tellStatus:
		err = n.Status(e.text)
	case tellAlive:
		err = n.Watchdog()
	case tellExtend:
		err = n.ExtendTimeout(e.timeout)
	}
	if err != nil {
		s.l.Log.Warn().Err(err).Msg("service manager not told")
	}
}

// pulses looks at health and status in a goroutine of its own: a Healthy that hangs does not hang the loop, and as no
// pulse comes the watchdog is not fed.
func (s *shell) pulses(ctx context.Context) {
	every := pulseInterval
	if w := s.l.Notify.WatchdogInterval(); w > 0 {
		every = min(every, w)
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		s.send(s.look())
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *shell) look() event {
	ev := event{kind: evPulse}
	ev.err = guard("health", func() error {
		if s.l.Status != nil {
			ev.line = s.l.Status()
		}
		if s.l.Healthy != nil {
			return s.l.Healthy()
		}
		return nil
	})
	return ev
}

// close ends what is left: the pulses, whose functions take no context and so may have to be left behind.
func (s *shell) close() {
	close(s.gone)
	s.endPulse()
	s.endServe()
	s.endReload()
	s.endStep()
	done := make(chan struct{})
	go func() { s.pulse.Wait(); close(done) }()
	t := time.NewTimer(pulseEnd)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
