package labtest

import (
	"testing"
	"time"
)

// Eventually waits until cond returns nil, asking again after 1 ms at first and 50 ms at last. When the time is over it
// fails the test with cond's last error. Where an event can be waited for, wait for the event.
func Eventually(t testing.TB, timeout time.Duration, what string, cond func() error) {
	t.Helper()
	if err := poll(timeout, cond); err != nil {
		t.Fatalf("not within %v: %s: %v", timeout, what, err)
	}
}
