package metric

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Registry holds the metrics of one daemon. Safe for concurrent use.
type Registry struct {
	prefix   string
	overflow *Counter

	mu       sync.RWMutex
	families map[string]*family // by full name
	taken    map[string]string  // every name that appears in the output, with the family it belongs to
	before   []func()           // run at the start of each WriteText
}

// NewRegistry returns an empty registry; prefix is "everup_lbd".
func NewRegistry(prefix string) *Registry {
	checkName("prefix", prefix)
	r := &Registry{prefix: prefix, families: make(map[string]*family), taken: make(map[string]string)}
	r.overflow = r.Counter("metric_overflow_total", `Uses of a label combination that did not fit and counted as "other".`)
	return r
}

// Counter registers a counter. The same name may be registered again with other values of the same label names.
func (r *Registry) Counter(name, help string, labels ...Label) *Counter {
	c := new(Counter)
	r.register(kindCounter, name, help, labels, c)
	return c
}

// Gauge registers a gauge.
func (r *Registry) Gauge(name, help string, labels ...Label) *Gauge {
	g := new(Gauge)
	r.register(kindGauge, name, help, labels, g)
	return g
}

// CounterFunc registers a counter whose value f tells at each scrape. f must not block and must never go down.
func (r *Registry) CounterFunc(name, help string, f func() uint64, labels ...Label) {
	r.register(kindCounter, name, help, labels, counterFunc(f))
}

// FloatCounterFunc is CounterFunc for a count with fractions (seconds).
func (r *Registry) FloatCounterFunc(name, help string, f func() float64, labels ...Label) {
	r.register(kindCounter, name, help, labels, gaugeFunc(f))
}

// GaugeFunc registers a gauge whose value f tells at each scrape. f must not block.
func (r *Registry) GaugeFunc(name, help string, f func() float64, labels ...Label) {
	r.register(kindGauge, name, help, labels, gaugeFunc(f))
}

// Histogram registers a histogram; bounds as in NewHistogram.
func (r *Registry) Histogram(name, help string, bounds []float64, labels ...Label) *Histogram {
	h := NewHistogram(bounds)
	r.register(kindHistogram, name, help, labels, h)
	return h
}

// HistogramFunc registers a histogram that is kept elsewhere: at each scrape read fills counts, the number of observations in each bucket
// alone, one more than bounds (the last has no upper bound), and returns the sum of all observed values.
func (r *Registry) HistogramFunc(name, help string, bounds []float64, read func(counts []uint64) (sum float64), labels ...Label) {
	checkBounds(bounds)
	r.register(kindHistogram, name, help, labels, &histogramFunc{slices.Clone(bounds), read})
}

// BeforeWrite has f run at the start of each WriteText, to refresh several values by one look. f must not block.
func (r *Registry) BeforeWrite(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = append(r.before, f)
}

// Names returns the full names registered, sorted, for the test that compares them with the documentation.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.families))
}

// register adds one combination to the family called name, which it makes if need be.
func (r *Registry) register(k kind, name, help string, labels []Label, v sample) {
	names, values := make([]string, len(labels)), make([]string, len(labels))
	for i, l := range labels {
		names[i], values[i] = l.Name, clean(l.Value)
	}
	f := r.family(k, name, help, names, 0)
	f.mu.Lock()
	defer f.mu.Unlock()
	key := string(appendKey(nil, values))
	if f.max > 0 || f.series[key] != nil {
		panic(fmt.Sprintf("BUG: metric: %s %q registered twice", f.name, values))
	}
	f.series[key] = &series{values, v}
}

// family returns the family, made on first use. max > 0 means a vec, of which there can be only one.
func (r *Registry) family(k kind, name, help string, labelNames []string, max int) *family {
	full := r.prefix + "_" + name
	f := &family{name: full, help: help, kind: k, labels: labelNames, max: max, series: make(map[string]*series)}
	f.check(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.families[full]; old != nil {
		if !old.same(f) {
			panic(fmt.Sprintf("BUG: metric: %s registered twice, with another type, help or other labels", full))
		}
		return old
	}
	for _, n := range f.outputNames() {
		if by, ok := r.taken[n]; ok {
			panic(fmt.Sprintf("BUG: metric: %s and %s both print %s", full, by, n))
		}
		r.taken[n] = full
	}
	r.families[full] = f
	return f
}
