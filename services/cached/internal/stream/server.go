// Package stream carries cached's TLS connections: a goroutine for each, on crypto/tls. Plain ones are carried by package loop.
//
// # Who owns what
//
// A Server has a goroutine for each listener, which accepts, and one for each connection, which alone calls its session; Run starts
// all of them, and returns when the last has ended. The connections share a few lanes: a lane is a Meter and a LoopCount, which have one
// writer, so that a Step holds its lane's lock. What a connection tells others (its state, when it was last heard of) has a lock of its own, so that
// a session may ask for the listing.
//
// # Bounds
//
//   - connections: the Gate, shared with other carriers. The handshake has Limits.Handshake, and a place from its beginning on.
//   - an idle connection: a goroutine, crypto/tls's state and a buffer of 1 KiB, together 17 kB (9 of heap, 8 of stack); the large buffers are
//     borrowed while there is work. crypto/tls keeps the buffer of the largest record it has read (17 KiB at most).
//   - input held for a connection: session.MaxHeld and one read; output: the answers of one Step (session.OutHigh +
//     session.TurnBytes) and one pinned value. Input above 64 KiB counts towards Limits.Buffers, for all together.
//   - time: Limits.Idle for input, Limits.Write for each 64 KiB of output; the kernel's and crypto/tls's clock, not the daemon's coarse one.
//
// Where a session yields, the scheduler decides who is next.
//
// # Faults
//
// A panic of a session ends its connection and is reported (Hooks.Bug). Failed accepts are retried at growing intervals up to one
// second, and reported when they begin and when they are over. Failed handshakes are counted.
package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/fault"
)

// Options of a Server.
type Options struct {
	Listeners []Listener
	Factory   session.Factory
	Env       *session.Env
	Gate      *conns.Gate // shared with other carriers
	Limits    conns.Limits
	Hooks     conns.Hooks
}

// Listener is a listening TCP socket. The server closes it when it drains or ends: accepting cannot be ended otherwise.
type Listener struct {
	Net  net.Listener
	TLS  *tls.Config // Certs.Config
	Tag  uint64
	Only session.Protocol
}

// Server carries TLS connections.
type Server struct {
	o       Options
	gate    *conns.Gate
	limits  atomic.Pointer[conns.Limits]
	lanes   []lane
	next    atomic.Uint32 // lane
	accepts atomic.Bool   // accepting works, as far as Hooks.Accept knows
	inputs  sync.Pool     // of *[]byte with room for largeInput
	outputs sync.Pool     // with room for outputCap

	handshakeErrors, bugs, buffersFull atomic.Uint64
	held                               atomic.Int64 // bytes of large inputs

	ctx    context.Context // of the connections
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // of what follows
	all    map[*conn]struct{}
	ends   time.Time     // when reading ends, once the server drains
	empty  chan struct{} // closed when all have ended, once the server drains
	opened chan struct{} // closed, and replaced, when the gate has changed
}

// lane is what a loop is to package loop, as far as counting goes.
type lane struct {
	mu    sync.Mutex // held during a Step
	meter *session.Meter
	note  session.LoopCount
}

// New makes a server that accepts once Run is called.
func New(o Options) *Server {
	s := &Server{
		o: o, gate: o.Gate, lanes: make([]lane, runtime.GOMAXPROCS(0)),
		opened: make(chan struct{}), all: map[*conn]struct{}{},
	}
	s.limits.Store(&o.Limits)
	s.accepts.Store(true)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for i := range s.lanes {
		s.lanes[i].meter = session.NewMeter()
	}
	s.inputs.New = func() any { b := make([]byte, 0, largeInput); return &b }
	s.outputs.New = func() any { b := make([]byte, 0, outputCap); return &b }
	s.gate.Notify(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(s.opened)
		s.opened = make(chan struct{})
	})
	return s
}

// Run serves until ctx ends, then cuts what is left and returns when every goroutine has ended. Call it once, also after a Drain.
func (s *Server) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.Cut)()
	var accepting sync.WaitGroup
	for i := range s.o.Listeners {
		accepting.Go(func() { s.accept(&s.o.Listeners[i]) })
	}
	<-s.ctx.Done()
	s.closeListeners()
	accepting.Wait()
	s.wg.Wait()
	return nil
}

