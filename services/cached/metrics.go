package cached

import (
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/udp"
	"github.com/everup/everup/services/cached/internal/watch"
	"github.com/everup/everup/shared/metric"
)

// window is a span over which the hit ratio is told.
type window struct {
	name string
	span time.Duration
}

func windows() []window {
	return []window{{"1m", time.Minute}, {"5m", 5 * time.Minute}, {"1h", time.Hour}, {"24h", 24 * time.Hour}}
}

// look is what a scrape reads once, for the many metrics that are taken from it: a look at the items locks each shard.
type look struct {
	items    engine.Stats
	gate     conns.Counts
	carried  counted
	watchers watch.Counts
}

// gauge and counter are lines of the tables of metrics.
type (
	gauge struct {
		name, help string
		get        func(*look) int64
	}
	counter struct {
		name, help string
		get        func(*look) uint64
		labels     []metric.Label
	}
)

// register makes the metrics.
func (s *Service) register() {
	m := s.env.Metrics
	now := new(atomic.Pointer[look])
	now.Store(&look{})
	m.BeforeWrite(func() {
		now.Store(&look{items: s.store.Stats(), gate: s.gate.Counts(), carried: s.counts(), watchers: s.watchers.Counts()})
	})
	gauges := append(connectionGauges(), itemGauges()...)
	counters := append(append(connectionCounters(), itemCounters()...), accessCounters()...)
	for _, g := range gauges {
		m.GaugeFunc(g.name, g.help, func() float64 { return float64(g.get(now.Load())) })
	}
	for _, c := range counters {
		m.CounterFunc(c.name, c.help, func() uint64 { return c.get(now.Load()) }, c.labels...)
	}
	s.registerCommands(m)
	s.registerInsight(m)
	s.registerTLS(m)
	s.registerLogins(m)
	s.registerUDP(m)
}

// latencyBounds are the upper bounds of the latency histograms, in seconds: 1 µs and up, doubling.
func latencyBounds() []float64 {
	var b []float64
	for d := time.Microsecond; d <= time.Second; d *= 2 {
		b = append(b, d.Seconds())
	}
	return b
}

