package lbd

import (
	"sync/atomic"

	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/shared/metric"
)

// h2Sides is a reading of what was done on connections of HTTP/2, by http2.Role.
type h2Sides [2]*engine.H2Counts

// registerHTTP2 makes the metrics of HTTP/2: all from one reading of read.
func registerHTTP2(r *metric.Registry, read func(http2.Role) *engine.H2Counts, windows func() (int64, uint64)) {
	r.GaugeFunc("http2_window_bytes", "Bytes by which windows of HTTP/2 are larger than their address says.", func() float64 { n, _ := windows(); return float64(n) })
	r.CounterFunc("http2_window_full_total", "Times that a window of HTTP/2 did not grow as all had grown by as much as they may together.",
		func() uint64 { _, n := windows(); return n })
	now := new(atomic.Pointer[h2Sides])
	now.Store(&h2Sides{new(engine.H2Counts), new(engine.H2Counts)})
	r.BeforeWrite(func() { now.Store(&h2Sides{read(http2.Server), read(http2.Client)}) })
	each := func(f func(side string, n *engine.H2Counts)) {
		for i, side := range []string{http2.Server: "client", http2.Client: "member"} {
			f(side, now.Load()[i])
		}
	}
	gauge := func(name, help string, f func(*engine.H2Counts) int) {
		r.GaugeVecFunc(name, help, 2, []string{"side"}, func(emit func(float64, ...string)) {
			each(func(side string, n *engine.H2Counts) { emit(float64(f(n)), side) })
		})
	}
	count := func(name, help string, f func(*engine.H2Counts) uint64) {
		r.CounterVecFunc(name, help, 2, []string{"side"}, func(emit func(uint64, ...string)) {
			each(func(side string, n *engine.H2Counts) { emit(f(n), side) })
		})
	}
	causes := func(name, help string, f func(*engine.H2Counts) *[2]http2.CauseCounts) {
		r.CounterVecFunc(name, help, 4*http2.MaxCauses, []string{"side", "direction", "reason"}, func(emit func(uint64, ...string)) {
			each(func(side string, n *engine.H2Counts) {
				for d, direction := range []string{http2.Sent: "sent", http2.Received: "received"} {
					f(n)[d].Each(func(why string, n uint64) { emit(n, side, direction, why) })
				}
			})
		})
	}
	gauge("http2_connections", "Connections of HTTP/2 open, by side.", func(n *engine.H2Counts) int { return n.OpenConnections })
	count("http2_connections_total", "Connections of HTTP/2 that were begun, by side.", func(n *engine.H2Counts) uint64 { return n.Connections })
	gauge("http2_streams", "Requests under way by HTTP/2, by side.", func(n *engine.H2Counts) int { return n.OpenStreams })
	count("http2_streams_total", "Requests by HTTP/2, by side.", func(n *engine.H2Counts) uint64 { return n.Streams })
	causes("http2_resets_total", "Streams of HTTP/2 that were reset, by side, who has said so, and the error code or what the peer had done wrong.",
		func(n *engine.H2Counts) *[2]http2.CauseCounts { return &n.Resets })
	causes("http2_goaways_total", "Ends of connections of HTTP/2 that were told by GOAWAY, by side, who has said so, and the error code or what the peer had done wrong.",
		func(n *engine.H2Counts) *[2]http2.CauseCounts { return &n.GoAways })
}
