package cached

import (
	"net/netip"
	"slices"
	"time"

	"github.com/everup/everup/shared/member"
)

// mostEndpoints is how many of the listeners gossip carries.
const mostEndpoints = 12

// announce tells the fleet where the cache listens. Unix sockets are of no use to others.
func (s *Service) announce() {
	var ends []member.Endpoint
	for _, b := range s.bound {
		if at, err := netip.ParseAddrPort(b.addr.String()); err == nil && len(ends) < mostEndpoints {
			ends = append(ends, endpoint(b, at))
		}
	}
	s.env.Announce(func(a *member.Announcement) { a.Endpoints = ends })
}

func endpoint(b bound, at netip.AddrPort) member.Endpoint {
	e := member.Endpoint{Name: "memcached", Proto: "tcp", Addr: at}
	switch {
	case b.udp:
		e.Proto = "udp"
	case b.Protocol == "resp":
		e.Name = "redis"
	case b.TLS:
		e.Name = "memcached-tls"
	}
	return e
}

const (
	figuresEvery = 5 // seconds
	// figureStep is the change, per mille, from which a figure is worth a gossip message.
	figureStep = 10
)

// tellFigures tells the fleet the share of the last minute's look-ups that hit, and of the memory that is in use. The keeper alone calls it.
func (s *Service) tellFigures(used, limit int64) {
	var now []member.Figure
	if ratio, ok := s.insight.windows.Ratio(time.Minute); ok {
		now = append(now, member.Figure{Name: "hit_ratio", PerMille: uint16(1000*ratio + 0.5)})
	}
	now = append(now, member.Figure{Name: "memory", PerMille: uint16(1000 * min(used, limit) / max(limit, 1))})
	if slices.EqualFunc(s.figures, now, alike) {
		return
	}
	s.figures = now
	s.env.Announce(func(a *member.Announcement) { a.Figures = now })
}

// alike reports whether b says about what a did.
func alike(a, b member.Figure) bool {
	return a.Name == b.Name && max(a.PerMille, b.PerMille)-min(a.PerMille, b.PerMille) < figureStep
}