func (s *Server) closeListeners() {
	for i := range s.o.Listeners {
		s.o.Listeners[i].Net.Close() // fails only when it is closed already
	}
}

// accept takes connections until the listener closes.
func (s *Server) accept(from *Listener) {
	pause := time.Duration(0)
	for s.open() {
		c, err := from.Net.Accept()
		switch {
		case err == nil:
			pause = 0
			s.tellAccept(nil)
			s.welcome(c, from)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.tellAccept(err)
			pause = min(max(2*pause, 20*time.Millisecond), time.Second)
			wait(s.ctx, pause)
		}
	}
}

// open waits until the gate is open; false: the server has ended.
func (s *Server) open() bool {
	for {
		s.mu.Lock()
		changed := s.opened
		s.mu.Unlock()
		if s.gate.Open() {
			return s.ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return false
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *Server) tellAccept(err error) {
	if was := s.accepts.Load(); was == (err == nil) || !s.accepts.CompareAndSwap(was, !was) || s.o.Hooks.Accept == nil {
		return
	}
	s.o.Hooks.Accept(err)
}

// welcome serves c, unless there is no room.
func (s *Server) welcome(c net.Conn, from *Listener) {
	id, ok := s.gate.Enter()
	if !ok {
		c.SetWriteDeadline(time.Now().Add(time.Second))
		c.Write([]byte(conns.Refusal)) // in plain text, as memcached does; if it fails, nothing is lost
		c.Close()
		return
	}
	n := &conn{
		s: s, from: from, id: id, raw: c, lane: &s.lanes[s.next.Add(1)%uint32(len(s.lanes))],
		remote: c.RemoteAddr().String(), state: conns.Unborn, heard: time.Now(),
	}
	s.mu.Lock()
	s.all[n] = struct{}{}
	s.mu.Unlock()
	s.wg.Go(n.serve)
}

// Cut ends all connections now, and Run.
func (s *Server) Cut() { s.cancel() }

// Drain stops accepting and gives clients Limits.DrainPause to send the rest of what they are sending; a command being answered ends
// first. It returns when all connections have ended, or, with fault.Partial, when ctx has.
func (s *Server) Drain(ctx context.Context) error {
	s.closeListeners()
	s.mu.Lock()
	s.ends = time.Now().Add(s.limits.Load().DrainPause)
	for c := range s.all {
		c.endAt(s.ends)
	}
	empty := make(chan struct{})
	if s.empty = empty; len(s.all) == 0 {
		close(empty)
	}
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		return fault.New(fault.Partial, "stream: drain: %d connections are left", len(s.all))
	}
}

// leave takes c off the list.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
	if len(s.all) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// ending returns when reading ends; zero while the server does not drain.
func (s *Server) ending() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ends
}

// SetLimits changes the limits, for a connection from its next read or write on.
func (s *Server) SetLimits(l conns.Limits) { s.limits.Store(&l) }

// Conns lists the listeners and at most room connections. It may be called from anywhere, from a session's Step too.
func (s *Server) Conns(room int) []conns.Info {
	var out []conns.Info
	for i := range s.o.Listeners {
		out = append(out, conns.Info{Transport: session.TLS, Local: s.o.Listeners[i].Net.Addr().String(), State: conns.Listening})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		if room--; room < 0 {
			break
		}
		out = append(out, c.info())
	}
	return out
}

// Stats are the server's counts beside those of the Gate.
type Stats struct {
	Current         int    // connections
	HandshakeErrors uint64 // ssl_handshake_errors
	Bugs            uint64 // sessions that panicked or broke the contract
	BuffersFull     uint64 // connections closed because Limits.Buffers was reached
}

// Stats returns the counts as they are now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Current: len(s.all), HandshakeErrors: s.handshakeErrors.Load(), Bugs: s.bugs.Load(), BuffersFull: s.buffersFull.Load(),
	}
}

// Counts returns the counts of each lane.
func (s *Server) Counts() []*session.LoopCount {
	out := make([]*session.LoopCount, len(s.lanes))
	for i := range s.lanes {
		out[i] = &s.lanes[i].note
	}
	return out
}

// Meters returns the meter of each lane.
func (s *Server) Meters() []*session.Meter {
	out := make([]*session.Meter, len(s.lanes))
	for i := range s.lanes {
		out[i] = s.lanes[i].meter
	}
	return out
}
