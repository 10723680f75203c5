package bustest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/fault"
)

type echo struct {
	From string          `json:"from"`
	Body json.RawMessage `json:"body"`
}

func handleEcho(t *testing.T, b *bus.Bus, verb string) {
	t.Helper()
	err := b.Handle(verb, "answers what it is asked", func(_ context.Context, from string, body []byte) (any, error) {
		return echo{from, body}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func testRequest(t *testing.T, fleet []*bus.Bus) {
	for _, b := range fleet {
		handleEcho(t, b, "echo")
	}
	flush(t, fleet)
	for i, from := range fleet {
		for j := range fleet {
			raw, err := from.Request(within(t), Service(j), Node(j), "echo", map[string]int{"n": i})
			if err != nil {
				t.Fatalf("from %d to %d: %v", i, j, err)
			}
			want := fmt.Sprintf(`{"from":"%s/%s","body":{"n":%d}}`, Node(i), Service(i), i)
			if string(raw) != want {
				t.Errorf("from %d to %d: got %s, want %s", i, j, raw, want)
			}
		}
	}
	if err := fleet[0].Handle("echo", "", nil); !errors.Is(err, fault.Conflict) {
		t.Errorf("a verb taken: %v", err)
	}
}

func testRequestErrors(t *testing.T, fleet []*bus.Bus) {
	last := len(fleet) - 1
	to := fleet[last]
	classes := []fault.Class{fault.Invalid, fault.NotFound, fault.Denied, fault.Full, fault.Internal, fault.Config}
	for i, c := range classes {
		to.Handle(fmt.Sprintf("fail-%d", i), "", func(context.Context, string, []byte) (any, error) {
			return nil, fault.New(c, "the\nreason")
		})
	}
	to.Handle("slow", "", func(ctx context.Context, _ string, _ []byte) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	flush(t, fleet)
	ask := func(ctx context.Context, node, verb string) error {
		_, err := fleet[0].Request(ctx, Service(last), node, verb, nil)
		return err
	}
	for i, c := range classes {
		if err := ask(within(t), Node(last), fmt.Sprintf("fail-%d", i)); fault.Of(err) != c {
			t.Errorf("class %v came back as %v: %v", c, fault.Of(err), err)
		}
	}
	if err := ask(within(t), "nobody", "echo"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("nobody there: %v", err)
	}
	if err := ask(within(t), Node(last), "Bad.Verb"); !errors.Is(err, fault.Invalid) {
		t.Errorf("bad verb: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := ask(short, Node(last), "slow"); !errors.Is(err, fault.Timeout) {
		t.Errorf("too slow: %v", err)
	}
}

func testRequestAll(t *testing.T, fleet []*bus.Bus) {
	for _, b := range fleet {
		handleEcho(t, b, "who")
	}
	flush(t, fleet)
	asked := time.Now()
	got, err := fleet[0].RequestAll(within(t), "", "who", nil, len(fleet))
	answered := time.Since(asked)
	if err != nil || len(got) != len(fleet) {
		t.Fatalf("all: %d answers, %v", len(got), err)
	}
	for i, r := range got {
		if r.Node != Node(i) || r.Service != Service(i) || r.Err != nil || len(r.Body) == 0 {
			t.Errorf("answer %d: %+v", i, r)
		}
	}
	got, err = fleet[0].RequestAll(within(t), Service(0), "who", nil, 1)
	if err != nil || len(got) != 1 || got[0].Node != Node(0) {
		t.Errorf("one service: %+v, %v", got, err)
	}
	// Long enough for those who answer, going by how long they took before.
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond+20*answered)
	defer cancel()
	got, err = fleet[0].RequestAll(short, "", "who", nil, len(fleet)+1)
	if !errors.Is(err, fault.Partial) || len(got) != len(fleet) {
		t.Errorf("one too few: %d answers, %v", len(got), err)
	}
	if got, err := fleet[0].RequestAll(within(t), "", "nobody-knows", nil, 0); err != nil || len(got) != 0 {
		t.Errorf("a verb nobody knows: %+v, %v", got, err)
	}
}

// A panic in a handler or a subscriber ends neither the daemon nor the next call.
func testPanics(t *testing.T, fleet []*bus.Bus) {
	b := fleet[0]
	b.Handle("boom", "", func(context.Context, string, []byte) (any, error) { panic("on purpose") })
	handleEcho(t, b, "echo")
	seen := make(chan string, 10)
	cancel, err := b.Subscribe("", "p", func(e bus.Event) {
		seen <- e.Object
		panic("on purpose")
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	flush(t, fleet)
	if _, err := b.Request(within(t), Service(0), Node(0), "boom", nil); !errors.Is(err, fault.Internal) {
		t.Errorf("a handler that panics: %v", err)
	}
	if _, err := b.Request(within(t), Service(0), Node(0), "echo", nil); err != nil {
		t.Errorf("after a panic: %v", err)
	}
	b.Emit("p", "1", nil)
	b.Emit("p", "2", nil)
	if x, y := receive(t, seen), receive(t, seen); x+y != "12" {
		t.Errorf("a subscriber that panics saw %s, %s", x, y)
	}
}

// At most 64 requests run; one more is refused at once.
func testBusy(t *testing.T, fleet []*bus.Bus) {
	last := len(fleet) - 1
	release := make(chan struct{})
	running := make(chan struct{}, 100)
	fleet[last].Handle("wait", "", func(ctx context.Context, _ string, _ []byte) (any, error) {
		running <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return "done", nil
	})
	flush(t, fleet)
	ctx := within(t)
	ask := func() error {
		_, err := fleet[0].Request(ctx, Service(last), Node(last), "wait", nil)
		return err
	}
	errs := make(chan error, 64)
	for range 64 {
		go func() { errs <- ask() }()
	}
	for range 64 {
		receive(t, running)
	}
	if err := ask(); !errors.Is(err, fault.Full) {
		t.Errorf("the 65th: %v", err)
	}
	close(release)
	for range 64 {
		if err := receive(t, errs); err != nil {
			t.Errorf("one of the 64: %v", err)
		}
	}
	if err := ask(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
