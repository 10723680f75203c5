package engine

import (
	"context"
	"crypto/tls"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/services/lbd/internal/loop"
	"github.com/everup/everup/services/lbd/internal/spool"
	"github.com/everup/everup/services/lbd/internal/tlsconn"
)

// Options of an Engine.
type Options struct {
	Workers int           // loops, each in a goroutine of its own; at least 1
	Limits  http1.Limits  // of heads
	Header  time.Duration // longest time for a request's head to come in
	Idle    time.Duration // a connection without a request is closed after so long
	Clients int           // connections at once
	// Begun is told how connections have begun with which there was more to do than to accept or make them. nil: nobody is.
	Begun func(*Begun)
	// Identify makes of a client's TLS what requests are to know of it, once for a connection. nil: nothing.
	Identify func(*tls.ConnectionState) any
	// Broken is told of each connection of HTTP/2 that was ended because its client broke the rules, or did what serves only to tire us out.
	// nil: nobody is.
	Broken func(peer netip.AddrPort, why http2.Reason)
	// Admission bounds the connections of each source. nil: nothing does.
	Admission Admission

	Encoders *encoding.Pool // for Plan.Compress; nil: nothing is compressed
	Spools   *spool.Store   // for Plan's Buffering; nil: nothing is buffered

	// Panic is told of a panic, which ends one exchange. nil: it ends the process.
	Panic func(v any)
}

// Engine serves HTTP/1.1 clients.
type Engine struct {
	o       Options
	site    Site
	workers []*worker
	wg      sync.WaitGroup

	hide   maphash.Seed // of identifiers in place of addresses
	idle   idle
	shakes shakeLimit

	maxShakes atomic.Int64 // handshakes under way in a worker

	counts  counts
	growth  http2.Growth
	tunnels atomic.Int64
	open    atomic.Int64
	limit   atomic.Int64 // of open
	full    atomic.Bool  // somebody waits for room
	empty   chan struct{}

	running atomic.Bool

	delayed, maxDelayed atomic.Int64 // requests that wait as their plan says
}

// New returns an engine that asks site. Run it.
func New(o Options, site Site) (*Engine, error) {
	e := &Engine{o: o, site: site, hide: maphash.MakeSeed(), empty: make(chan struct{}, 1)}
	e.idle.all = map[idleKey][]*member{}
	e.SetLimit(o.Clients)
	e.SetHandshakes(usualHandshakes)
	for i := range max(o.Workers, 1) {
		l, err := loop.New()
		if err != nil {
			for _, w := range e.workers {
				w.loop.Close()
			}
			return nil, err
		}
		if o.Panic != nil {
			l.Panicked = e.panicked
		}
		e.workers = append(e.workers, &worker{
			e: e, number: i, loop: l, began: time.Now(), clients: map[*client]struct{}{}, hellos: map[*hello]struct{}{}, h2: newH2(o.Limits, &e.growth),
			tls: tlsconn.NewEnv(usualHandshakes), delayed: map[*exchange]struct{}{}, ended: make(chan struct{}),
		})
	}
	return e, nil
}

// panicked ends what a panic has left in an unknown state.
func (e *Engine) panicked(h loop.Handler, v any) {
	e.o.Panic(v)
	switch c := h.(type) {
	case *client:
		c.fail()
	case *hello:
		c.close()
	case *h2conn:
		c.fail()
	case *h2up:
		c.fail()
	case *h2call:
		if c.u != nil {
			c.u.fail()
		}
	case *h2stream:
		if c.c != nil {
			c.c.fail()
		}
	case *member:
		if c.x != nil && c.x.c != nil {
			c.x.c.fail()
			return
		}
		e.idle.remove(c)
		c.close()
	}
}

// Run serves until Stop. It returns the first failure of a loop.
func (e *Engine) Run() error {
	e.running.Store(true)
	errs := make([]error, len(e.workers))
	for i, w := range e.workers {
		e.wg.Go(func() {
			errs[i] = w.loop.Run()
			w.end()
			close(w.ended)
		})
	}
	e.wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Stop ends Run: all connections are cut.
func (e *Engine) Stop() {
	for _, w := range e.workers {
		w.loop.Stop()
	}
}

// Drain makes every answer its connection's last.
func (e *Engine) Drain() {
	for _, w := range e.workers {
		w.loop.Post(w.drain)
	}
}

// CloseIdle closes the clients that have no request under way.
func (e *Engine) CloseIdle() {
	for _, w := range e.workers {
		w.loop.Post(w.closeIdle)
	}
}

// Turning reports whether each loop has turned since it was last asked; the first time it is so.
func (e *Engine) Turning() bool {
	all := true
	for _, w := range e.workers {
		if w.asked.Swap(true) {
			all = false
			continue
		}
		w.loop.Post(func() { w.asked.Store(false) })
	}
	return all
}

// Wait waits until no client is connected, or ctx ends. One at a time may wait.
func (e *Engine) Wait(ctx context.Context) error {
	for e.open.Load() > 0 {
		select {
		case <-e.empty:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Workers returns how many loops there are.
func (e *Engine) Workers() int { return len(e.workers) }

// Close releases an engine that was never run.
func (e *Engine) Close() {
	for _, w := range e.workers {
		w.loop.Close()
	}
}

// SetLimit bounds the client connections; further ones wait in the kernel's queue.
func (e *Engine) SetLimit(n int) {
	e.limit.Store(int64(n))
	e.wakeAcceptors()
}

// counts are what the engine has done.
type counts struct {
	accepted, waited, requests, connected, reused, delayed, undelayed atomic.Uint64
}

// Counts are what an Engine has done since it was made.
type Counts struct {
	Accepted  uint64 // connections
	Waited    uint64 // times that accepting waited for room
	Requests  uint64
	Connected uint64 // connections made to members
	Reused    uint64 // requests on one that was there
	Delayed   uint64 // requests that waited as their plan said
	Undelayed uint64 // requests that did not, as too many waited
}

// Counts returns what was done.
func (e *Engine) Counts() Counts {
	c := &e.counts
	return Counts{c.accepted.Load(), c.waited.Load(), c.requests.Load(), c.connected.Load(), c.reused.Load(), c.delayed.Load(), c.undelayed.Load()}
}

// enter counts a client connection in; false if there is no room.
func (e *Engine) enter() bool {
	if e.open.Add(1) <= e.limit.Load() {
		return true
	}
	e.open.Add(-1)
	e.full.Store(true)
	e.counts.waited.Add(1)
	// One may have left before full was set.
	if e.open.Load() < e.limit.Load() && e.full.Swap(false) {
		e.wakeAcceptors()
	}
	return false
}

// leave counts one out, with its source; nil if it was never somebody's.
func (e *Engine) leave(o *origin) {
	if e.o.Admission != nil && o != nil {
		e.o.Admission.Leave(o.source)
	}
	if e.open.Add(-1) == 0 {
		select {
		case e.empty <- struct{}{}:
		default: // it is told already
		}
	}
	if e.full.Swap(false) {
		e.wakeAcceptors()
	}
}

// wakeAcceptors has all workers look for connections.
func (e *Engine) wakeAcceptors() {
	for _, w := range e.workers {
		w.loop.Post(w.acceptAll)
	}
}

// Cut closes all client connections, soon.
func (e *Engine) Cut() {
	for _, w := range e.workers {
		w.loop.Post(w.cut)
	}
}

// Open returns how many client connections there are, upgraded ones among them.
func (e *Engine) Open() (clients, tunnels int) { return int(e.open.Load()), int(e.tunnels.Load()) }
