package bus

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

const (
	disconnectedVisible = 2 * time.Second
	foreignVisible      = time.Second // passes over the moment in which two daemons exchange the role
	watchEvery          = time.Second
	slowFor             = 30 * time.Second // how long a drop keeps bus.slow-consumer up
	drainMax            = 5 * time.Second
	settleMax           = 2 * time.Second
)

// wire is how this daemon reaches its bus: the port of the host (auto) or given servers (urls); in tests a variable.
type wire interface {
	// serve starts the host's server. errInUse: another process has the port.
	serve(ctx context.Context) (*embedded, error)
	// dial connects, to own where this process runs the server. The error is classed by outcomeOf.
	dial(ctx context.Context, own *embedded) (*nats.Conn, error)
}

// session is one connection with what hangs on it. It never reconnects by itself: its end lets stay decide anew.
type session struct {
	nc   *nats.Conn
	svc  micro.Service
	lost <-chan struct{} // closed when nc has ended

	lameOnce sync.Once
	lame     chan struct{} // closed when the server said that it is about to end
}

// stopService ends the micro service: no new requests are taken. It can be called again.
func (s *session) stopService() {
	if s.svc != nil {
		s.svc.Stop()
	}
}

// lameDuck is told that the server at the other end is about to end. Leaving at once is what makes a planned hand-over short.
func (b *Bus) lameDuck(nc *nats.Conn) {
	if s := b.cur.Load(); s != nil && s.nc == nc {
		s.lameOnce.Do(func() { close(s.lame) })
	}
}

// leave closes the connection. From a server that is about to end, what it has sent already is taken first.
func (s *session) leave(ctx context.Context) {
	select {
	case <-s.lame:
		if ctx.Err() == nil && s.nc.Drain() == nil {
			waitClosed(ctx, s.lost)
		}
	default:
	}
	s.nc.Close()
	<-s.lost
}

func waitClosed(ctx context.Context, c <-chan struct{}) {
	select {
	case <-c:
	case <-ctx.Done():
	}
}

// stay keeps the daemon connected, and the host's server running where it falls to this process, until ctx ends.
func (b *Bus) stay(ctx context.Context) {
	r := role{canServe: b.cfg.mode == modeAuto, jitter: rand.Int64N}
	defer b.unserve()
	b.disconnected("not connected yet")
	var nc *nats.Conn
	for next := r.step(time.Now(), outStart); sleep(ctx, next.wait); {
		var out outcome
		switch next.do {
		case actServe:
			out = b.serve(ctx)
		case actDial:
			nc, out = b.dial(ctx)
		case actHold:
			out = b.hold(ctx, nc)
		}
		next = r.step(time.Now(), out)
	}
	if nc != nil {
		nc.Close() // a connection made as ctx ended; closing twice does nothing
	}
}

// sleep waits for d and reports whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// serve tries to become the host's server.
func (b *Bus) serve(ctx context.Context) outcome {
	e, err := b.wire.serve(ctx)
	if err != nil {
		return b.failed(err)
	}
	b.server.Store(e)
	b.met.roleChange.Add(1)
	b.log.Info().Str("listen", e.client).Str("routes", e.routes.String()).Msg("bus: this process runs the host's server")
	if b.env.Serving != nil {
		b.env.Serving(e.routes)
	}
	return outServing
}

// unserve ends the server this process runs, so that another takes over: its clients see the connection end at once.
func (b *Bus) unserve() {
	e := b.server.Swap(nil)
	if e == nil {
		return
	}
	b.met.roleChange.Add(1)
	e.stop()
	// Told afterwards, so that the other hosts do not cut a route that still carries the last events.
	if b.env.Serving != nil {
		b.env.Serving(netip.AddrPort{})
	}
}

// dial connects.
func (b *Bus) dial(ctx context.Context) (*nats.Conn, outcome) {
	nc, err := b.wire.dial(ctx, b.server.Load())
	if err != nil {
		return nil, b.failed(err)
	}
	return nc, outConnected
}

