package sock

import (
	"testing"
	"time"
)

// TestStamps: whatever is done to the time of day, a packet came between the moment at which the queue was seen empty and
// now.
func TestStamps(t *testing.T) {
	const s = time.Second
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano()
	f := func(stamped, empty, now, want time.Duration) {
		t.Helper()
		var st stamps
		st.empty(empty)
		stamp := noon + int64(stamped)
		if got := st.at(stamp, noon, now); got != want {
			t.Errorf("stamped at noon%+v, seen empty at %v, now %v: %v, want %v", stamped, empty, now, got, want)
		}
	}
	f(0, 10*s, 20*s, 20*s)
	f(-3*s, 10*s, 20*s, 17*s)
	f(-10*s, 10*s, 20*s, 10*s)
	f(-1, 10*s, 20*s, 20*s-1)
	f(time.Microsecond, 10*s, 20*s, 20*s) // it came after the clocks were read
	f(time.Hour, 10*s, 20*s, 20*s)        // the time of day was set back
	f(-time.Hour, 10*s, 20*s, 10*s)       // or forward
	f(-50*365*24*time.Hour, 0, 20*s, 0)   // or from 1970
	f(-50*365*24*time.Hour, 20*s, 20*s, 20*s)

	var st stamps
	if got := st.at(0, noon, 20*s); got != 20*s {
		t.Errorf("without a stamp: %v", got)
	}
	for _, stamp := range []int64{-1 << 63, 1<<63 - 1, 1} {
		if got := st.at(stamp, noon, 20*s); got < 0 || got > 20*s {
			t.Errorf("stamp %d: %v", stamp, got)
		}
	}
	if a, b := Now(), Now(); a <= 0 || b < a {
		t.Errorf("the clock says %v, then %v", a, b)
	}
}
