// Package bus carries events and requests between the daemons of a fleet: core NATS, with one embedded server per host
// run by the first daemon that binds the port and taken over by another when that daemon dies. Nothing is stored:
// what must survive a failure is not the bus's business.
package bus

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/everup/everup/shared/conf"
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

// Mode is what the bus is doing now.
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
	Metrics                       *metric.Registry
	Health                        *health.Registry
	// Routes returns the route addresses of the other hosts' servers, as gossip knows them; RoutesChanged wakes the bus.
	Routes        func() []netip.AddrPort
	RoutesChanged <-chan struct{}
	// Serving is told the route address while this process runs the host's server, and the zero address when not.
	Serving func(netip.AddrPort)
}

// Bus is the daemon's access to the bus. Safe for concurrent use; no method blocks on the network unless it says so.
type Bus struct{}

// New checks cfg; with mode off the bus is complete but local: events reach this daemon's own subscribers and ring.
func New(cfg Config, env Env) (*Bus, error) { panic("skeleton") }

// Run connects, serves where it falls to this process, and stays so until ctx ends. Publishing before Run or while
// disconnected drops and counts, but for the ring.
func (b *Bus) Run(ctx context.Context) error { panic("skeleton") }

// Close flushes what is queued (bounded by ctx), hands the server role on, and disconnects. After it Run returns.
func (b *Bus) Close(ctx context.Context) error { panic("skeleton") }

func (b *Bus) State() State { panic("skeleton") }

// Emit publishes an event of this daemon. data is marshalled to JSON, at most 64 KiB. It never blocks: an event that cannot be sent is counted
// and stays in the ring only.
func (b *Bus) Emit(kind, object string, data any) { panic("skeleton") }

// Recent returns up to n of this daemon's last 1024 events, oldest first.
func (b *Bus) Recent(n int) []Event { panic("skeleton") }

// Subscribe calls f for each event of service and kind ("" or "*" means any) in the fleet, in order, from one goroutine per
// subscription, until cancel. A subscriber that falls behind by 4096 events loses the oldest, counted. Subscriptions outlive reconnects.
func (b *Bus) Subscribe(service, kind string, f func(Event)) (cancel func(), err error) {
	panic("skeleton")
}

// HandlerFunc answers a request; its error goes back with its fault class.
type HandlerFunc func(ctx context.Context, from string, body []byte) (any, error)

// Handle serves everup.<fleet>.do.<service>.<node>.<verb> through the NATS micro framework (so $SRV.PING/INFO/STATS see it),
// and the same verb asked of all nodes. At most 64 requests run at once; more are refused with fault.Full.
func (b *Bus) Handle(verb, doc string, f HandlerFunc) error { panic("skeleton") }

// Request asks one daemon and waits for its answer until ctx ends.
func (b *Bus) Request(ctx context.Context, service, node, verb string, body any) (json.RawMessage, error) {
	panic("skeleton")
}

// Reply is one daemon's answer to a RequestAll.
type Reply struct {
	Service, Node string
	Body          json.RawMessage
	Err           error
}

// RequestAll asks every daemon of service ("" or "*": of all services) and collects answers until expect have come (0: unknown) or ctx ends.
func (b *Bus) RequestAll(ctx context.Context, service, verb string, body any, expect int) ([]Reply, error) {
	panic("skeleton")
}
