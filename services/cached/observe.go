package cached

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/insight"
)

const (
	followKeys = 4096 // of the curve: with twice as many it is no closer to what LRU does, and takes twice the time
	hotKeys    = 512  // followed
	hotShown   = 20   // in status and on the admin API
	hotEvery   = 64   // accesses a sample
	// hotShare is the share of all accesses from which a key is told on the bus: it makes one thread of many busy.
	hotShare = 0.10
)

// observer feeds package insight with what the engine samples.
type observer struct {
	curve   *insight.Curve
	hot     *insight.HotKeys
	windows *insight.Windows

	publishDeletes, publishStores atomic.Bool
	told                          map[string]bool // hot keys that were told; the keeper's alone
}

var _ engine.Tap = (*observer)(nil)

func newObserver() *observer {
	hot, err := insight.NewHotKeys(hotKeys, hotEvery)
	if err != nil {
		panic("BUG: cached: " + err.Error())
	}
	return &observer{curve: insight.NewCurve(followKeys), hot: hot, windows: insight.NewWindows(), told: map[string]bool{}}
}

// ByHash takes an access to a key that the curve follows.
func (o *observer) ByHash(hash uint64, kind engine.Kind, weight int) {
	switch kind {
	case engine.ReadHit:
		o.curve.Read(hash, weight)
	case engine.ReadMiss:
		o.curve.Read(hash, 0)
	case engine.Write:
		o.curve.Write(hash, weight)
	case engine.Removal:
		o.curve.Remove(hash)
	}
}

// ByCount takes every hotEvery-th access.
func (o *observer) ByCount(hash uint64, key []byte, _ engine.Kind) { o.hot.Add(hash, key) }

// publish says which changes are told on the bus.
func (o *observer) publish(kinds []string) {
	var deletes, stores bool
	for _, k := range kinds {
		deletes, stores = deletes || k == "deletes", stores || k == "stores"
	}
	o.publishDeletes.Store(deletes)
	o.publishStores.Store(stores)
}

// Estimate is what another size of the memory would bring.
type Estimate struct {
	Factor float64 `json:"factor"` // of the limit now
	insight.Point
}

// estimates are the hit ratios at an eighth to eight times of limit.
func (o *observer) estimates(limit int64) []Estimate {
	factors := []float64{0.125, 0.25, 0.5, 1, 2, 4, 8}
	var sizes []int64
	for _, f := range factors {
		sizes = append(sizes, int64(f*float64(limit)))
	}
	out := []Estimate{}
	for i, p := range o.curve.Points(sizes...) {
		out = append(out, Estimate{Factor: factors[i], Point: p})
	}
	return out
}

const (
	sweepEvery = 100 * time.Millisecond
	sweepItems = 20_000 // looked at in one go: bounds what a sweep takes from the clients
	fadeEvery  = 600    // seconds
	hotWindow  = 60     // seconds
)

// keep ticks the clock, sweeps out expired items and feeds the windows, until ctx ends.
func (s *Service) keep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	last := s.sessions.Clock.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			second := now.Unix()
			if second != last {
				s.second(last, second)
				last = second
			}
			s.store.Sweep(second, sweepItems)
		}
	}
}

// second does what is due in the seconds after last up to now: usually one, but a busy machine skips some.
func (s *Service) second(last, now int64) {
	due := func(every int64) bool { return now/every != last/every }
	s.sessions.Clock.Set(now)
	st := s.store.Stats()
	s.insight.windows.Tick(now, st.Counts[engine.GetHits], st.Counts[engine.GetMisses])
	s.store.Sample(s.insight.curve.Threshold(), hotEvery)
	if due(figuresEvery) {
		s.tellFigures(st.Used, st.Limit)
	}
	if due(fadeEvery) {
		s.insight.curve.Fade()
	}
	if due(hotWindow) {
		s.tellHot()
		s.insight.hot.Fade()
	}
}

// hotLeast is the number of accesses a minute below which no key is worth an event.
const hotLeast = 60_000

// tellHot emits an event for each key that became hot.
func (s *Service) tellHot() {
	now := map[string]bool{}
	for _, h := range s.insight.hot.Top(hotShown) {
		if h.Share < hotShare || h.Accesses < hotLeast {
			break
		}
		now[h.Key] = true
		if !s.insight.told[h.Key] {
			s.env.Bus.Emit("key-hot", "", h)
		}
	}
	s.insight.told = now
}
