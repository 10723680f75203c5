// Package bus carries events and requests between the daemons of a fleet: core NATS, with one embedded server per host
// run by the first daemon that binds the port and taken over by another when that daemon dies. Nothing is stored:
// what must survive a failure is not the bus's business.
//
// # Events
//
// An event is a CloudEvents 1.0 event in the binary mode of the CloudEvents NATS binding: attributes in headers (ce-id,
// ce-type "everup.<service>.<kind>", ce-source "/everup/<fleet>/<node>/<service>", ce-subject, ce-time, ce-specversion),
// JSON in the body, on the subject everup.<fleet>.event.<service>.<kind>. Delivery is at most once: an event that cannot
// be sent now is dropped and counted, never kept for later, because late news of a state that has changed since is worse
// than none. Events of one daemon reach a subscriber in the order they were emitted.
//
// # Requests
//
// A request goes to everup.<fleet>.do.<service>.<node>.<verb>, or with "_all" in place of the node (and of the
// service) to every daemon; see the package subject. Each daemon is a service of the NATS micro framework named
// "everup-<service>", so that any NATS client finds it by $SRV.PING, $SRV.INFO and $SRV.STATS. Answers and bodies are JSON. An
// error goes back as Nats-Service-Error and, in Nats-Service-Error-Code, the number of its fault.Class.
//
// # Who may do what
//
// With a fleet secret, the client and the route port speak TLS 1.3 with a certificate derived from it on both sides,
// and a client is the user "daemon" (may do all) or "operator" (may send requests and read events), with the password
// pki.Keys.Password gives. With Anonymous "events" and a loopback listener, the listener also takes
// clients without TLS, and one without credentials may read events and nothing else. Without a secret there is neither TLS nor
// password, every local process may do all, and only loopback addresses are accepted.
//
// # Blocking and ownership
//
// Emit, Recent, State, Subscribe and Handle do not wait for the network. Request, RequestAll and Close do, until their
// context ends. Every queue is bounded; what is dropped is counted by reason in <prefix>_bus_dropped_total.
package bus

import (
	"context"
	"encoding/json"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/pki"
	"github.com/rs/zerolog"
)

// Config is the section `bus`.
type Config struct {
	Mode        string      `yaml:"mode" enum:"off|auto|urls" doc:"off, auto (one embedded server per host) or urls (an external NATS). Default: auto in a cluster, off without."`
	Listen      conf.Addr   `yaml:"listen" default:"127.0.0.1:4222" doc:"Client address of the host's embedded server."`
	Routes      conf.Addr   `yaml:"routes" doc:"Address for the other hosts' servers; empty means the host of cluster.listen, port 6222."`
	Anonymous   string      `yaml:"anonymous" default:"none" enum:"none|events" doc:"What a client without credentials may do on a loopback listener: nothing, or read events."`
	URLs        []string    `yaml:"urls" doc:"External NATS servers, for mode urls."`
	User        string      `yaml:"user" doc:"User at the external servers."`
	Password    conf.Secret `yaml:"password" doc:"Password at the external servers."`
	Credentials string      `yaml:"credentials" doc:"Credentials file (JWT and seed) for the external servers."`
	CA          string      `yaml:"ca" doc:"File of CA certificates for the external servers; empty means the system's."`
}

