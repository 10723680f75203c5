package bus

import (
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/everup/everup/shared/fault"
)

const (
	// maxRoutes bounds the other hosts' servers: a full mesh of more is not what the bus is for.
	maxRoutes = 16
	// routeGrace is how long a route stays after gossip ceased to name it. A daemon that stops leaves gossip first and has
	// its last events still to send; and a death that gossip takes back has cut nothing.
	routeGrace = 10 * time.Second
)

// routeSet is the set of other hosts' servers to be connected to. It is pure: the time comes in.
type routeSet struct {
	seen map[netip.AddrPort]time.Time // when gossip last named it
}

// update takes what gossip names now and returns what to connect to, sorted: those named first, then those of late, at most
// 16. again is when to ask anew even if gossip is silent, zero for never.
func (r *routeSet) update(now time.Time, named []netip.AddrPort) (routes []netip.AddrPort, again time.Time) {
	if r.seen == nil {
		r.seen = map[netip.AddrPort]time.Time{}
	}
	named = slices.Clone(named)
	slices.SortFunc(named, netip.AddrPort.Compare)
	named = named[:min(len(named), maxRoutes)]
	for _, a := range named {
		if a.IsValid() {
			r.seen[a] = now
		}
	}
	var late []netip.AddrPort
	for a, at := range r.seen {
		switch until := at.Add(routeGrace); {
		case at.Equal(now):
			routes = append(routes, a)
		case !until.After(now):
			delete(r.seen, a)
		default:
			late = append(late, a)
			if again.IsZero() || until.Before(again) {
				again = until
			}
		}
	}
	slices.SortFunc(late, func(x, y netip.AddrPort) int { return r.seen[y].Compare(r.seen[x]) })
	routes = append(routes, late[:min(len(late), maxRoutes-len(routes))]...)
	slices.SortFunc(routes, netip.AddrPort.Compare)
	return routes, again
}

// routeURLs returns the routes without own. They carry no password: a route shows a certificate.
func routeURLs(routes []netip.AddrPort, own netip.AddrPort) []*url.URL {
	var out []*url.URL
	for _, r := range routes {
		if r != own {
			out = append(out, &url.URL{Scheme: "nats-route", Host: r.String()})
		}
	}
	return out
}

// reroute makes the server connect to the given other hosts' servers, and to no more.
func (e *embedded) reroute(routes []netip.AddrPort) error {
	if slices.Equal(routes, e.peers) {
		return nil
	}
	e.peers = routes
	next := e.opts.Clone()
	next.Routes = routeURLs(routes, e.routes)
	return fault.Wrap(fault.Internal, e.srv.ReloadOptions(next), "bus: change the routes")
}

// reroute takes the routes from gossip, and returns when to do so again if gossip is silent.
func (b *Bus) reroute(r *routeSet) (again time.Time) {
	e := b.server.Load()
	if e == nil || b.env.Routes == nil {
		return time.Time{}
	}
	routes, again := r.update(time.Now(), b.env.Routes())
	if err := e.reroute(routes); err != nil {
		b.log.Error().Err(err).Msg("bus: the routes stay as they were")
	}
	return again
}
