package lbd

import (
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/shared/metric"
)

// counted is a request that is counted: forwarded, or answered by lbd itself.
func counted(c *counters, own bool) (*scratch, *engine.Record) {
	x := &scratch{way: &way{"shop", c.traffic.Route("shop")}}
	rec := &engine.Record{Status: 200, Sent: 1024, Timing: engine.Timing{Duration: 730 * time.Microsecond}}
	if own {
		rec.Status, rec.Reason = 404, reasonNoRoute
		return x, rec
	}
	x.group = &group{traffic: c.traffic.Pool("web")}
	rec.Pool, rec.Member = "web", "192.0.2.17:8080"
	return x, rec
}

func counting() *counters {
	c := newCounters()
	c.reasons.vec = metric.NewRegistry("everup_lbd").CounterVec("own_answers_total", "Own.", maxReasons, "reason")
	return c
}

func TestCountingAllocatesNothing(t *testing.T) {
	c := counting()
	for _, own := range []bool{false, true} {
		x, rec := counted(c, own)
		if n := testing.AllocsPerRun(100, func() { x.way.cell.Begin(0); c.done(x, rec) }); n != 0 {
			t.Errorf("own %v: %v allocations", own, n)
		}
	}
}

// All that is counted of a request.
func BenchmarkCounters(b *testing.B) {
	for name, own := range map[string]bool{"forwarded": false, "own": true} {
		b.Run(name, func(b *testing.B) {
			c := counting()
			x, rec := counted(c, own)
			b.ReportAllocs()
			for b.Loop() {
				x.way.cell.Begin(0)
				c.done(x, rec)
			}
		})
	}
}
