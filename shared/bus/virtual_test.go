package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// machine is a host without sockets: who serves is a variable, and connections are pipes.
type machine struct {
	mu     sync.Mutex
	holder *embedded
	broken bool // nothing can be bound or reached
}

// pipes is a bus's wire on a machine.
type pipes struct {
	on  *machine
	bus *Bus
}

var errMachine = errors.New("the machine is broken")

func (p *pipes) serve(ctx context.Context) (*embedded, error) {
	p.on.mu.Lock()
	defer p.on.mu.Unlock()
	switch {
	case p.on.broken:
		return nil, fault.Wrap(fault.Unavailable, fmt.Errorf("%w: %w", errBroken, errMachine), "test")
	case p.on.holder != nil && p.on.holder.srv.Running():
		return nil, errInUse
	}
	opts := serverOptions(p.bus.cfg, p.bus.env)
	opts.DontListen, opts.Cluster.Port = true, 0
	e, err := startServer(ctx, opts, newServerLog(p.bus.log))
	p.on.holder = e
	return e, err
}

func (p *pipes) dial(context.Context, *embedded) (*nats.Conn, error) {
	p.on.mu.Lock()
	defer p.on.mu.Unlock()
	if p.on.holder == nil {
		return nil, errMachine
	}
	return connectOwn(p.on.holder.srv, p.bus.clientOptions())
}

// run starts a bus on the machine and returns it with what ends it.
func (m *machine) run(t *testing.T, service string, h *health.Registry) (*Bus, func()) {
	t.Helper()
	b, err := New(Config{Mode: "auto"}, Env{Fleet: "demo", Node: "n", Service: service, Health: h, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	b.wire = &pipes{on: m, bus: b}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { b.Run(ctx) })
	return b, func() { cancel(); wg.Wait() }
}

// bubbleVar names the test that a process of its own runs.
const bubbleVar = "BUS_TEST_BUBBLE"

// inBubble runs f in virtual time and in a process of its own: the NATS client pools its timers for the whole process, and one that was
// made in a bubble must not be met by another bubble or outside.
func inBubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if os.Getenv(bubbleVar) == t.Name() {
		synctest.Test(t, f)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), bubbleVar+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
}

func level(r *health.Registry, id string) health.Level {
	for _, s := range r.Snapshot() {
		if s.ID == id {
			return s.Level
		}
	}
	return 255
}

// Three daemons; the holder closes; then the next; events flow each time, in virtual time.
func TestVirtualRoles(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var m machine
		var fleet []*Bus
		for _, service := range []string{"lbd", "dnsd", "logd"} {
			b, end := m.run(t, service, nil)
			defer end()
			if err := b.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			fleet = append(fleet, b)
		}
		last := fleet[2]
		heard := make(chan string, 100)
		cancel, err := last.Subscribe("", "x", func(e Event) { heard <- e.Service })
		if err != nil {
			t.Fatal(err)
		}
		defer cancel()
		for i, b := range fleet {
			time.Sleep(time.Minute)
			servers := 0
			for _, other := range fleet[i:] {
				servers += int(oneIf(other.State() == Server))
			}
			if servers != 1 {
				t.Errorf("%d servers after %d ends", servers, i)
			}
			b.Emit("x", "", nil)
			if got := <-heard; got != b.env.Service {
				t.Errorf("heard %s", got)
			}
			if i < 2 {
				if err := b.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		if err := last.Close(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}

// bus.disconnected shows after 2 s without a connection, bus.foreign after 1 s, and both end with it.
func TestVirtualHealth(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := machine{broken: true}
		h := health.NewRegistry()
		b, end := m.run(t, "lbd", h)
		defer end()
		time.Sleep(900 * time.Millisecond)
		if d, f := level(h, "bus.disconnected"), level(h, "bus.foreign"); d != health.OK || f != health.OK {
			t.Errorf("after 0.9 s: disconnected %v, foreign %v", d, f)
		}
		time.Sleep(1200 * time.Millisecond)
		if d, f := level(h, "bus.disconnected"), level(h, "bus.foreign"); d != health.Warn || f != health.Fail {
			t.Errorf("after 2.1 s: disconnected %v, foreign %v", d, f)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Request(short, "lbd", "n", "x", nil); !errors.Is(err, fault.Unavailable) {
			t.Errorf("a request without a connection: %v", err)
		}
		m.mu.Lock()
		m.broken = false
		m.mu.Unlock()
		time.Sleep(5 * time.Second)
		if d, f := level(h, "bus.disconnected"), level(h, "bus.foreign"); d != health.OK || f != health.OK || b.State() != Server {
			t.Errorf("after the mend: disconnected %v, foreign %v, %s", d, f, b.State())
		}
	})
}

// bus.slow-consumer stays for 30 s after the last event lost.
func TestVirtualSlow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var m machine
		h := health.NewRegistry()
		b, end := m.run(t, "lbd", h)
		defer end()
		if err := b.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		cancel, err := b.Subscribe("", "", func(Event) { <-release })
		if err != nil {
			t.Fatal(err)
		}
		defer cancel()
		for i := range queueLen + 500 {
			b.Emit("x", strconv.Itoa(i), nil)
			if i%500 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		close(release)
		time.Sleep(2 * time.Second)
		if l := level(h, "bus.slow-consumer"); l != health.Warn {
			t.Errorf("after the loss: %v", l)
		}
		time.Sleep(slowFor)
		if l := level(h, "bus.slow-consumer"); l != health.OK {
			t.Errorf("30 s later: %v", l)
		}
	})
}

// A request under way when the connection ends is a time-out: whether it took effect is unknown.
func TestVirtualLostRequest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var m machine
		holder, endHolder := m.run(t, "lbd", nil)
		defer endHolder()
		if err := holder.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		b, end := m.run(t, "dnsd", nil)
		defer end()
		b.Handle("hang", "", func(ctx context.Context, _ string, _ []byte) (any, error) { <-ctx.Done(); return nil, ctx.Err() })
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		asked := make(chan error, 1)
		go func() {
			_, err := b.Request(t.Context(), "dnsd", "n", "hang", nil)
			asked <- err
		}()
		synctest.Wait()
		m.holder.srv.Shutdown()
		if err := <-asked; !errors.Is(err, fault.Timeout) || !errors.Is(err, errLost) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Minute) // the handler's own time ends
	})
}

// diesAtOnce hands out, the first time, a connection that has ended before the bus looks at it.
type diesAtOnce struct {
	pipes
	done bool
}

func (d *diesAtOnce) dial(ctx context.Context, own *embedded) (*nats.Conn, error) {
	nc, err := d.pipes.dial(ctx, own)
	if err == nil && !d.done {
		d.done = true
		nc.Close()
	}
	return nc, err
}

// A connection may end between its making and its use; the bus must not wait for an end it was not told of.
func TestVirtualConnectionThatDiedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var m machine
		b, err := New(Config{Mode: "auto"}, Env{Fleet: "demo", Node: "n", Service: "lbd", Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		b.wire = &diesAtOnce{pipes: pipes{on: &m, bus: b}}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { b.Run(ctx) })
		wait, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := b.Wait(wait); err != nil {
			t.Errorf("the bus did not connect anew: %v", err)
		}
		cancel()
		wg.Wait()
		time.Sleep(time.Minute)
	})
}
