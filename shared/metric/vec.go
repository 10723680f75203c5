package metric

import "fmt"

// CounterVec is a family of counters told apart by label values. It holds at most max combinations;
// further ones share the combination whose values are all "other", which comes on top.
// With takes no lock that writers hold long and allocates nothing for a known combination; code on a hot path
// keeps the result all the same.
type CounterVec struct{ vec }

// CounterVec registers a family of counters. max must be positive.
func (r *Registry) CounterVec(name, help string, max int, labelNames ...string) *CounterVec {
	return &CounterVec{r.vec(kindCounter, name, help, max, labelNames)}
}

// With returns the counter for the values, given in the order of the label names. A wrong number of values is a bug
// and panics. Values are cut at 128 bytes.
func (v *CounterVec) With(values ...string) *Counter {
	return v.f.get(values, newCounter, v.overflow).(*Counter)
}

// Delete forgets one combination (a pool member that left). A counter got before still counts, unseen.
func (v *CounterVec) Delete(values ...string) { v.f.delete(values) }

// GaugeVec is CounterVec for gauges.
type GaugeVec struct{ vec }

// GaugeVec registers a family of gauges.
func (r *Registry) GaugeVec(name, help string, max int, labelNames ...string) *GaugeVec {
	return &GaugeVec{r.vec(kindGauge, name, help, max, labelNames)}
}

// With returns the gauge for the values.
func (v *GaugeVec) With(values ...string) *Gauge {
	return v.f.get(values, newGauge, v.overflow).(*Gauge)
}

// Delete forgets one combination.
func (v *GaugeVec) Delete(values ...string) { v.f.delete(values) }

// HistogramVec is CounterVec for histograms.
type HistogramVec struct {
	vec
	make func() sample
}

// HistogramVec registers a family of histograms with the same bounds.
func (r *Registry) HistogramVec(name, help string, bounds []float64, max int, labelNames ...string) *HistogramVec {
	checkBounds(bounds)
	return &HistogramVec{
		vec:  r.vec(kindHistogram, name, help, max, labelNames),
		make: func() sample { return NewHistogram(bounds) },
	}
}

// With returns the histogram for the values.
func (v *HistogramVec) With(values ...string) *Histogram {
	return v.f.get(values, v.make, v.overflow).(*Histogram)
}

// Delete forgets one combination.
func (v *HistogramVec) Delete(values ...string) { v.f.delete(values) }

type vec struct {
	f        *family
	overflow *Counter
}

func newCounter() sample { return new(Counter) }
func newGauge() sample   { return new(Gauge) }

func (r *Registry) vec(k kind, name, help string, max int, labelNames []string) vec {
	if max <= 0 || len(labelNames) == 0 {
		panic(fmt.Sprintf("BUG: metric: vec %s needs a positive bound and labels", name))
	}
	f := r.family(k, name, help, labelNames, max)
	return vec{f, r.overflow}
}

// GaugeVecFunc registers a family of gauges whose combinations each tells at a scrape: for what is counted elsewhere
// already (the members of a pool). Values beyond max combinations, and doubled ones, are left out. f must not block.
func (r *Registry) GaugeVecFunc(name, help string, max int, labelNames []string, each func(emit func(v float64, values ...string))) {
	r.vecFunc(kindGauge, name, help, max, labelNames, func(emit func(sample, ...string)) {
		each(func(value float64, values ...string) {
			g := new(Gauge)
			g.Set(value)
			emit(g, values...)
		})
	})
}

// CounterVecFunc is GaugeVecFunc for counters. A value must not go down while its combination is told.
func (r *Registry) CounterVecFunc(name, help string, max int, labelNames []string, each func(emit func(v uint64, values ...string))) {
	r.vecFunc(kindCounter, name, help, max, labelNames, func(emit func(sample, ...string)) {
		each(func(value uint64, values ...string) {
			c := new(Counter)
			c.Add(value)
			emit(c, values...)
		})
	})
}

// HistogramVecFunc is GaugeVecFunc for histograms: counts are the observations in each bucket alone, one more than bounds, as for
// HistogramFunc. They are kept.
func (r *Registry) HistogramVecFunc(name, help string, bounds []float64, max int, labelNames []string, each func(emit func(counts []uint64, sum float64, values ...string))) {
	checkBounds(bounds)
	r.vecFunc(kindHistogram, name, help, max, labelNames, func(emit func(sample, ...string)) {
		each(func(counts []uint64, sum float64, values ...string) {
			if len(counts) != len(bounds)+1 {
				panic(fmt.Sprintf("BUG: metric: %s has %d bounds, got %d counts", name, len(bounds), len(counts)))
			}
			emit(&histogramFunc{bounds, func(into []uint64) float64 { copy(into, counts); return sum }}, values...)
		})
	})
}

// vecFunc registers a family that is made anew for each scrape.
func (r *Registry) vecFunc(k kind, name, help string, max int, labelNames []string, each func(emit func(v sample, values ...string))) {
	v := r.vec(k, name, help, max, labelNames)
	r.BeforeWrite(func() {
		fresh := make(map[string]*series)
		each(func(value sample, values ...string) {
			if len(values) != len(labelNames) {
				panic(fmt.Sprintf("BUG: metric: %s has %d labels, got %d values", v.f.name, len(labelNames), len(values)))
			}
			values = cleanAll(values)
			key := string(appendKey(nil, values))
			if len(fresh) >= max && fresh[key] == nil {
				v.overflow.Inc()
				return
			}
			fresh[key] = &series{values, value}
		})
		v.f.mu.Lock()
		v.f.series = fresh
		v.f.mu.Unlock()
	})
}
