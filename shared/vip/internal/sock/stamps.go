package sock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now returns the time on CLOCK_MONOTONIC, the clock of Datagram.At and of a timerfd.
func Now() time.Duration {
	var t unix.Timespec
	// It fails for clocks that do not exist only.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return time.Duration(t.Nano())
}

// stamps makes times on CLOCK_MONOTONIC of the kernel's times of day.
type stamps struct {
	floor time.Duration // when the queue was last seen empty
}

// empty says that there was nothing in the queue at a time or some time after.
func (s *stamps) empty(now time.Duration) { s.floor = now }

// at returns when a packet was received that has the stamp, nanoseconds since 1970, given one instant on both clocks
// before the packet was read from the queue. Stamp 0 stands for none.
func (s *stamps) at(stamp, wall int64, now time.Duration) time.Duration {
	if stamp == 0 || stamp >= wall {
		return now
	}
	age := time.Duration(wall - stamp)
	if age < 0 || age > now-s.floor {
		return s.floor
	}
	return now - age
}
