// Package supervise keeps a group of child processes running: it starts them in order, each when those before it are ready,
// starts again what dies, with back-off, and stops them in the reverse order.
//
// What is to be done is decided by Machine, a pure core that is stepped with explicit time; Run is the shell around it,
// which forks, signals, waits and asks whether a child is ready. A child is its own process group, so that Ctrl-C at the
// terminal reaches the supervisor alone, and dies with it (PR_SET_PDEATHSIG) however the supervisor ends.
//
// What a child writes goes to a file of its own that is rotated at a bound; errors among it are handed on, throttled.
package supervise

import "time"

// Timings of a machine. The zero value means the defaults.
type Timings struct {
	Start time.Duration // longest time to readiness; 0 means 30 s
	Stop  time.Duration // longest wait after SIGTERM before SIGKILL; 0 means 15 s
	// Min and Max bound the pause before a restart; 0 means 100 ms and 10 s.
	Min, Max time.Duration
	// Healthy is the length of a run that forgets earlier failures; 0 means 30 s.
	Healthy time.Duration
}

func (t Timings) filled() Timings {
	or := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	or(&t.Start, 30*time.Second)
	or(&t.Stop, 15*time.Second)
	or(&t.Min, 100*time.Millisecond)
	or(&t.Max, 10*time.Second)
	or(&t.Healthy, 30*time.Second)
	return t
}

// Restart tells of a child that died and is back.
type Restart struct {
	Name  string        `json:"name"`
	Exit  string        `json:"exit"`  // how it ended: "exit code 1", "signal: killed"
	After time.Duration `json:"-"`     // from its death to its readiness
	Fails int           `json:"fails"` // restarts since the last healthy run
}
