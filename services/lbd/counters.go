package lbd

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/services/lbd/internal/traffic"
	"github.com/everup/everup/shared/metric"
)

const (
	maxPools   = traffic.MaxPools + 2 // with none and other
	maxRoutes  = traffic.MaxRoutes + 2
	maxMembers = traffic.MaxMembers + 2*maxPools // of the gauges; the rest is left out
	maxReasons = 128                             // of which about 40 are what a malformed request is refused for
	maxClasses = 6
)

// counters are lbd's metrics.
type counters struct {
	traffic *traffic.Table
	own     *traffic.Cell // requests that no pool took
	retries *metric.CounterVec
	reasons reasons
	dos     dosCounters
}

// reasons counts lbd's own answers by reason, without a lock for one that was counted before.
type reasons struct {
	vec   *metric.CounterVec
	mu    sync.Mutex
	known atomic.Pointer[map[engine.Reason]*metric.Counter] // replaced whole under mu
}

func (r *reasons) count(why engine.Reason) {
	if c := (*r.known.Load())[why]; c != nil {
		c.Inc()
		return
	}
	c := r.vec.With(string(why))
	c.Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	if was := *r.known.Load(); len(was) < maxReasons {
		next := maps.Clone(was)
		next[why] = c
		r.known.Store(&next)
	}
}

func newCounters() *counters {
	c := &counters{traffic: traffic.NewTable()}
	c.own = c.traffic.Pool(traffic.None).Member("")
	c.reasons.known.Store(&map[engine.Reason]*metric.Counter{})
	return c
}

// done counts a request.
func (c *counters) done(x *scratch, rec *engine.Record) {
	r := traffic.Request{Status: rec.Status, Took: rec.Duration, Sent: rec.Sent, Received: rec.Received, Retries: rec.Retries}
	worker := rec.Request.Worker
	x.way.cell.End(worker, &r)
	if x.group != nil {
		x.group.traffic.Member(rec.Member).Count(worker, &r)
	} else {
		c.own.Count(worker, &r)
	}
	if rec.Reason != engine.NoReason {
		c.reasons.count(rec.Reason)
	}
}

func (c *counters) retry(pool, why string) { c.retries.With(pool, why).Inc() }

func (c *counters) register(r *metric.Registry, s *Service) {
	c.retries = r.CounterVec("retries_total", "Tries of a request beyond its first, by why the one before failed.",
		maxPools*4, "pool", "reason")
	c.reasons.vec = r.CounterVec("own_answers_total", "Answers that lbd gave itself or cut, by reason.", maxReasons, "reason")
	c.registerTraffic(r)
	r.CounterFunc("events_lost_total", "Events not told on the bus because too many things had some to tell.", s.events.Lost)
	c.dos.register(r, s)
	r.GaugeFunc("connections", "Client connections open.", func() float64 { n, _ := s.engine.Open(); return float64(n) })
	r.CounterFunc("connections_total", "Client connections accepted.", func() uint64 { return s.engine.Counts().Accepted })
	r.CounterFunc("connections_waited_total", "Times that accepting waited because the limit of connections was reached.",
		func() uint64 { return s.engine.Counts().Waited })
	r.GaugeFunc("tunnels", "Upgraded connections open.", func() float64 { _, n := s.engine.Open(); return float64(n) })
	r.GaugeFunc("files_open", "Files open for clients.", func() float64 { return float64(s.roots.gate.Open()) })
	r.CounterFunc("files_refused_total", "Requests answered 503 because as many files were open as there may be connections.", s.roots.gate.Refused)
	r.GaugeFunc("backends", "Servers in use.", func() float64 { return float64(s.backends.Len()) })
	registerHTTP2(r, func(role http2.Role) *engine.H2Counts { return s.engine.H2Counts(role) },
		func() (int64, uint64) { return s.engine.Windows() })
	s.registerPools(r)
}

// registerTraffic makes the metrics of what passes, by route, pool and member: all from one reading.
func (c *counters) registerTraffic(r *metric.Registry) {
	now := new(atomic.Pointer[traffic.Snapshot])
	now.Store(&traffic.Snapshot{})
	r.BeforeWrite(func() { now.Store(c.traffic.Read(time.Now())) })
	sum := func(f func(*traffic.Counts) uint64) func() uint64 {
		return func() uint64 { n := now.Load().Sum(); return f(&n) }
	}
	r.CounterFunc("sent_bytes_total", "Bytes of answers' bodies sent to clients.", sum(func(n *traffic.Counts) uint64 { return n.Sent }))
	r.CounterFunc("received_bytes_total", "Bytes of requests' bodies received from clients.", sum(func(n *traffic.Counts) uint64 { return n.Received }))
	r.CounterFunc("traffic_overflow_total", "Times that a route, pool or member found no place of its own among the counters, and was counted as other.", c.traffic.Overflow)
	family(r, now, "route_", "by route", maxRoutes, []string{"route"}, func(s *traffic.Snapshot, f func(*traffic.Counts, ...string)) {
		for i := range s.Routes {
			f(&s.Routes[i].Counts, s.Routes[i].Name)
		}
	})
	family(r, now, "", "by pool", maxPools, []string{"pool"}, func(s *traffic.Snapshot, f func(*traffic.Counts, ...string)) {
		for i := range s.Pools {
			n := s.Pools[i].Sum()
			f(&n, s.Pools[i].Name)
		}
	})
	family(r, now, "member_", "by pool and member", maxMembers, []string{"pool", "member"}, func(s *traffic.Snapshot, f func(*traffic.Counts, ...string)) {
		for i := range s.Pools {
			for k := range s.Pools[i].Members {
				f(&s.Pools[i].Members[k].Counts, s.Pools[i].Name, s.Pools[i].Members[k].Name)
			}
		}
	})
	r.GaugeVecFunc("route_requests_in_flight", "Requests under way, upgraded connections included, by route.", maxRoutes, []string{"route"}, func(emit func(float64, ...string)) {
		for i := range now.Load().Routes {
			emit(float64(now.Load().Routes[i].InFlight), now.Load().Routes[i].Name)
		}
	})
}

// family makes the count and the histogram of what each tells of a reading.
func family(r *metric.Registry, now *atomic.Pointer[traffic.Snapshot], prefix, by string, max int, labels []string, each func(*traffic.Snapshot, func(*traffic.Counts, ...string))) {
	classes := traffic.ClassNames()
	r.CounterVecFunc(prefix+"requests_total", "Requests "+by+" and class of status.", max*maxClasses, append(labels[:len(labels):len(labels)], "class"), func(emit func(uint64, ...string)) {
		each(now.Load(), func(c *traffic.Counts, values ...string) {
			for i, n := range c.Class {
				if n > 0 {
					emit(n, append(values[:len(values):len(values)], classes[i])...)
				}
			}
		})
	})
	bounds := traffic.Bounds()
	r.HistogramVecFunc(prefix+"request_seconds", "Time from a request's head to the end of its answer, "+by+".", bounds, max, labels, func(emit func([]uint64, float64, ...string)) {
		each(now.Load(), func(c *traffic.Counts, values ...string) {
			counts := make([]uint64, len(bounds)+1)
			emit(counts, c.Histogram(counts), values...)
		})
	})
}

// nameOf is the label of a route, by its place if it has no name.
func nameOf(name string, i int) string {
	if name != "" {
		return name
	}
	return "routes[" + strconv.Itoa(i) + "]"
}