func (s *Service) registerCommands(m *metric.Registry) {
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

func connectionGauges() []gauge {
	return []gauge{
		{"connections", "Connections open.", func(l *look) int64 { return l.gate.Current }},
		{"connections_limit", "Bound of connections.", func(l *look) int64 { return int64(l.gate.Limit) }},
		{"watchers", "Connections that watch.", func(l *look) int64 { return int64(l.watchers.Watchers) }},
	}
}

func connectionCounters() []counter {
	return []counter{
		{"connections_total", "Connections accepted.", func(l *look) uint64 { return l.gate.Total }, nil},
		{"connections_refused_total", "Connections refused because the limit was reached.", func(l *look) uint64 { return l.gate.Rejected }, nil},
		{"read_bytes_total", "Bytes read from clients.", func(l *look) uint64 { return l.carried.read }, nil},
		{"written_bytes_total", "Bytes written to clients.", func(l *look) uint64 { return l.carried.written }, nil},
		{"turns_yielded_total", "Turns that ended with work left, for others to have theirs.", func(l *look) uint64 { return l.carried.yields }, nil},
		{"idle_closed_total", "Connections closed because they were silent for too long.", func(l *look) uint64 { return l.carried.kicks }, nil},
		{"slow_readers_closed_total", "Connections closed because the client did not take its answers.", func(l *look) uint64 { return l.carried.slow }, nil},
		{"protocol_errors_total", "Commands that were no commands.", func(l *look) uint64 { return l.carried.errors }, nil},
		{"logins_total", "Logins tried.", func(l *look) uint64 { return l.carried.auths }, nil},
		{"logins_failed_total", "Logins refused.", func(l *look) uint64 { return l.carried.authErrors }, nil},
		{"faults_total", "Connections closed because a session failed: bugs.", func(l *look) uint64 { return l.carried.bugs }, nil},
		{"buffers_full_total", "Connections closed because the memory for unfinished input and output was used up.", func(l *look) uint64 { return l.carried.buffersFull }, nil},
		{"watcher_lines_total", "Lines given to watchers.", func(l *look) uint64 { return l.watchers.Sent }, nil},
		{"watcher_lines_lost_total", "Lines that watchers were too slow for.", func(l *look) uint64 { return l.watchers.Skipped }, nil},
	}
}

func itemGauges() []gauge {
	return []gauge{
		{"items", "Items kept.", func(l *look) int64 { return l.items.Items }},
		{"items_bytes", "Size of the items as memcached counts it.", func(l *look) int64 { return l.items.Bytes }},
		{"memory_bytes", "Memory taken by items, index and tables.", func(l *look) int64 { return l.items.Used }},
		{"memory_limit_bytes", "Bound of memory_bytes.", func(l *look) int64 { return l.items.Limit }},
		{"memory_reserved_bytes", "Part of memory_bytes for values that are arriving, or are only kept for readers.", func(l *look) int64 { return l.items.Reserved }},
		{"memory_free_bytes", "Part of memory_bytes that holds nothing yet.", func(l *look) int64 { return l.items.Free }},
	}
}

func itemCounters() []counter {
	label := func(name, value string) []metric.Label { return []metric.Label{{Name: name, Value: value}} }
	const (
		evictions = "Items evicted, by why: for the bound of memory, or crowded because too many keys shared a line of the index."
		expired   = "Expired items whose memory was taken back, by whether anybody ever read them."
	)
	return []counter{
		{"stored_total", "Items stored.", func(l *look) uint64 { return l.items.Total }, nil},
		{"evictions_total", evictions, func(l *look) uint64 { return l.items.Evictions - l.items.Crowded }, label("reason", "memory")},
		{"evictions_total", evictions, func(l *look) uint64 { return l.items.Crowded }, label("reason", "crowded")},
		{"evicted_unread_total", "Items evicted that nobody ever read.", func(l *look) uint64 { return l.items.EvictedUnfetched }, nil},
		{"expired_total", expired, func(l *look) uint64 { return l.items.Reclaimed - l.items.ExpiredUnfetched }, label("fetched", "yes")},
		{"expired_total", expired, func(l *look) uint64 { return l.items.ExpiredUnfetched }, label("fetched", "no")},
	}
}

func accessCounters() []counter {
	count := func(name, help string, c engine.Counter) counter {
		return counter{name, help, func(l *look) uint64 { return l.items.Counts[c] }, nil}
	}
	return []counter{
		count("get_hits_total", "Keys asked for and found.", engine.GetHits),
		count("get_misses_total", "Keys asked for and not found.", engine.GetMisses),
		count("get_expired_total", "Keys asked for whose item had expired.", engine.GetExpired),
		count("store_too_large_total", "Stores refused because the item was too large.", engine.StoreTooLarge),
		count("store_no_memory_total", "Stores refused because there was no memory.", engine.StoreNoMemory),
	}
}

func (s *Service) registerInsight(m *metric.Registry) {
	m.GaugeVecFunc("hit_ratio", "Share of the keys asked for that were found, over the last minute to day.", len(windows()), []string{"window"}, func(emit func(float64, ...string)) {
		for _, w := range windows() {
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

func (s *Service) registerTLS(m *metric.Registry) {
	if s.tls == nil {
		return
	}
	m.CounterFunc("handshakes_failed_total", "TLS handshakes that failed.", func() uint64 { return s.tls.Stats().HandshakeErrors })
	m.GaugeFunc("certificates_age_seconds", "Time since the certificates were read.", func() float64 { return s.certs.Age().Seconds() })
}

func (s *Service) registerLogins(m *metric.Registry) {
	if s.logins == nil {
		return
	}
	m.GaugeFunc("login_sources", "Sources that are remembered for failed logins; at most 4096.", func() float64 {
		n, _ := s.logins.gate.Waiting(time.Now())
		return float64(n)
	})
	m.CounterFunc("login_sources_forgotten_total", "Sources forgotten early because too many failed to log in.", func() uint64 {
		_, n := s.logins.gate.Waiting(time.Now())
		return n
	})
}

func (s *Service) registerUDP(m *metric.Registry) {
	if s.datagrams == nil {
		return
	}
	n := s.datagrams.Counts()
	count := func(name, help string, v *atomic.Uint64, labels ...metric.Label) {
		m.CounterFunc(name, help, v.Load, labels...)
	}
	count("datagrams_received_total", "Datagrams received.", &n.Received)
	count("datagrams_sent_total", "Datagrams sent.", &n.Sent)
	count("datagrams_unsent_total", "Datagrams that the kernel would not send.", &n.SendErrors)
	for _, d := range drops(n) {
		count("datagrams_dropped_total", "Requests over UDP that were not served, or not in full, by why.", d.n, metric.Label{Name: "reason", Value: d.reason})
	}
}

// drop is a reason why a datagram is not served.
type drop struct {
	reason string
	n      *atomic.Uint64
}

func drops(n *udp.Counts) []drop {
	return []drop{
		{"short", &n.Short}, {"fragmented", &n.Fragmented}, {"truncated", &n.Truncated}, {"limited", &n.Limited},
		{"refused", &n.Refused}, {"amplifies", &n.TooLarge}, {"oversize", &n.Oversize},
	}
}
