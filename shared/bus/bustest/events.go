package bustest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
)

// Every bus sees the first one's events, in order and whole.
func testEvents(t *testing.T, fleet []*bus.Bus) {
	const count = 500
	var seen []<-chan bus.Event
	for _, b := range fleet {
		seen = append(seen, subscribe(t, b, "", "*"))
	}
	flush(t, fleet)
	type data struct {
		N    int    `json:"n"`
		Text string `json:"text"`
	}
	before := time.Now().Add(-time.Second)
	for i := range count {
		fleet[0].Emit("pool-member-down", fmt.Sprintf("pool/web/%d", i), data{i, "grüße"})
	}
	for who, c := range seen {
		ids := map[string]bool{}
		for i := range count {
			e := receiveEvent(t, c)
			want := bus.Event{
				ID: e.ID, Time: e.Time, Service: Service(0), Kind: "pool-member-down", Node: Node(0),
				Object: fmt.Sprintf("pool/web/%d", i), Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"grüße"}`, i)),
			}
			if d := cmp.Diff(want, e); d != "" {
				t.Fatalf("bus %d, event %d (-want +got):\n%s", who, i, d)
			}
			if e.ID == "" || ids[e.ID] || e.Time.Before(before) {
				t.Fatalf("bus %d, event %d: id %q, time %v", who, i, e.ID, e.Time)
			}
			ids[e.ID] = true
		}
	}
}

func testFilter(t *testing.T, fleet []*bus.Bus) {
	last := len(fleet) - 1
	one := subscribe(t, fleet[0], Service(last), "wanted")
	other := subscribe(t, fleet[0], Service(last), "never")
	flush(t, fleet)
	fleet[last].Emit("unwanted", "", nil)
	fleet[last].Emit("wanted", "x", nil)
	if e := receive(t, one); e.Kind != "wanted" || e.Object != "x" || e.Data != nil {
		t.Errorf("got %+v", e)
	}
	if len(one)+len(other) != 0 {
		t.Error("events of other kinds came")
	}
	if _, err := fleet[0].Subscribe("no.such", "", func(bus.Event) {}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a service with a dot: %v", err)
	}
}

// After cancel f is not called, and other subscriptions go on.
func testCancel(t *testing.T, fleet []*bus.Bus) {
	var mu sync.Mutex
	calls := 0
	count := func() int { mu.Lock(); defer mu.Unlock(); return calls }
	cancel, err := fleet[0].Subscribe("", "", func(bus.Event) { mu.Lock(); calls++; mu.Unlock() })
	if err != nil {
		t.Fatal(err)
	}
	other := subscribe(t, fleet[0], "", "x")
	flush(t, fleet)
	fleet[0].Emit("x", "", nil)
	receive(t, other)
	cancel()
	cancel()
	after := count()
	fleet[0].Emit("x", "", nil)
	receive(t, other)
	if n := count(); n != after {
		t.Errorf("%d calls after cancel", n-after)
	}
}

func testBadEvents(t *testing.T, fleet []*bus.Bus) {
	c := subscribe(t, fleet[0], "", "")
	flush(t, fleet)
	b := fleet[0]
	b.Emit("No Name", "", nil)
	b.Emit("too-large", "", string(make([]byte, bus.MaxData)))
	b.Emit("no-json", "", func() {})
	b.Emit("odd-object", " a\r\nce-id: forged\x00 ", nil)
	if e := receiveEvent(t, c); e.Kind != "odd-object" || e.Object != "a  ce-id: forged" {
		t.Errorf("got %+v", e)
	}
	for _, e := range b.Recent(10) {
		if e.Kind == "too-large" || e.Kind == "no-json" {
			t.Errorf("the ring holds %s", e.Kind)
		}
	}
}

func testRing(t *testing.T, fleet []*bus.Bus) {
	b := fleet[0]
	for i := range 1500 {
		b.Emit("n", fmt.Sprint(i), nil)
	}
	for _, n := range []int{0, 1, 1024, 9999} {
		got := b.Recent(n)
		if len(got) != min(n, 1024) {
			t.Fatalf("Recent(%d) has %d events", n, len(got))
		}
		for i, e := range got {
			if want := fmt.Sprint(1500 - len(got) + i); e.Object != want {
				t.Fatalf("Recent(%d)[%d] is %s, want %s", n, i, e.Object, want)
			}
		}
	}
}

// Close sends what was emitted before it and ends everything.
func testClose(t *testing.T, fleet []*bus.Bus) {
	last := len(fleet) - 1
	c := subscribe(t, fleet[last], Service(0), "bye")
	flush(t, fleet)
	if last > 0 {
		for range 100 {
			fleet[0].Emit("bye", "", nil)
		}
	}
	for range 2 {
		if err := fleet[0].Close(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	if last > 0 {
		for range 100 {
			receive(t, c)
		}
	}
	fleet[0].Emit("late", "", nil)
	if _, err := fleet[0].Subscribe("", "", func(bus.Event) {}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("Subscribe after Close: %v", err)
	}
	if err := fleet[0].Handle("late", "", nil); !errors.Is(err, fault.Unavailable) {
		t.Errorf("Handle after Close: %v", err)
	}
}
