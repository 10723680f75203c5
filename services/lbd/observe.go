package lbd

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/accesslog"
	"github.com/everup/everup/services/lbd/internal/traffic"
)

// logSpecs are the access logs.
func logSpecs(c *Config, node string) (out []accesslog.Spec) {
	for i := range c.AccessLog {
		out = append(out, c.AccessLog[i].Spec(node))
	}
	return out
}

// forgetTraffic takes what is gone out of the counters.
func (s *Service) forgetTraffic() {
	s.mu.Lock()
	routes := make([]string, 0, len(s.cfg.Routes))
	for i := range s.cfg.Routes {
		routes = append(routes, nameOf(s.cfg.Routes[i].Name, i))
	}
	s.mu.Unlock()
	pools := map[string][]string{traffic.None: nil}
	for _, p := range s.poolList() {
		pools[p.Name()] = p.Names()
	}
	s.counters.traffic.Keep(routes, pools)
}

// Traffic returns what was counted so far. What is under way at members is what their pools know of.
func (s *Service) Traffic() *traffic.Snapshot {
	t := s.counters.traffic.Read(time.Now())
	active := map[string]map[string]int64{}
	for _, p := range s.poolStatus() {
		active[p.Name] = map[string]int64{}
		for _, m := range p.Members {
			active[p.Name][string(m.ID)] = int64(m.Active)
		}
	}
	for i := range t.Pools {
		p := &t.Pools[i]
		for k := range p.Members {
			p.Members[k].InFlight = active[p.Name][p.Members[k].Name]
		}
	}
	return t
}
