// Package metric counts: counters, gauges and histograms that print as Prometheus text (exposition format 0.0.4).
// Names are everup_<service>_<noun>_<unit>; counters end in _total. A registry knows its prefix, so the
// code says Counter("requests_total", …). Wrong or doubled names are bugs and panic at registration.
//
// Counting takes no lock and allocates nothing: one atomic add for counters, a short search and two atomic
// operations for histograms. A scrape reads the values one by one, so those of one scrape are not from one instant;
// a histogram's _count always equals its +Inf bucket.
//
// Every family with labels is bounded. What does not fit counts in the combination whose values are all "other", and
// in <prefix>_metric_overflow_total.
package metric

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// Label is one name and value.
type Label struct{ Name, Value string }

// Counter only grows. Add is one atomic add; the zero value counts but is not registered.
// A counter fills a cache line, so that two of them do not slow each other.
type Counter struct {
	v atomic.Uint64
	_ [56]byte
}

// Inc adds 1.
func (c *Counter) Inc() { c.v.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.v.Add(n) }

// Value returns the count.
func (c *Counter) Value() uint64 { return c.v.Load() }

// Gauge goes up and down. The zero value is 0 and not registered.
type Gauge struct {
	v float64Bits
	_ [56]byte
}

// Set sets the value.
func (g *Gauge) Set(v float64) { g.v.store(v) }

// Add adds d, which may be negative.
func (g *Gauge) Add(d float64) { g.v.add(d) }

// Value returns the value.
func (g *Gauge) Value() float64 { return g.v.load() }

// float64Bits is an atomic float64.
type float64Bits struct{ bits atomic.Uint64 }

func (f *float64Bits) load() float64   { return math.Float64frombits(f.bits.Load()) }
func (f *float64Bits) store(v float64) { f.bits.Store(math.Float64bits(v)) }

func (f *float64Bits) add(d float64) {
	for {
		old := f.bits.Load()
		if f.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+d)) {
			return
		}
	}
}

// Histogram counts observations in buckets with fixed upper bounds. A Registry or NewHistogram makes it; the zero
// value is not usable.
type Histogram struct {
	bounds []float64       // ascending, without +Inf
	counts []atomic.Uint64 // one more than bounds: the last is +Inf
	sum    float64Bits
}

// NewHistogram returns a histogram that is not registered. bounds are upper bounds, inclusive, strictly ascending
// and finite; +Inf is added. It keeps its own copy.
func NewHistogram(bounds []float64) *Histogram {
	checkBounds(bounds)
	return &Histogram{bounds: slices.Clone(bounds), counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts v. NaN is ignored: it would spoil the sum for ever.
func (h *Histogram) Observe(v float64) {
	if math.IsNaN(v) {
		return
	}
	h.counts[h.bucket(v)].Add(1)
	h.sum.add(v)
}

// bucket returns the index of the first bound that is not below v.
func (h *Histogram) bucket(v float64) int {
	i, _ := slices.BinarySearch(h.bounds, v)
	return i
}

// ObserveSince counts the seconds since start.
func (h *Histogram) ObserveSince(start time.Time) { h.Observe(time.Since(start).Seconds()) }

// Count returns the number of observations.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Sum returns the sum of all observations.
func (h *Histogram) Sum() float64 { return h.sum.load() }

// LatencyBuckets are upper bounds in seconds, 50 µs to 10 s.
func LatencyBuckets() []float64 {
	return []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10}
}

// SizeBuckets are upper bounds in bytes, 64 B to 64 MiB by powers of four.
func SizeBuckets() []float64 {
	var b []float64
	for v := 64.0; v <= 64<<20; v *= 4 {
		b = append(b, v)
	}
	return b
}
