package lbd

import (
	"sync/atomic"

	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/probe"
)

// registerPools has the metrics of pools and their members read at a scrape, by one look at all of them.
func (s *Service) registerPools(r *metric.Registry) {
	var seen atomic.Pointer[[]pool.Status]
	r.BeforeWrite(func() {
		all := s.poolStatus()
		seen.Store(&all)
	})
	pools := func(name, help string, value func(*pool.Status) float64) {
		r.GaugeVecFunc(name, help, maxPools, []string{"pool"}, func(emit func(float64, ...string)) {
			for i := range *seen.Load() {
				p := &(*seen.Load())[i]
				emit(value(p), p.Name)
			}
		})
	}
	members := func(name, help string, value func(*pool.MemberStatus) float64) {
		r.GaugeVecFunc(name, help, maxMembers, []string{"pool", "member"}, func(emit func(float64, ...string)) {
			for _, p := range *seen.Load() {
				for i := range p.Members {
					emit(value(&p.Members[i]), p.Name, string(p.Members[i].ID))
				}
			}
		})
	}
	pools("pool_usable", "Members that may serve.", func(p *pool.Status) float64 { return float64(p.Usable) })
	pools("pool_requests_in_flight", "Requests under way in a pool, upgraded connections included.", func(p *pool.Status) float64 { return float64(p.Active) })
	pools("pool_queued", "Requests that wait for a member.", func(p *pool.Status) float64 { return float64(p.Queued) })
	pools("pool_panic", "1 while too few members are well, and all are used.", func(p *pool.Status) float64 { return one(p.Panic) })
	pools("pool_on_backups", "1 while backups serve in place of the primaries.", func(p *pool.Status) float64 { return one(p.Backups) })
	members("member_up", "1 when a member's check passes.", func(m *pool.MemberStatus) float64 { return one(m.State == probe.Up) })
	members("member_requests_in_flight", "Requests under way at a member, upgraded connections included.", func(m *pool.MemberStatus) float64 { return float64(m.Active) })
	members("member_ejected", "1 while a member is ejected for what its requests came to.", func(m *pool.MemberStatus) float64 { return one(m.Ejected) })
	r.CounterVecFunc("member_ejections_total", "Ejections of a member for what its requests came to.", maxMembers, []string{"pool", "member"}, func(emit func(uint64, ...string)) {
		for _, p := range *seen.Load() {
			for i := range p.Members {
				emit(p.Members[i].Ejections, p.Name, string(p.Members[i].ID))
			}
		}
	})
	members("member_breaker", "A member's circuit: 0 closed, 1 half open, 2 open.", func(m *pool.MemberStatus) float64 {
		return map[string]float64{"half-open": 1, "open": 2}[m.Breaker]
	})
	members("member_ewma_seconds", "Peak EWMA of the time until the head of a member's answers.", func(m *pool.MemberStatus) float64 { return m.EWMA })
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
