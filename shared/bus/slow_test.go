package bus_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/bus/bustest"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/metric"
)

// A subscriber that does not return loses the oldest events beyond 4096, counted; another misses nothing.
func TestSlowSubscriber(t *testing.T) {
	labtest.LeakCheck(t)
	cfg := bus.Config{Mode: "auto", Listen: freeAddr(t, "127.0.0.1"), Routes: freeAddr(t, "127.0.0.1")}
	pub := start(t, cfg, env(0))
	e := env(1)
	e.Metrics, e.Health = metric.NewRegistry("everup_dnsd"), health.NewRegistry()
	sub := start(t, cfg, e)

	const count, extra = 6000, 6000 - 1 - 4096
	blocked, release := make(chan struct{}), make(chan struct{})
	slow := make(chan string, count)
	cancelSlow, err := sub.Subscribe("lbd", "n", func(ev bus.Event) {
		if ev.Object == "0" {
			close(blocked)
			<-release
		}
		slow <- ev.Object
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancelSlow()
	quick := make(chan string, count)
	cancel, err := sub.Subscribe("lbd", "n", func(ev bus.Event) { quick <- ev.Object })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	if err := sub.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	// In portions that the publisher's own queue holds.
	for i := range count {
		pub.Emit("n", strconv.Itoa(i), nil)
		if i == 0 {
			<-blocked
		}
		if i%500 == 499 {
			if err := pub.Flush(within(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range count {
		if got := <-quick; got != strconv.Itoa(i) {
			t.Fatalf("the quick subscriber got %s as number %d", got, i)
		}
	}
	drops := func() string {
		return counted(t, e.Metrics, `everup_dnsd_bus_dropped_total{reason="subscriber-behind"}`)
	}
	labtest.Eventually(t, bustest.Patience, "all events came", func() error {
		if d := drops(); d != strconv.Itoa(extra) {
			return fmt.Errorf("%s dropped, want %d", d, extra)
		}
		return nil
	})
	labtest.Eventually(t, bustest.Patience, "bus.slow-consumer warns", func() error {
		if s := status(e.Health, "bus.slow-consumer"); s.Level != health.Warn {
			return fmt.Errorf("it is %v", s.Level)
		}
		return nil
	})
	close(release)
	for i := range count - extra {
		want := 0
		if i > 0 {
			want = i + extra
		}
		if got := <-slow; got != strconv.Itoa(want) {
			t.Fatalf("the slow subscriber got %s as number %d, want %d", got, i, want)
		}
	}
}

// What is emitted while there is no connection is counted and stays in the ring.
func TestEmitDisconnected(t *testing.T) {
	labtest.LeakCheck(t)
	e := env(0)
	e.Metrics = metric.NewRegistry("everup_lbd")
	b, err := bus.New(bus.Config{Mode: "auto"}, e)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.Emit("x", "", nil)
	}
	if got := counted(t, e.Metrics, `everup_lbd_bus_dropped_total{reason="disconnected"}`); got != "3" || len(b.Recent(9)) != 3 {
		t.Errorf("dropped %s, %d in the ring", got, len(b.Recent(9)))
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// The metrics' names, for whoever renames one.
func TestMetrics(t *testing.T) {
	labtest.LeakCheck(t)
	e := env(0)
	e.Metrics = metric.NewRegistry("everup_lbd")
	b := start(t, bus.Config{Mode: "auto", Listen: freeAddr(t, "127.0.0.1"), Routes: freeAddr(t, "127.0.0.1")}, e)
	b.Emit("x", "", nil)
	if err := b.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"everup_lbd_bus_published_total":              "1",
		"everup_lbd_bus_connections_total":            "1",
		"everup_lbd_bus_role_changes_total":           "1",
		`everup_lbd_bus_state{state="server"}`:        "1",
		`everup_lbd_bus_state{state="client"}`:        "0",
		"everup_lbd_bus_server_clients":               "1",
		"everup_lbd_bus_server_routes":                "0",
		`everup_lbd_bus_dropped_total{reason="busy"}`: "0",
		"everup_lbd_bus_server_slow_consumers":        "0",
	} {
		if got := counted(t, e.Metrics, line); got != want {
			t.Errorf("%s is %q, want %q", line, got, want)
		}
	}
}
