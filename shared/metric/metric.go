// Package metric counts: counters, gauges and histograms that print as Prometheus text (exposition format 0.0.4).
// Names are everup_<service>_<noun>_<unit>; counters end in _total. A registry knows its prefix, so the
// code says Counter("requests_total", …). Wrong or doubled names are bugs and panic at registration.
package metric

import (
	"io"
	"time"
)

// Label is one name and value.
type Label struct{ Name, Value string }

// Registry holds the metrics of one daemon. Safe for concurrent use.
type Registry struct{}

// NewRegistry returns an empty registry; prefix is "everup_lbd".
func NewRegistry(prefix string) *Registry { panic("skeleton") }

// Counter only grows. Add is one atomic add; the zero value counts but is not registered.
type Counter struct{}

func (c *Counter) Inc()          { panic("skeleton") }
func (c *Counter) Add(n uint64)  { panic("skeleton") }
func (c *Counter) Value() uint64 { panic("skeleton") }

// Gauge goes up and down.
type Gauge struct{}

func (g *Gauge) Set(v float64)  { panic("skeleton") }
func (g *Gauge) Add(d float64)  { panic("skeleton") }
func (g *Gauge) Value() float64 { panic("skeleton") }

// Histogram counts observations in buckets with fixed upper bounds.
type Histogram struct{}

func (h *Histogram) Observe(v float64)            { panic("skeleton") }
func (h *Histogram) ObserveSince(start time.Time) { panic("skeleton") }

// LatencyBuckets are upper bounds in seconds, 50 µs to 10 s.
func LatencyBuckets() []float64 { panic("skeleton") }

func (r *Registry) Counter(name, help string, labels ...Label) *Counter { panic("skeleton") }
func (r *Registry) Gauge(name, help string, labels ...Label) *Gauge     { panic("skeleton") }
func (r *Registry) CounterFunc(name, help string, f func() uint64, labels ...Label) {
	panic("skeleton")
}
func (r *Registry) GaugeFunc(name, help string, f func() float64, labels ...Label) { panic("skeleton") }
func (r *Registry) Histogram(name, help string, bounds []float64, labels ...Label) *Histogram {
	panic("skeleton")
}

// CounterVec is a family of counters told apart by label values. It holds at most max combinations;
// further ones share the combination whose values are all "other".
type CounterVec struct{}

func (r *Registry) CounterVec(name, help string, max int, labelNames ...string) *CounterVec {
	panic("skeleton")
}
func (v *CounterVec) With(values ...string) *Counter { panic("skeleton") }

// Delete forgets one combination (a pool member that left).
func (v *CounterVec) Delete(values ...string) { panic("skeleton") }

// GaugeVec and HistogramVec are the same for gauges and histograms.
type GaugeVec struct{}

func (r *Registry) GaugeVec(name, help string, max int, labelNames ...string) *GaugeVec {
	panic("skeleton")
}
func (v *GaugeVec) With(values ...string) *Gauge { panic("skeleton") }
func (v *GaugeVec) Delete(values ...string)      { panic("skeleton") }

type HistogramVec struct{}

func (r *Registry) HistogramVec(name, help string, bounds []float64, max int, labelNames ...string) *HistogramVec {
	panic("skeleton")
}
func (v *HistogramVec) With(values ...string) *Histogram { panic("skeleton") }

// WriteText prints all metrics in name order.
func (r *Registry) WriteText(w io.Writer) error { panic("skeleton") }

// Names returns the full names registered, sorted, for the test that compares them with the documentation.
func (r *Registry) Names() []string { panic("skeleton") }
