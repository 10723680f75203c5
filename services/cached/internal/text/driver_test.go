package text

import (
	"context"
	"io"
	"net"
	"strconv"
	"testing"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/oracletest"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/watch"
)

// newEnv is a daemon's environment under memcached's flags args.
func newEnv(t testing.TB, args ...string) *session.Env {
	t.Helper()
	o := engine.Options{Memory: 16 << 20, MaxItem: 1 << 20, Shards: 1, Threads: 1, Seed: 1}
	env := &session.Env{Clock: new(session.Clock), Started: oracletest.Now}
	settings := map[string]string{"lru_maintainer_thread": "no"}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-C":
			o.NoCAS, env.NoCAS = true, true
		case "-F":
			env.NoFlush = true
		case "-X":
			env.NoDump = true
		case "-W":
			env.NoWatch = true
		case "-A":
			env.Shutdown = func(bool) {}
		case "-M":
			o.NoEvict = true
		case "-I":
			i++
			o.MaxItem = size(t, args[i])
		case "-m":
			i++
			o.Memory = size(t, args[i]+"m")
		case "-B":
			i++
		case "-D":
			i++
			env.Prefixes.Delimiter = args[i][0]
			env.Prefixes.Enable(true)
		case "-o":
			i++
			switch args[i] {
			case "track_sizes":
				settings["track_sizes"] = "yes"
			case "lru_maintainer":
				settings["lru_maintainer_thread"] = "yes"
			case "no_slab_reassign":
				settings["slab_reassign"] = "no"
			}
		default:
			t.Fatalf("unknown argument %q", args[i])
		}
	}
	env.Limit = func(int64) error { return nil } // how far it can go is the engine's
	env.Settings = func() (pairs []session.Pair) {
		for k, v := range settings {
			pairs = append(pairs, session.Pair{Name: k, Value: v})
		}
		return pairs
	}
	store, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	env.Store = store
	env.Clock.Set(oracletest.Now)
	watch.Install(&env.Watch, watch.Options{})
	return env
}

func size(t testing.TB, s string) int64 {
	t.Helper()
	unit := int64(1)
	switch s[len(s)-1] {
	case 'k':
		unit, s = 1<<10, s[:len(s)-1]
	case 'm':
		unit, s = 1<<20, s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n * unit
}

// driver carries the bytes of one session as a carrier does.
type driver struct {
	t       testing.TB
	s       session.Session
	held    []byte
	out     session.Out
	written []byte
	body    bool
	closed  bool
	watches bool // the connection is a watcher's and has no more to say
	steps   int
}

func newDriver(t testing.TB, env *session.Env) *driver {
	d := &driver{t: t, s: New(&session.Peer{ID: 7, Env: env, Meter: session.NewMeter(), Note: new(session.LoopCount)})}
	return d
}

// send gives the session more input, and returns what it has answered.
func (d *driver) send(in []byte) []byte {
	for len(in) > 0 && !d.closed && !d.watches {
		if d.body {
			n := copy(d.s.Body(), in)
			if n == 0 {
				d.t.Fatal("the session wants a value of no bytes")
			}
			d.s.Filled(n)
			in, d.body = in[n:], false
		} else {
			d.held, in = append(d.held, in...), nil
		}
		d.run()
	}
	answer := d.written
	d.written = nil
	return answer
}

// run steps until the session needs more.
func (d *driver) run() {
	for idle := 0; ; {
		d.steps++
		n, next := d.s.Step(d.held, &d.out)
		if n < 0 || n > len(d.held) {
			d.t.Fatalf("consumed %d of %d bytes", n, len(d.held))
		}
		if idle++; n > 0 || len(d.out.Buf) > 0 {
			idle = 0
		}
		if idle > 3 {
			d.t.Fatalf("no progress at %.60q, next %d", d.held, next)
		}
		if max := session.OutHigh + engine.PinAbove + 1<<10; len(d.out.Buf) > max {
			d.t.Fatalf("%d bytes of answers in one step", len(d.out.Buf))
		}
		d.held = d.held[n:]
		d.flush()
		switch next {
		case session.More:
			if len(d.held) > session.MaxHeld {
				d.t.Fatalf("holds %d bytes", len(d.held))
			}
			return
		case session.Body:
			if len(d.held) > 0 {
				d.t.Fatalf("wants a value from the socket and leaves %d bytes", len(d.held))
			}
			d.body = true
			return
		case session.Flush, session.Yield:
		case session.Close, session.Abort:
			d.closed = true
			d.s.End()
			return
		case session.Detach:
			d.detach()
			if d.closed || d.watches {
				return
			}
			idle = 0
		default:
			d.t.Fatalf("unknown next %d", next)
		}
	}
}

// flush writes what there is.
func (d *driver) flush() {
	d.written = append(d.written, d.out.Buf...)
	for p := d.out.Big.Next(); p != nil && d.out.Big.Len() > 0; p = d.out.Big.Next() {
		d.written = append(d.written, p...)
		d.out.Big.Advance(len(p))
	}
	d.out.Big.Unpin()
	d.out.Buf = d.out.Buf[:0]
}

func (d *driver) detach() {
	ours, theirs := net.Pipe()
	heard := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(ours)
		heard <- b
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, d.watches = d.s.(*client).job.(watchJob); d.watches {
		cancel() // it would go on for ever
	}
	left, back := d.s.Detached(ctx, theirs, d.held)
	_ = theirs.Close()
	d.written = append(d.written, <-heard...)
	_ = ours.Close()
	d.held, d.closed = left, !back && !d.watches
}
