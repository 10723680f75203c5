package cached

import (
	"time"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/metric"
)

// latencyBounds are the upper bounds of the latency histograms, in seconds: 1 µs and up, doubling.
func latencyBounds() []float64 {
	var b []float64
	for d := time.Microsecond; d <= time.Second; d *= 2 {
		b = append(b, d.Seconds())
	}
	return b
}

// windows are the spans over which the hit ratio is told.
var windows = []struct {
	name string
	span time.Duration
}{{"1m", time.Minute}, {"5m", 5 * time.Minute}, {"1h", time.Hour}, {"24h", 24 * time.Hour}}

// register makes the metrics.
func (s *Service) register() {
	m := s.env.Metrics
	s.registerConnections(m)
	s.registerItems(m)
	s.registerInsight(m)
	for c := range session.NumCmd {
		label := metric.Label{Name: "command", Value: c.String()}
		m.CounterFunc("commands_total", "Commands by name, of all protocols.", func() (n uint64) {
			for _, meter := range s.meters() {
				n += meter.Count(c)
			}
			return n
		}, label)
		m.HistogramFunc("command_duration_seconds", "Time in the server from a command's turn to its answer, of a sample of the commands.", latencyBounds(),
			func(counts []uint64) float64 { return s.latency(c, counts) }, label)
	}
}

// latency sums the histograms of command c into counts.
func (s *Service) latency(c session.Cmd, counts []uint64) (sum float64) {
	for _, meter := range s.meters() {
		h := meter.Hist(c)
		for i := range session.HistBuckets {
			upper, at := session.HistBound(i), 0
			for bound := time.Microsecond; at < len(counts)-1 && upper > bound; bound *= 2 {
				at++
			}
			counts[at] += h.Bucket(i)
		}
		sum += h.Sum().Seconds()
	}
	return sum
}

func (s *Service) registerConnections(m *metric.Registry) {
	m.GaugeFunc("connections", "Connections open.", func() float64 { return float64(s.gate.Counts().Current) })
	m.GaugeFunc("connections_limit", "Bound of connections.", func() float64 { return float64(s.gate.Counts().Limit) })
	m.CounterFunc("connections_total", "Connections accepted.", func() uint64 { return s.gate.Counts().Total })
	m.CounterFunc("connections_refused_total", "Connections refused because the limit was reached.", func() uint64 { return s.gate.Counts().Rejected })
	for name, get := range map[string]func(counted) uint64{
		"read_bytes_total":          func(c counted) uint64 { return c.read },
		"written_bytes_total":       func(c counted) uint64 { return c.written },
		"turns_yielded_total":       func(c counted) uint64 { return c.yields },
		"idle_closed_total":         func(c counted) uint64 { return c.kicks },
		"slow_readers_closed_total": func(c counted) uint64 { return c.slow },
		"protocol_errors_total":     func(c counted) uint64 { return c.errors },
		"logins_total":              func(c counted) uint64 { return c.auths },
		"logins_failed_total":       func(c counted) uint64 { return c.authErrors },
	} {
		m.CounterFunc(name, connectionHelp[name], func() uint64 { return get(s.counts()) })
	}
	m.CounterFunc("faults_total", "Connections closed because a session failed: bugs.", func() uint64 { return s.loops.Stats().Bugs })
	m.CounterFunc("buffers_full_total", "Connections closed because the memory for unfinished input and output was used up.", func() uint64 { return s.loops.Stats().BuffersFull })
}

var connectionHelp = map[string]string{
	"read_bytes_total":          "Bytes read from clients.",
	"written_bytes_total":       "Bytes written to clients.",
	"turns_yielded_total":       "Turns that ended with work left, for others to have theirs.",
	"idle_closed_total":         "Connections closed because they were silent for too long.",
	"slow_readers_closed_total": "Connections closed because the client did not take its answers.",
	"protocol_errors_total":     "Commands that were no commands.",
	"logins_total":              "Logins tried.",
	"logins_failed_total":       "Logins refused.",
}

func (s *Service) registerItems(m *metric.Registry) {
	st := s.store.Stats
	gauge := func(name, help string, get func(engine.Stats) int64) {
		m.GaugeFunc(name, help, func() float64 { return float64(get(st())) })
	}
	counter := func(name, help string, get func(engine.Stats) uint64, labels ...metric.Label) {
		m.CounterFunc(name, help, func() uint64 { return get(st()) }, labels...)
	}
	gauge("items", "Items kept.", func(st engine.Stats) int64 { return st.Items })
	gauge("items_bytes", "Size of the items as memcached counts it.", func(st engine.Stats) int64 { return st.Bytes })
	gauge("memory_bytes", "Memory taken by items, index and tables.", func(st engine.Stats) int64 { return st.Used })
	gauge("memory_limit_bytes", "Bound of memory_bytes.", func(st engine.Stats) int64 { return st.Limit })
	counter("stored_total", "Items stored.", func(st engine.Stats) uint64 { return st.Total })
	fetched := func(v string) metric.Label { return metric.Label{Name: "fetched", Value: v} }
	const evictions = "Items evicted to keep the bound, by whether anybody ever read them."
	counter("evictions_total", evictions, func(st engine.Stats) uint64 { return st.Evictions - st.EvictedUnfetched }, fetched("yes"))
	counter("evictions_total", evictions, func(st engine.Stats) uint64 { return st.EvictedUnfetched }, fetched("no"))
	const expired = "Expired items whose memory was taken back, by whether anybody ever read them."
	counter("expired_total", expired, func(st engine.Stats) uint64 { return st.Reclaimed - st.ExpiredUnfetched }, fetched("yes"))
	counter("expired_total", expired, func(st engine.Stats) uint64 { return st.ExpiredUnfetched }, fetched("no"))
	count := func(name, help string, c engine.Counter) {
		counter(name, help, func(st engine.Stats) uint64 { return st.Counts[c] })
	}
	count("get_hits_total", "Keys asked for and found.", engine.GetHits)
	count("get_misses_total", "Keys asked for and not found.", engine.GetMisses)
	count("get_expired_total", "Keys asked for whose item had expired.", engine.GetExpired)
	count("store_too_large_total", "Stores refused because the item was too large.", engine.StoreTooLarge)
	count("store_no_memory_total", "Stores refused because there was no memory.", engine.StoreNoMemory)
}

func (s *Service) registerInsight(m *metric.Registry) {
	m.GaugeVecFunc("hit_ratio", "Share of the keys asked for that were found, over the last minute to day.", len(windows), []string{"window"}, func(emit func(float64, ...string)) {
		for _, w := range windows {
			if r, ok := s.insight.windows.Ratio(w.span); ok {
				emit(r, w.name)
			}
		}
	})
	m.GaugeVecFunc("estimated_hit_ratio", "Hit ratio that the memory limit times the factor would have had, by an LRU simulation of a sample of the keys.", 8, []string{"factor"}, func(emit func(float64, ...string)) {
		for _, e := range s.insight.estimates(s.store.Limit()) {
			emit(e.Ratio, formatFactor(e.Factor))
		}
	})
	m.CounterFunc("changes_published_total", "Changes told on the bus.", func() uint64 { sent, _ := s.events.Counts(); return sent })
	m.CounterFunc("changes_lost_total", "Changes not told on the bus because too many waited.", func() uint64 { _, lost := s.events.Counts(); return lost })
}
