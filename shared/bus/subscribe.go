package bus

import (
	"sync"
	"time"

	"github.com/everup/everup/shared/bus/subject"
	"github.com/everup/everup/shared/fault"
	"github.com/nats-io/nats.go"
)

const (
	queueLen   = 4096
	queueBytes = 32 << 20

	// The NATS client's own buffer before our queue. Our callback only decodes, so that it is nearly always empty.
	clientPendingMsgs  = 8192
	clientPendingBytes = 16 << 20
)

// Subscribe calls f for each event of service and kind ("" or "*" means any) in the fleet, in order, from one goroutine per
// subscription, until cancel. A subscriber that falls behind by 4096 events (or 32 MiB) loses the oldest, counted.
// Subscriptions outlive reconnects and changes of role; what is emitted in between is not seen. cancel waits for f to
// return and may be called more than once, but not from f.
func (b *Bus) Subscribe(service, kind string, f func(Event)) (cancel func(), err error) {
	at := subject.Event{Fleet: b.env.Fleet, Service: orAny(service), Kind: orAny(kind)}
	if err := at.Check(); err != nil {
		return nil, err
	}
	s := &subscription{bus: b, at: at, wake: make(chan struct{}, 1), quit: make(chan struct{})}
	b.mu.Lock()
	if b.closed.Load() {
		b.mu.Unlock()
		return nil, fault.New(fault.Unavailable, "bus: subscribe: the bus is closed")
	}
	b.subs[s] = struct{}{}
	s.done.Go(func() { s.run(f) })
	if c := b.cur.Load(); c != nil {
		s.attach(c.nc)
	}
	b.mu.Unlock()
	return s.cancel, nil
}

func orAny(name string) string {
	if name == "" {
		return subject.Any
	}
	return name
}

// deliverLocally stands in for the network in mode off.
func (b *Bus) deliverLocally(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		if s.matches(e) {
			b.met.received.Add(1)
			s.push(e)
		}
	}
}

// subscription is one call of Subscribe: a queue, and over time the NATS subscriptions that fill it.
type subscription struct {
	bus  *Bus
	at   subject.Event
	wake chan struct{} // a token: look into the queue
	quit chan struct{}
	once sync.Once
	done sync.WaitGroup

	mu     sync.Mutex
	queue  []Event
	bytes  int
	behind time.Time // when an event was last dropped

	// Guarded by bus.mu.
	nats    *nats.Subscription
	dropped int // of nats, counted so far
}

func (s *subscription) matches(e Event) bool {
	return (s.at.Service == subject.Any || s.at.Service == e.Service) && (s.at.Kind == subject.Any || s.at.Kind == e.Kind)
}

// attach subscribes on a new connection; called with bus.mu held. An error means that the connection is gone again, and the
// next one will be tried.
func (s *subscription) attach(nc *nats.Conn) {
	sub, err := nc.Subscribe(s.at.String(), s.receive)
	if err != nil {
		return
	}
	sub.SetPendingLimits(clientPendingMsgs, clientPendingBytes)
	s.nats, s.dropped = sub, 0
}

// countDropped adds what the NATS client dropped since the last look; called with bus.mu held.
func (s *subscription) countDropped() {
	if s.nats == nil {
		return
	}
	n, err := s.nats.Dropped()
	if err != nil || n <= s.dropped {
		return
	}
	s.bus.drop(dropClientBehind, uint64(n-s.dropped))
	s.dropped = n
	s.mu.Lock()
	s.behind = time.Now()
	s.mu.Unlock()
}

// receive runs in the NATS client's goroutine for the subscription, so that it must not wait.
func (s *subscription) receive(m *nats.Msg) {
	e, err := decodeEvent(m)
	if err != nil {
		s.bus.drop(dropMalformed, 1)
		return
	}
	s.bus.met.received.Add(1)
	s.push(e)
}

// push queues e, dropping the oldest where the bounds ask for it.
func (s *subscription) push(e Event) {
	s.mu.Lock()
	for len(s.queue) > 0 && (len(s.queue) >= queueLen || s.bytes+len(e.Data) > queueBytes) {
		s.popLocked()
		s.bus.drop(dropBehind, 1)
		s.behind = time.Now()
	}
	s.queue = append(s.queue, e)
	s.bytes += len(e.Data)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscription) popLocked() Event {
	e := s.queue[0]
	s.queue[0] = Event{}
	s.queue = s.queue[1:]
	s.bytes -= len(e.Data)
	if len(s.queue) == 0 {
		s.queue = nil // lets the array of a burst go
	}
	return e
}

func (s *subscription) pop() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return Event{}, false
	}
	return s.popLocked(), true
}

func (s *subscription) run(f func(Event)) {
	for {
		select {
		case <-s.quit:
			return
		default:
		}
		if e, ok := s.pop(); ok {
			s.call(f, e)
			continue
		}
		select {
		case <-s.quit:
			return
		case <-s.wake:
		}
	}
}

// call keeps a panic of f from ending the daemon.
func (s *subscription) call(f func(Event), e Event) {
	defer func() {
		if p := recover(); p != nil {
			s.bus.reportPanic("subscriber of "+s.at.String(), p)
		}
	}()
	f(e)
}

func (s *subscription) cancel() {
	b := s.bus
	b.mu.Lock()
	delete(b.subs, s)
	s.countDropped()
	if s.nats != nil {
		s.nats.Unsubscribe()
		s.nats = nil
	}
	b.mu.Unlock()
	s.stop()
}

func (s *subscription) stop() {
	s.once.Do(func() { close(s.quit) })
	s.done.Wait()
}
