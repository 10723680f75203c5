package bus

import "time"

// action is what the daemon does next about its connection.
type action uint8

const (
	actServe action = iota + 1 // try to become the host's server
	actDial                    // connect to whoever is, or to the server this process runs
	actHold                    // be connected until it ends
)

// outcome is what came of an action.
type outcome uint8

const (
	outStart     outcome = iota // nothing was tried yet
	outServing                  // the port was free: this process runs the server
	outInUse                    // another process has the port
	outBroken                   // the port cannot be had (no such address, no permission, route port taken)
	outConnected                // connected to a bus of this fleet
	outNoAnswer                 // nobody answers there, or not in time
	outForeign                  // something answers that is not this fleet's bus
	outLost                     // the connection ended
)

const (
	// After a death all daemons of the host race for the port; those who lose meet a server that is not yet up.
	firstRetry   = 20 * time.Millisecond
	quickRetries = 25 // half a second of them; then the pauses grow
	maxRetry     = time.Second
	// What will not change by itself is asked seldom.
	firstForeign = 250 * time.Millisecond
	maxForeign   = 2 * time.Second
	// A connection that lasted so long was a good one: its end is a new beginning.
	steady = time.Second
)

// step is an action and the pause before it.
type step struct {
	wait time.Duration
	do   action
}

// role decides when this process serves, dials and waits. It is pure: time and chance come in.
type role struct {
	canServe bool              // mode auto
	jitter   func(int64) int64 // a random number below its argument
	serving  bool              // this process runs the server
	failures int               // since the last steady connection
	since    time.Time         // of the connection
}

// step takes what came of the last action and returns the next.
func (r *role) step(now time.Time, in outcome) step {
	switch in {
	case outServing:
		r.serving = true
		return step{do: actDial}
	case outInUse:
		return step{do: actDial}
	case outConnected:
		r.since = now
		return step{do: actHold}
	case outLost:
		if now.Sub(r.since) >= steady {
			r.failures = 0
			return step{do: r.seek()} // at once: the first to bind ends the outage
		}
		return step{r.pause(quickRetries, firstRetry, maxRetry), r.seek()}
	case outNoAnswer:
		return step{r.pause(quickRetries, firstRetry, maxRetry), r.seek()}
	case outForeign, outBroken:
		return step{r.pause(0, firstForeign, maxForeign), r.seek()}
	}
	return step{do: r.seek()}
}

// seek is how a connection is looked for: who may serve tries that first.
func (r *role) seek() action {
	if r.canServe && !r.serving {
		return actServe
	}
	return actDial
}

// pause stays at first for the given number of failures, then doubles up to most, and takes half of it by chance, so that
// the daemons of a host do not retry in step.
func (r *role) pause(level int, first, most time.Duration) time.Duration {
	d := min(most, first<<min(max(0, r.failures-level), 16))
	r.failures++
	return d/2 + time.Duration(r.jitter(int64(d/2)+1))
}
