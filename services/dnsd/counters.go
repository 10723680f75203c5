package dnsd

import (
	"time"

	"github.com/everup/everup/services/dnsd/internal/serve"
	"github.com/everup/everup/shared/metric"
	"github.com/miekg/dns"
)

// counters are dnsd's metrics.
type counters struct {
	queries *metric.CounterVec
	latency *metric.Histogram
	refused *metric.Counter
	unsent  *metric.Counter
}

func (c *counters) register(r *metric.Registry, data func() *serve.Data) {
	c.queries = r.CounterVec("queries_total", "Questions answered, by transport and response code.", 48, "proto", "rcode")
	c.latency = r.Histogram("query_seconds", "Time from reading a question to having its answer.", metric.LatencyBuckets())
	c.refused = r.Counter("tcp_refused_total", "TCP connections closed at once because the limit was reached.")
	c.unsent = r.Counter("unsent_answers_total", "Answers that could not be sent.")
	forward := func(f func(*serve.Data) uint64) func() uint64 {
		return func() uint64 {
			if d := data(); d != nil && d.Forward != nil {
				return f(d)
			}
			return 0
		}
	}
	r.CounterFunc("forward_hits_total", "Questions answered from the cache.", forward(func(d *serve.Data) uint64 { return d.Forward.Hits.Load() }))
	r.CounterFunc("forward_misses_total", "Questions sent to upstreams.", forward(func(d *serve.Data) uint64 { return d.Forward.Misses.Load() }))
	r.CounterFunc("forward_failures_total", "Questions no upstream answered.", forward(func(d *serve.Data) uint64 { return d.Forward.Failures.Load() }))
	r.GaugeFunc("zone_records", "Records in all zones.", func() float64 {
		n := 0
		if d := data(); d != nil {
			for _, z := range d.Zones {
				n += z.Records()
			}
		}
		return float64(n)
	})
}

func (c *counters) answered(proto string, rcode int, took time.Duration) {
	name := dns.RcodeToString[rcode]
	if name == "" {
		name = "other"
	}
	c.queries.With(proto, name).Inc()
	c.latency.Observe(took.Seconds())
}
