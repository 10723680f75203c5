package loop

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/fault"
)

// Group is a set of event loops that serve the same listeners.
type Group struct {
	o         Options
	gate      *conns.Gate
	listeners []listener
	loops     []*loop
	limits    atomic.Pointer[Limits]
	phase     atomic.Int32
	second    atomic.Uint32 // since the start
	accepts   atomic.Bool   // accepting works, as far as Hooks.Accept knows
	deaf      atomic.Int32  // loops that listen no more
	unlisten  sync.Once

	bugs, buffersFull atomic.Uint64

	wg     sync.WaitGroup // the detached
	ctx    context.Context
	cancel context.CancelFunc // ends the detached
	idle   chan struct{}      // a connection has ended while the group drains

	mu   sync.Mutex
	away map[int64]conns.Info // the detached
}

// Phases of a group, in order.
const (
	serving int32 = iota
	closing       // nothing new is accepted
	drained       // connections end where they would wait for input
	cut           // all end now
)

// New makes a group that accepts once Run is called. The listeners must be bound.
func New(o Options) (*Group, error) {
	g := &Group{
		o: o, gate: o.Gate, loops: make([]*loop, max(o.Threads, 1)),
		idle: make(chan struct{}, 1), away: map[int64]conns.Info{},
	}
	g.limits.Store(&o.Limits)
	g.accepts.Store(true)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	for _, s := range o.Listeners {
		ls, err := newListener(s)
		if err != nil {
			g.release()
			return nil, err
		}
		g.listeners = append(g.listeners, ls)
	}
	for i := range g.loops {
		l, err := newLoop(g)
		if err != nil {
			g.release()
			return nil, fault.Wrap(fault.Unavailable, err, "loop: make loop %d", i)
		}
		g.loops[i] = l
	}
	g.gate.Notify(g.rouse)
	return g, nil
}

// release closes the group's descriptors.
func (g *Group) release() {
	g.cancel()
	for _, l := range g.loops {
		if l != nil {
			l.release()
		}
	}
	g.closeListeners()
}

// Close releases what New opened, for a group that will not run; after Run it does nothing.
func (g *Group) Close() { g.release() }

// Run serves until ctx ends, then cuts what is left and returns when every goroutine has ended. Call it once, also after a Drain.
// Its error is that of a loop that could not go on.
func (g *Group) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, g.Cut)()
	stop := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() { g.keepTime(stop) })
	errs := make([]error, len(g.loops))
	var loops sync.WaitGroup
	for i, l := range g.loops {
		loops.Go(func() {
			defer g.Cut() // one that cannot go on takes the others along
			errs[i] = l.run()
		})
	}
	loops.Wait()
	close(stop)
	beside.Wait()
	g.wg.Wait()
	g.release()
	return errors.Join(errs...)
}

// rouse makes all loops look at the group's state.
func (g *Group) rouse() {
	for _, l := range g.loops {
		l.rouse()
	}
}

// enter moves on to phase; there is no way back.
func (g *Group) enter(phase int32) {
	for {
		now := g.phase.Load()
		if now >= phase {
			return
		}
		if g.phase.CompareAndSwap(now, phase) {
			g.rouse()
			return
		}
	}
}

// Cut ends all connections now, and Run.
func (g *Group) Cut() {
	g.cancel()
	g.enter(cut)
}

// Drain stops accepting, gives clients Limits.DrainPause to send the rest of what they are sending, and ends each connection
// where it would wait for more. It returns when all have ended, or, with fault.Partial, when ctx has.
func (g *Group) Drain(ctx context.Context) error {
	g.enter(closing)
	pause := time.NewTimer(g.limits.Load().DrainPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
	g.enter(drained)
	g.cancel()
	for g.load() > 0 {
		select {
		case <-g.idle:
		case <-ctx.Done():
			return fault.New(fault.Partial, "loop: drain: %d connections are left", g.load())
		}
	}
	return nil
}

// SetLimits changes the limits.
func (g *Group) SetLimits(l Limits) {
	g.limits.Store(&l)
	g.rouse()
}

// load is the number of connections, the detached included.
func (g *Group) load() (n int) {
	for _, l := range g.loops {
		n += int(l.load.Load())
	}
	return n
}

// ended is called when a connection has.
func (g *Group) ended() {
	if g.phase.Load() < drained {
		return
	}
	select {
	case g.idle <- struct{}{}:
	default:
	}
}

// lightest returns the loop with the fewest connections, self where that is one of them.
func (g *Group) lightest(self *loop) *loop {
	best, least := self, self.load.Load()
	for _, l := range g.loops {
		if n := l.load.Load(); n < least {
			best, least = l, n
		}
	}
	return best
}

// Stats are the group's counts beside those of the Gate and of the loops.
type Stats struct {
	Loops       []int  // connections of each
	Detached    int    // of these, served by a goroutine
	Bugs        uint64 // sessions that panicked or broke the contract
	BuffersFull uint64 // connections closed because Limits.Buffers was reached
}

// Stats returns the counts as they are now.
func (g *Group) Stats() Stats {
	s := Stats{Bugs: g.bugs.Load(), BuffersFull: g.buffersFull.Load()}
	for _, l := range g.loops {
		s.Loops = append(s.Loops, int(l.load.Load()))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s.Detached = len(g.away)
	return s
}

// Counts returns the counts of each loop. They are exact when a loop is at rest, and lag by some requests else.
func (g *Group) Counts() []*session.LoopCount {
	out := make([]*session.LoopCount, len(g.loops))
	for i, l := range g.loops {
		out[i] = &l.note
	}
	return out
}

// Meters returns the meter of each loop.
func (g *Group) Meters() []*session.Meter {
	out := make([]*session.Meter, len(g.loops))
	for i, l := range g.loops {
		out[i] = l.meter
	}
	return out
}

func (g *Group) bug(what any, stack []byte) {
	g.bugs.Add(1)
	if g.o.Hooks.Bug != nil {
		g.o.Hooks.Bug(what, stack)
	}
}

// acceptFailed and acceptOK tell the hook of changes.
func (g *Group) acceptFailed(err error) {
	if g.accepts.Swap(false) && g.o.Hooks.Accept != nil {
		g.o.Hooks.Accept(err)
	}
}

func (g *Group) acceptOK() {
	if !g.accepts.Load() && !g.accepts.Swap(true) && g.o.Hooks.Accept != nil {
		g.o.Hooks.Accept(nil)
	}
}
