package lbd

import (
	"sync/atomic"

	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/metric"
)

// dosCounters are the metrics of clients that ask too much.
type dosCounters struct {
	limited *metric.CounterVec
	heard   *metric.CounterVec
	lost    *metric.Counter
	quiet   *metric.Counter
}

func (c *dosCounters) register(r *metric.Registry, s *Service) {
	c.limited = r.CounterVec("limited_total", "Requests above a limit, by limit and what became of them.", 2*rule.MaxLimits, "limit", "action")
	c.heard = r.CounterVec("dos_heard_total", "Clients that other lbd told of: taken, unfit (counted otherwise or exempt here), malformed messages.", 3, "what")
	c.lost = r.Counter("dos_changes_lost_total", "Times that changes of clients' levels came faster than they could be told.")
	c.quiet = r.Counter("dos_events_left_out_total", "Changes of clients' levels without log line and event, as there were many.")
	g, e := s.guards, s.engine
	use := new(atomic.Pointer[dos.Use])
	r.BeforeWrite(func() {
		now := g.detector.Use(g.now())
		use.Store(&now)
	})
	r.GaugeFunc("dos_suspects", "Clients that are suspect, and not hard.", func() float64 { return float64(use.Load().Suspects) })
	r.GaugeFunc("dos_hard", "Clients that are hard.", func() float64 { return float64(use.Load().Hard) })
	r.GaugeFunc("dos_tracked", "Clients with requests of late, or held.", func() float64 { return float64(use.Load().Tracked) })
	r.GaugeFunc("dos_room", "Clients that can be remembered.", func() float64 { return float64(g.detector.Keys()) })
	r.CounterFunc("dos_suspects_total", "Times that a client has become suspect.", func() uint64 { return g.detector.Counts().Suspects })
	r.CounterFunc("dos_hard_total", "Times that a client has become hard.", func() uint64 { return g.detector.Counts().Hard })
	r.CounterFunc("dos_evictions_total", "Clients forgotten to remember others.", func() uint64 { return g.detector.Counts().Evicted })
	r.CounterFunc("dos_untracked_total", "Requests not counted, as only clients that are held were remembered.",
		func() uint64 { return g.detector.Counts().Untracked })
	r.CounterFunc("sources_connections_refused_total", "Connections closed at once, as their source had its fill.", g.connections.Refused)
	r.CounterFunc("sources_requests_refused_total", "Requests refused, as their source had its fill.", g.requests.Refused)
	r.GaugeFunc("sources", "Sources with a connection open.", func() float64 { return float64(g.connections.Keys()) })
	r.CounterFunc("tarpit_total", "Requests that waited in a tarpit.", func() uint64 { return e.Counts().Delayed })
	r.CounterFunc("tarpit_full_total", "Requests that did not wait, as too many did.", func() uint64 { return e.Counts().Undelayed })
	r.GaugeFunc("tarpit_waiting", "Requests that wait in a tarpit.", func() float64 { return float64(e.Waiting()) })
}