// failed turns an error into an outcome and shows what will not pass by itself.
func (b *Bus) failed(err error) outcome {
	out := outcomeOf(err)
	b.log.Debug().Err(err).Msg("bus: not connected")
	if out == outInUse {
		return out
	}
	b.items.disconnected.set(health.Warn, err.Error(), hintConnect)
	if out == outForeign || out == outBroken || errors.Is(err, errRoutesInUse) {
		b.items.foreign.set(health.Fail, err.Error(), hintForeign)
	}
	return out
}

// hold is connected until the connection or ctx ends.
func (b *Bus) hold(ctx context.Context, nc *nats.Conn) outcome {
	s, err := b.adopt(ctx, nc)
	if err == nil {
		b.wait(ctx, s)
	}
	b.abandon(ctx, s)
	return outLost
}

func (b *Bus) wait(ctx context.Context, s *session) {
	changed := b.env.RoutesChanged
	var routes routeSet
	again := time.NewTimer(0) // the first look follows at once
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.lost:
			return
		case <-s.lame:
			return
		case _, open := <-changed:
			if !open {
				changed = nil
			}
		case <-again.C:
		}
		if at := b.reroute(&routes); !at.IsZero() {
			again.Reset(time.Until(at))
		}
	}
}

// adopt hangs the subscriptions and the handlers on a new connection and makes it the one in use.
func (b *Bus) adopt(ctx context.Context, nc *nats.Conn) (*session, error) {
	lost := make(chan struct{})
	ended := sync.OnceFunc(func() { close(lost) })
	nc.SetClosedHandler(func(*nats.Conn) { ended() })
	if nc.IsClosed() { // before the handler was there: nobody would call it
		ended()
	}
	s := &session{nc: nc, lost: lost, lame: make(chan struct{})}
	b.mu.Lock()
	err := b.startService(ctx, s)
	for sub := range b.subs {
		sub.attach(nc)
	}
	if err == nil {
		b.cur.Store(s)
	}
	b.mu.Unlock()
	if err != nil {
		return s, err
	}
	// The server must know the subscriptions before anyone is told that the bus is up.
	settle, cancel := context.WithTimeout(ctx, settleMax)
	defer cancel()
	if err := nc.FlushWithContext(settle); err != nil {
		return s, fault.Wrap(fault.Unavailable, err, "bus: flush")
	}
	b.connected(nc)
	return s, nil
}

func (b *Bus) connected(nc *nats.Conn) {
	state := Client
	if b.server.Load() != nil {
		state = Server
	}
	b.mu.Lock()
	b.state = state
	close(b.up)
	b.mu.Unlock()
	b.met.connections.Add(1)
	b.items.disconnected.ok()
	b.items.foreign.ok()
	b.log.Info().Str("state", string(state)).Str("server", nc.ConnectedServerName()).Msg("bus: connected")
}

// abandon takes a connection out of use and closes it.
func (b *Bus) abandon(ctx context.Context, s *session) {
	b.mu.Lock()
	b.cur.Store(nil)
	if b.state != Connecting {
		b.state = Connecting
		b.up = make(chan struct{})
	}
	for sub := range b.subs {
		sub.countDropped()
		sub.nats = nil
	}
	b.mu.Unlock()
	s.stopService()
	s.leave(ctx)
	why := "connection lost"
	if err := s.nc.LastError(); err != nil {
		why = b.redact(err.Error())
	}
	b.disconnected(why)
}

func (b *Bus) disconnected(why string) {
	if b.closed.Load() {
		return
	}
	b.items.disconnected.set(health.Warn, why, hintConnect)
	b.log.Info().Str("why", why).Msg("bus: not connected")
}

// watch keeps the health item of slow subscribers.
func (b *Bus) watch(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			b.checkSlow(now)
		}
	}
}

func (b *Bus) checkSlow(now time.Time) {
	slow := ""
	b.mu.Lock()
	for s := range b.subs {
		s.countDropped()
		s.mu.Lock()
		if !s.behind.IsZero() && now.Sub(s.behind) < slowFor {
			slow = s.at.String()
		}
		s.mu.Unlock()
	}
	b.mu.Unlock()
	if slow == "" {
		b.items.slow.ok()
		return
	}
	b.items.slow.set(health.Warn, "the subscriber of "+slow+" lost events", hintSlow)
}
