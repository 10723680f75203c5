package probe

import (
	"context"
	"sync"
	"time"
)

// stallMeter measures for how long this process did not run: paused, starved of processor time, in a suspended
// machine. A goroutine beats at a fixed period; how late a beat comes is time in which no goroutine could be
// relied on to run, so that a check that timed out then says nothing of its target.
type stallMeter struct {
	mu    sync.Mutex
	last  time.Time     // the last beat
	total time.Duration // stalled time before it
}

// beatPeriod is the time between beats, and stallSlack what the scheduler may be late by without it counting.
const (
	beatPeriod = 100 * time.Millisecond
	stallSlack = 20 * time.Millisecond
)

// beat records that the process ran at now.
func (s *stallMeter) beat(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total += s.lateLocked(now)
	s.last = now
}

// at returns the stalled time up to now, since some beginning. It counts a beat that is overdue at now, and
// so does not depend on who runs first after a stall.
func (s *stallMeter) at(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total + s.lateLocked(now)
}

func (s *stallMeter) lateLocked(now time.Time) time.Duration {
	late := now.Sub(s.last) - beatPeriod
	if s.last.IsZero() || late < stallSlack {
		return 0
	}
	return late
}

// run beats until ctx ends.
func (s *stallMeter) run(ctx context.Context) {
	t := time.NewTicker(beatPeriod)
	defer t.Stop()
	s.beat(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.beat(time.Now())
		}
	}
}
