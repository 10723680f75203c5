package probe

import (
	"sync/atomic"

	"github.com/everup/everup/shared/metric"
)

// counters are a Runner's figures.
type counters struct {
	ok, failed, discarded, late atomic.Uint64
}

func (c *counters) result(ok bool) {
	if ok {
		c.ok.Add(1)
		return
	}
	c.failed.Add(1)
}

// register makes the figures visible in m, if there is one.
func (c *counters) register(m *metric.Registry, r *Runner) {
	if m == nil {
		return
	}
	const help = "Checks by result; discarded ones timed out while this process was stalled."
	for _, v := range []struct {
		result string
		n      *atomic.Uint64
	}{{"ok", &c.ok}, {"failed", &c.failed}, {"discarded", &c.discarded}} {
		m.CounterFunc("probe_checks_total", help, v.n.Load, metric.Label{Name: "result", Value: v.result})
	}
	m.CounterFunc("probe_late_starts_total", "Checks that began more than 100 ms after their time.", c.late.Load)
	m.GaugeFunc("probe_running_checks", "Checks that run now.", func() float64 { return float64(len(r.slots)) })
	m.GaugeFunc("probe_targets", "Targets that are checked.", func() float64 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return float64(len(r.targets))
	})
}
