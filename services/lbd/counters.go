package lbd

import (
	"strconv"

	"github.com/everup/everup/services/lbd/internal/accesslog"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/probe"
)

const (
	maxPools   = 256
	maxMembers = 4096 // of the gauge; the rest is left out
	maxReasons = 96   // of which about 40 are what a malformed request is refused for
)

// noPool is the label of requests that no route took.
const noPool = "none"

// counters are lbd's metrics.
type counters struct {
	requests, retries, own *metric.CounterVec
	latency                *metric.HistogramVec
	sent, received         *metric.Counter
}

func (c *counters) register(r *metric.Registry, s *Service) {
	c.requests = r.CounterVec("requests_total", "Requests by pool and class of status.", (maxPools+1)*6, "pool", "class")
	c.latency = r.HistogramVec("request_seconds", "Time from a request's head to the end of its answer.",
		metric.LatencyBuckets(), maxPools+1, "pool")
	c.retries = r.CounterVec("retries_total", "Tries of a request beyond its first, by why the one before failed.",
		maxPools*4, "pool", "reason")
	c.own = r.CounterVec("own_answers_total", "Answers that lbd gave itself or cut, by reason.", maxReasons, "reason")
	c.sent = r.Counter("sent_bytes_total", "Bytes of answers' bodies sent to clients.")
	c.received = r.Counter("received_bytes_total", "Bytes of requests' bodies received from clients.")
	r.GaugeFunc("connections", "Client connections open.", func() float64 { n, _ := s.engine.Open(); return float64(n) })
	r.CounterFunc("connections_total", "Client connections accepted.", func() uint64 { return s.engine.Counts().Accepted })
	r.CounterFunc("connections_waited_total", "Times that accepting waited because the limit of connections was reached.",
		func() uint64 { return s.engine.Counts().Waited })
	r.GaugeFunc("tunnels", "Upgraded connections open.", func() float64 { _, n := s.engine.Open(); return float64(n) })
	r.GaugeFunc("backends", "Servers in use.", func() float64 { return float64(s.backends.Len()) })
	r.GaugeVecFunc("member_up", "1 when a member's check passes.", maxMembers, []string{"pool", "member"},
		func(emit func(float64, ...string)) {
			for _, p := range s.poolStatus() {
				for _, m := range p.Members {
					up := 0.0
					if m.State == probe.Up {
						up = 1
					}
					emit(up, p.Name, string(m.ID))
				}
			}
		})
}

// done counts a request and logs it.
func (s *Service) done(e *accesslog.Entry) {
	c, name := &s.counters, e.Pool
	if name == "" {
		name = noPool
	}
	c.requests.With(name, strconv.Itoa(e.Status/100)+"xx").Inc()
	c.latency.With(name).Observe(e.Duration.Seconds())
	c.sent.Add(uint64(max(e.Sent, 0)))
	c.received.Add(uint64(max(e.Received, 0)))
	if e.Reason != "" {
		c.own.With(e.Reason).Inc()
	}
	s.log.Log(e)
}

func (c *counters) retry(pool, why string) { c.retries.With(pool, why).Inc() }
