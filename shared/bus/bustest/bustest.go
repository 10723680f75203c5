// Package bustest is the conformance suite of package bus: what holds in every mode, run against each.
package bustest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
)

// Fleet makes n running and connected buses of one fleet, which end with the test. The i-th is Node(i) and Service(i).
type Fleet func(t *testing.T, n int) []*bus.Bus

// Node names the node of the i-th bus of a fleet.
func Node(i int) string { return fmt.Sprintf("n%d", i) }

// Service names the service of the i-th bus of a fleet.
func Service(i int) string { return []string{"lbd", "dnsd", "cached", "storaged", "logd"}[i%5] }

// Patience is how long a test waits for what should come at once.
const Patience = 10 * time.Second

// Run checks fleets of 1 to most buses; most is 1 for mode off, whose buses do not meet.
func Run(t *testing.T, most int, fleet Fleet) {
	for n := 1; n <= most; n++ {
		t.Run(fmt.Sprintf("%d", n), func(t *testing.T) {
			t.Run("Events", func(t *testing.T) { testEvents(t, fleet(t, n)) })
			t.Run("Filter", func(t *testing.T) { testFilter(t, fleet(t, n)) })
			t.Run("Cancel", func(t *testing.T) { testCancel(t, fleet(t, n)) })
			t.Run("BadEvents", func(t *testing.T) { testBadEvents(t, fleet(t, n)) })
			t.Run("Ring", func(t *testing.T) { testRing(t, fleet(t, n)) })
			t.Run("Request", func(t *testing.T) { testRequest(t, fleet(t, n)) })
			t.Run("RequestErrors", func(t *testing.T) { testRequestErrors(t, fleet(t, n)) })
			t.Run("RequestAll", func(t *testing.T) { testRequestAll(t, fleet(t, n)) })
			t.Run("Panics", func(t *testing.T) { testPanics(t, fleet(t, n)) })
			t.Run("Busy", func(t *testing.T) { testBusy(t, fleet(t, n)) })
			t.Run("Close", func(t *testing.T) { testClose(t, fleet(t, n)) })
		})
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// flush makes all subscriptions and handlers of the fleet known to its servers.
func flush(t *testing.T, fleet []*bus.Bus) {
	t.Helper()
	for i, b := range fleet {
		if err := b.Flush(within(t)); err != nil {
			t.Fatalf("bus %d: %v", i, err)
		}
	}
	Meet(t, fleet)
}

// Meet waits until every bus hears every other, by events of the kind "meet", repeated until they are heard: with
// several servers the news of a subscription takes its time.
func Meet(t *testing.T, fleet []*bus.Bus) {
	t.Helper()
	for i, to := range fleet {
		for j, from := range fleet {
			heard := make(chan struct{}, 1)
			cancel, err := to.Subscribe(Service(j), "meet", func(bus.Event) {
				select {
				case heard <- struct{}{}:
				default:
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			until(t, fmt.Sprintf("bus %d hears bus %d", i, j), heard, func() { from.Emit("meet", "", nil) })
			cancel()
		}
	}
}

// until calls do every 10 ms until done has a token.
func until(t *testing.T, what string, done <-chan struct{}, do func()) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(Patience)
	for {
		do()
		select {
		case <-done:
			return
		case <-tick.C:
		case <-late:
			t.Fatalf("not within %s: %s", Patience, what)
		}
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Patience):
		t.Fatalf("nothing came within %s", Patience)
		panic("unreachable")
	}
}

// receiveEvent returns the next event that is not of Meet.
func receiveEvent(t *testing.T, c <-chan bus.Event) bus.Event {
	t.Helper()
	for {
		if e := receive(t, c); e.Kind != "meet" {
			return e
		}
	}
}

func subscribe(t *testing.T, b *bus.Bus, service, kind string) <-chan bus.Event {
	t.Helper()
	c := make(chan bus.Event, 8192)
	cancel, err := b.Subscribe(service, kind, func(e bus.Event) { c <- e })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	return c
}
