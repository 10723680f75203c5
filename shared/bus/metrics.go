package bus

import (
	"sync/atomic"

	"github.com/everup/everup/shared/metric"
	natsserver "github.com/nats-io/nats-server/v2/server"
)

// dropReason says why an event or a request was not carried.
type dropReason int

const (
	dropDisconnected dropReason = iota // emitted while there is no connection
	dropQueueFull                      // emitted faster than the connection takes
	dropSendFailed                     // the connection broke under it
	dropClosed                         // emitted after Close
	dropTooLarge                       // more than 64 KiB of data: a bug of the emitter
	dropInvalid                        // a kind that is no name, data that is no JSON: a bug of the emitter
	dropMalformed                      // received, but no event of everup
	dropBehind                         // a subscriber fell behind by 4096 events
	dropClientBehind                   // the NATS client's own buffer for a subscription was full
	dropBusy                           // a request refused because 64 were running
	dropReasons
)

func (r dropReason) String() string {
	return [...]string{
		"disconnected", "queue-full", "send-failed", "closed", "too-large", "invalid",
		"malformed", "subscriber-behind", "client-behind", "busy",
	}[r]
}

// counters are what the bus counts, with or without a registry.
type counters struct {
	published, received     atomic.Uint64
	requests, handled       atomic.Uint64
	handlerErrors           atomic.Uint64
	connections, roleChange atomic.Uint64
	dropped                 [dropReasons]atomic.Uint64
}

// register publishes the counters. Metrics from the embedded server are 0 while another process runs it.
func (b *Bus) register(r *metric.Registry) {
	if r == nil {
		return
	}
	c := &b.met
	r.CounterFunc("bus_published_total", "Events handed to the bus.", c.published.Load)
	r.CounterFunc("bus_received_total", "Events received for subscriptions.", c.received.Load)
	r.CounterFunc("bus_requests_total", "Requests sent.", c.requests.Load)
	r.CounterFunc("bus_handled_total", "Requests answered.", c.handled.Load)
	r.CounterFunc("bus_handler_errors_total", "Requests answered by an error.", c.handlerErrors.Load)
	r.CounterFunc("bus_connections_total", "Connections made to the bus; each after the first is a reconnect.", c.connections.Load)
	r.CounterFunc("bus_role_changes_total", "Times this process became or ceased to be the host's server.", c.roleChange.Load)
	for reason := range dropReasons {
		r.CounterFunc("bus_dropped_total", "Events and requests not carried, by reason.", c.dropped[reason].Load,
			metric.Label{Name: "reason", Value: reason.String()})
	}
	for _, state := range []State{Off, Connecting, Client, Server} {
		r.GaugeFunc("bus_state", "1 for the state the bus is in.", func() float64 { return oneIf(b.State() == state) },
			metric.Label{Name: "state", Value: string(state)})
	}
	b.registerServer(r)
}

func (b *Bus) registerServer(r *metric.Registry) {
	gauge := func(name, help string, f func(*natsserver.Varz) float64) {
		r.GaugeFunc(name, help, func() float64 { return b.varz(f) })
	}
	gauge("bus_server_clients", "Clients of the embedded server.", func(v *natsserver.Varz) float64 { return float64(v.Connections) })
	gauge("bus_server_routes", "Routes of the embedded server.", func(v *natsserver.Varz) float64 { return float64(v.Routes) })
	gauge("bus_server_in_bytes", "Bytes the embedded server received since it started.", func(v *natsserver.Varz) float64 { return float64(v.InBytes) })
	gauge("bus_server_out_bytes", "Bytes the embedded server sent since it started.", func(v *natsserver.Varz) float64 { return float64(v.OutBytes) })
	gauge("bus_server_slow_consumers", "Clients the embedded server cut off for being slow since it started.", func(v *natsserver.Varz) float64 { return float64(v.SlowConsumers) })
}

func (b *Bus) varz(f func(*natsserver.Varz) float64) float64 {
	e := b.server.Load()
	if e == nil {
		return 0
	}
	v, err := e.srv.Varz(nil)
	if err != nil {
		return 0
	}
	return f(v)
}

func (b *Bus) drop(r dropReason, n uint64) { b.met.dropped[r].Add(n) }

func oneIf(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}
