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
	c.heard = r.CounterVec("dos_heard_total", "Clients that other lbd told of: taken, unfit (counted otherwise or exempt here, or by no detector that shares), malformed messages.", 3, "what")
	c.lost = r.Counter("dos_changes_lost_total", "Times that changes of clients' levels came faster than they could be told.")
	c.quiet = r.Counter("dos_events_left_out_total", "Changes of clients' levels without log line and event, as there were many.")
	g, e := s.guards, s.engine
	gauge := func(name, help string, of func(*dos.Detector) int) {
		r.GaugeVecFunc(name, help, rule.MaxDetectors, []string{"detector"}, func(emit func(float64, ...string)) {
			for _, d := range g.detectors.All() {
				emit(float64(of(d)), d.Name())
			}
		})
	}
	last := new(atomic.Pointer[map[string]dos.Use]) // of a scrape, by detector
	r.BeforeWrite(func() {
		uses := map[string]dos.Use{}
		for _, d := range g.detectors.All() {
			uses[d.Name()] = d.Use(g.now())
		}
		last.Store(&uses)
	})
	use := func(d *dos.Detector) dos.Use { return (*last.Load())[d.Name()] }
	gauge("dos_suspects", "Clients that are suspect, and not hard.", func(d *dos.Detector) int { return use(d).Suspects })
	gauge("dos_hard", "Clients that are hard.", func(d *dos.Detector) int { return use(d).Hard })
	gauge("dos_tracked", "Clients with requests of late, or held.", func(d *dos.Detector) int { return use(d).Tracked })
	gauge("dos_room", "Clients that can be remembered.", (*dos.Detector).Keys)
	counter := func(name, help string, of func(dos.Counts) uint64) {
		r.CounterVecFunc(name, help, rule.MaxDetectors, []string{"detector"}, func(emit func(uint64, ...string)) {
			for _, d := range g.detectors.All() {
				emit(of(d.Counts()), d.Name())
			}
		})
	}
	counter("dos_suspects_total", "Times that a client has become suspect.", func(c dos.Counts) uint64 { return c.Suspects })
	counter("dos_hard_total", "Times that a client has become hard.", func(c dos.Counts) uint64 { return c.Hard })
	counter("dos_evictions_total", "Clients forgotten to remember others.", func(c dos.Counts) uint64 { return c.Evicted })
	counter("dos_untracked_total", "Requests not counted, as only clients that are held were remembered.", func(c dos.Counts) uint64 { return c.Untracked })
	r.CounterFunc("sources_connections_refused_total", "Connections closed at once, as their source had its fill.", g.connections.Refused)
	r.CounterFunc("sources_requests_refused_total", "Requests refused, as their source had its fill.", g.requests.Refused)
	r.GaugeFunc("sources", "Sources with a connection open.", func() float64 { return float64(g.connections.Keys()) })
	r.CounterFunc("tarpit_total", "Requests that waited in a tarpit.", func() uint64 { return e.Counts().Delayed })
	r.CounterFunc("tarpit_full_total", "Requests that did not wait, as too many did.", func() uint64 { return e.Counts().Undelayed })
	r.GaugeFunc("tarpit_waiting", "Requests that wait in a tarpit.", func() float64 { return float64(e.Waiting()) })
}
