package cached

import (
	engine "github.com/everup/everup/services/cached/internal/oldengine"
	"github.com/everup/everup/shared/metric"
)

// commands are the verbs with a counter of their own; everything else counts as "other", so that clients cannot make labels.
var commands = [...]string{
	"get", "gets", "gat", "gats", "set", "add", "replace", "append", "prepend", "cas",
	"delete", "touch", "incr", "decr", "flush_all", "stats", "version", "verbosity", "quit",
}

// counters are cached's metrics.
type counters struct {
	accepted, refused *metric.Counter
	byCommand         map[string]*metric.Counter // read-only after register
	other             *metric.Counter
}

func (c *counters) register(r *metric.Registry, s *engine.Store, connections func() int) {
	c.accepted = r.Counter("connections_total", "Connections accepted.")
	c.refused = r.Counter("connections_refused_total", "Connections refused because the limit was reached.")
	v := r.CounterVec("commands_total", "Commands by name.", len(commands)+1, "command")
	c.byCommand = make(map[string]*metric.Counter, len(commands))
	for _, name := range commands {
		c.byCommand[name] = v.With(name)
	}
	c.other = v.With("other")
	r.GaugeFunc("connections", "Connections open.", func() float64 { return float64(connections()) })
	r.GaugeFunc("items", "Items kept.", func() float64 { return float64(s.Stats().Items) })
	r.GaugeFunc("memory_bytes", "Bytes of keys, values and what items cost beyond them.", func() float64 { return float64(s.Stats().Bytes) })
	r.GaugeFunc("memory_limit_bytes", "Bound of memory_bytes.", func() float64 { return float64(s.Stats().Limit) })
	r.CounterFunc("evictions_total", "Items evicted to keep the bound.", func() uint64 { return s.Stats().Evictions })
	r.CounterFunc("reclaimed_total", "Expired items whose memory was taken back.", func() uint64 { return s.Stats().Reclaimed })
	r.CounterFunc("get_hits_total", "Keys asked for and found.", func() uint64 { return s.Stats().GetHits })
	r.CounterFunc("get_misses_total", "Keys asked for and not found.", func() uint64 { return s.Stats().GetMisses })
}

func (c *counters) command(name string) {
	if n := c.byCommand[name]; n != nil {
		n.Inc()
		return
	}
	c.other.Inc()
}

// sets is the number of storage commands.
func (c *counters) sets() (n uint64) {
	for _, name := range []string{"set", "add", "replace", "append", "prepend", "cas"} {
		n += c.byCommand[name].Value()
	}
	return n
}