// Event is a CloudEvents 1.0 event in binary mode: attributes in headers, JSON data.
type Event struct {
	ID      string          `json:"id"`
	Service string          `json:"service"` // "lbd"
	Kind    string          `json:"kind"`    // "pool-member-down": one token
	Node    string          `json:"node"`
	Object  string          `json:"object,omitempty"` // ce-subject: "pool/web/10.0.0.1:80"
	Time    time.Time       `json:"time"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// State is what the bus is doing now.
type State string

const (
	Off        State = "off"
	Connecting State = "connecting"
	Client     State = "client"
	Server     State = "server" // client of the embedded server this process runs
)

// Env is what New needs.
type Env struct {
	Fleet, Node, Service, Version string
	Keys                          *pki.Keys // nil: no TLS, no passwords, loopback only
	Log                           zerolog.Logger
	Metrics                       *metric.Registry // nil: counted, but not registered
	Health                        *health.Registry // nil: none
	// Routes returns the route addresses of the other hosts' servers, as gossip knows them; RoutesChanged wakes the bus.
	Routes        func() []netip.AddrPort
	RoutesChanged <-chan struct{}
	// Serving is told the route address while this process runs the host's server, and the zero address when not.
	Serving func(netip.AddrPort)
}

// Bus is the daemon's access to the bus. Safe for concurrent use; no method blocks on the network unless it says so.
type Bus struct {
	cfg   settings
	env   Env
	log   zerolog.Logger
	wire  wire // nil in mode off
	met   counters
	items healthItems
	ring  ring
	ids   idSource

	out    outbox
	cur    atomic.Pointer[session]  // the connection in use, nil while there is none
	server atomic.Pointer[embedded] // the host's server while this process runs it
	closed atomic.Bool              // Close was called or Run ended: nothing new is taken

	closeAsked chan context.Context // Close hands its context to Run
	done       chan struct{}        // closed when Run returned

	handling sync.WaitGroup // requests under way; Add under mu while !closed
	slots    chan struct{}  // one token per request under way

	mu       sync.Mutex
	running  bool
	state    State
	up       chan struct{} // closed while cur is set
	subs     map[*subscription]struct{}
	handlers map[string]*handler
}

// New checks cfg; with mode off the bus is complete but local: events reach this daemon's own subscribers and ring.
func New(cfg Config, env Env) (*Bus, error) {
	s, err := check(cfg, &env)
	if err != nil {
		return nil, err
	}
	b := &Bus{
		cfg: s, env: env, log: env.Log,
		ids:        newIDSource(time.Now()),
		out:        outbox{queue: make(chan outgoing, outboxLen)},
		closeAsked: make(chan context.Context, 1),
		done:       make(chan struct{}),
		slots:      make(chan struct{}, maxHandling),
		state:      Connecting,
		up:         make(chan struct{}),
		subs:       map[*subscription]struct{}{},
		handlers:   map[string]*handler{},
	}
	switch s.mode {
	case modeOff:
		b.state = Off
	case modeAuto:
		b.wire = &ports{bus: b}
	case modeURLs:
		b.wire = &external{bus: b}
	}
	b.items = newHealthItems(env.Health, s.mode)
	b.register(env.Metrics)
	return b, nil
}

// Run connects, serves where it falls to this process, and stays so until ctx ends or Close has done its work.
// Publishing before Run or while disconnected drops and counts, but for the ring. Run is called once.
func (b *Bus) Run(ctx context.Context) error {
	b.mu.Lock()
	again := b.running
	b.running = true
	b.mu.Unlock()
	if again {
		return fault.New(fault.Internal, "bus: Run is called twice")
	}
	defer close(b.done)
	defer b.end()
	if b.closed.Load() {
		return nil
	}
	work, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if b.wire != nil {
		wg.Go(func() { b.stay(work) })
		wg.Go(func() { b.publish(work) })
		wg.Go(func() { b.watch(work) })
	}
	select {
	case <-ctx.Done():
		return nil
	case closing := <-b.closeAsked:
		b.drain(closing)
		return nil
	}
}

// Close refuses new work, answers the requests under way, flushes what is queued (both bounded by ctx), hands the server
// role on, disconnects, and ends the subscriptions. After it Run returns. When ctx ends first, Close returns fault.Timeout
// and the rest goes on within Run.
func (b *Bus) Close(ctx context.Context) error {
	first := b.closed.CompareAndSwap(false, true)
	b.mu.Lock()
	running := b.running
	b.mu.Unlock()
	if !running {
		b.end()
		return nil
	}
	if first {
		b.closeAsked <- ctx
	}
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return fault.Wrap(fault.Timeout, ctx.Err(), "bus: close")
	}
}

// Wait waits until the bus is connected, or ctx ends (fault.Unavailable). In mode off it does not wait.
func (b *Bus) Wait(ctx context.Context) error {
	if b.cfg.mode == modeOff {
		return nil
	}
	_, err := b.session(ctx)
	return err
}

// Flush waits until the server has taken every event emitted and every subscription and handler made before.
// With fault.Unavailable it has not, and some of it may be lost.
func (b *Bus) Flush(ctx context.Context) error {
	if b.cfg.mode == modeOff {
		return nil
	}
	s, err := b.session(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, drainMax) // the library demands an end
	defer cancel()
	b.out.flush(ctx)
	return fault.Wrap(fault.Unavailable, s.nc.FlushWithContext(ctx), "bus: flush")
}

// drain answers what is under way and sends what is queued, until ctx ends.
func (b *Bus) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainMax)
	defer cancel()
	s := b.cur.Load()
	if s == nil {
		return
	}
	s.stopService()
	waitFor(ctx, b.handling.Wait)
	b.out.flush(ctx)
	if err := s.nc.FlushWithContext(ctx); err != nil {
		b.log.Debug().Err(err).Msg("bus: what was queued may not have been sent")
	}
}

// end gives up what outlives connections.
func (b *Bus) end() {
	b.closed.Store(true)
	b.mu.Lock()
	subs := b.subs
	b.subs = map[*subscription]struct{}{}
	b.mu.Unlock()
	for s := range subs {
		s.stop()
	}
	b.handling.Wait()
}

// waitFor waits for f until ctx ends. f goes on by itself then, so that only what ends without ctx may be given.
func waitFor(ctx context.Context, f func()) {
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// State tells what the bus is doing now.
func (b *Bus) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}
