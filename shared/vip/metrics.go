package vip

import (
	"strconv"
	"sync"

	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/vip/internal/wire"
)

const (
	maxSeries  = wire.MaxRouters
	maxReasons = 64 // of drops, for each router
)

// metrics are what is counted. The child's counters begin anew with each child; what they have grown by is added.
type metrics struct {
	transitions                           *metric.CounterVec
	sent, sendFailed, received, announced *metric.CounterVec
	reasserted, readded, late             *metric.CounterVec
	dropped                               *metric.CounterVec
	notified, notifyErrors, notifyLost    *metric.CounterVec
	restarts, lost                        *metric.Counter

	mu       sync.Mutex
	last     map[seriesKey]wire.Counters // of the present child
	lastLost uint64
	reasons  map[seriesKey]map[string]bool // label values in use
}

type seriesKey struct{ vip, family string }

func newMetrics(r *metric.Registry) *metrics {
	byRouter := func(name, help string) *metric.CounterVec {
		return r.CounterVec(name, help, maxSeries, "vip", "family")
	}
	byVIP := func(name, help string) *metric.CounterVec { return r.CounterVec(name, help, maxSeries, "vip") }
	return &metrics{
		transitions:  r.CounterVec("vip_transitions_total", "Changes of a VIP's state, by the state entered.", 3*maxSeries, "vip", "state"),
		sent:         byRouter("vip_adverts_sent_total", "VRRP adverts sent."),
		sendFailed:   byRouter("vip_send_failed_total", "VRRP adverts and announcements that the system refused to send."),
		received:     byRouter("vip_adverts_received_total", "VRRP adverts received and taken."),
		dropped:      r.CounterVec("vip_adverts_dropped_total", "VRRP adverts received and not taken, by reason.", maxSeries*maxReasons, "vip", "family", "reason"),
		announced:    byRouter("vip_announcements_total", "Gratuitous ARPs and unsolicited neighbour advertisements sent."),
		reasserted:   byRouter("vip_reasserted_total", "Times another host claimed a VIP that was held here."),
		readded:      byRouter("vip_readded_total", "Virtual addresses added again because something else had removed them."),
		late:         byRouter("vip_late_total", "Timers of the VRRP process that fired so late that nothing was done."),
		notified:     byVIP("vip_notify_total", "Notify commands that ended well."),
		notifyErrors: byVIP("vip_notify_failed_total", "Notify commands that failed, or were killed for lasting too long."),
		notifyLost:   byVIP("vip_notify_dropped_total", "Changes whose notify commands were not run, because too many waited."),
		restarts:     r.Counter("vip_child_restarts_total", "Times the VRRP process ended unasked."),
		lost:         r.Counter("vip_tells_lost_total", "Messages of the VRRP process that the daemon did not take in time."),
		last:         map[seriesKey]wire.Counters{}, reasons: map[seriesKey]map[string]bool{},
	}
}

func (m *metrics) transition(vip string, to State) { m.transitions.With(vip, string(to)).Inc() }
func (m *metrics) notifyRan(vip string)            { m.notified.With(vip).Inc() }
func (m *metrics) notifyFailed(vip string)         { m.notifyErrors.With(vip).Inc() }
func (m *metrics) notifyDropped(vip string)        { m.notifyLost.With(vip).Inc() }

// newChild says that the counters begin anew.
func (m *metrics) newChild() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.last)
	m.lastLost = 0
}

// take adds what the counters of VIPs that are known have grown by. A snapshot may be of an earlier plan.
func (m *metrics) take(s *wire.Snapshot, known func(vip string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost.Add(grown(s.Lost, m.lastLost))
	m.lastLost = s.Lost
	for i := range s.Groups {
		for k := range s.Groups[i].Routers {
			if r := &s.Groups[i].Routers[k]; known(r.Vip) {
				m.takeRouter(seriesKey{r.Vip, strconv.Itoa(r.Family)}, r.Counters)
			}
		}
	}
}

func (m *metrics) takeRouter(key seriesKey, now wire.Counters) {
	last := m.last[key]
	m.last[key] = now
	for _, c := range []struct {
		of        *metric.CounterVec
		now, last uint64
	}{
		{m.sent, now.Sent, last.Sent}, {m.sendFailed, now.SendFailed, last.SendFailed}, {m.received, now.Received, last.Received},
		{m.announced, now.Announced, last.Announced}, {m.reasserted, now.Reasserted, last.Reasserted},
		{m.readded, now.Readded, last.Readded}, {m.late, now.Late, last.Late},
	} {
		c.of.With(key.vip, key.family).Add(grown(c.now, c.last))
	}
	for reason, n := range now.Dropped {
		if more := grown(n, last.Dropped[reason]); more > 0 {
			m.note(key, reason)
			m.dropped.With(key.vip, key.family, reason).Add(more)
		}
	}
}

func (m *metrics) note(key seriesKey, reason string) {
	if m.reasons[key] == nil {
		m.reasons[key] = map[string]bool{}
	}
	m.reasons[key][reason] = true
}

// grown is what a counter has grown by; one that is less than before has begun anew, as a router that a reload has replaced.
func grown(now, last uint64) uint64 {
	if now < last {
		return now
	}
	return now - last
}

// forget drops the series of a VIP that is no more.
func (m *metrics) forget(vip string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, family := range []string{"4", "6"} {
		key := seriesKey{vip, family}
		for _, v := range []*metric.CounterVec{m.sent, m.sendFailed, m.received, m.announced, m.reasserted, m.readded, m.late} {
			v.Delete(vip, family)
		}
		for reason := range m.reasons[key] {
			m.dropped.Delete(vip, family, reason)
		}
		delete(m.reasons, key)
		delete(m.last, key)
	}
	for _, s := range []State{Active, Backup, Fault} {
		m.transitions.Delete(vip, string(s))
	}
	for _, v := range []*metric.CounterVec{m.notified, m.notifyErrors, m.notifyLost} {
		v.Delete(vip)
	}
}

// registerMetrics registers what is read at a scrape.
func (m *Manager) registerMetrics() {
	r := m.env.Metrics
	r.GaugeVecFunc("vip_state", "State of a VIP on this host: 2 active, 1 backup, 0 fault, -1 not known.", maxSeries, []string{"vip"},
		func(emit func(float64, ...string)) {
			for _, v := range m.Status().VIPs {
				emit(v.State.number(), v.Name)
			}
		})
	r.GaugeVecFunc("vip_priority", "VRRP priority of a VIP on this host, as it is advertised.", maxSeries, []string{"vip"},
		func(emit func(float64, ...string)) {
			for _, v := range m.Status().VIPs {
				emit(float64(v.Priority), v.Name)
			}
		})
	r.GaugeFunc("vip_child_running", "1 while the VRRP process runs, else 0.", func() float64 {
		if m.Status().Process.Running {
			return 1
		}
		return 0
	})
}

func (s State) number() float64 {
	switch s {
	case Active:
		return 2
	case Backup:
		return 1
	case Fault:
		return 0
	}
	return -1
}
