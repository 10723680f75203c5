// Package dnsd is everup's DNS server: authoritative zones from master files, names made from the members of the fleet, and a
// caching forwarder for the rest.
//
// # Who owns what
//
// Each address has one UDP and one TCP server of miekg/dns, run by Run, which waits for them. What is served (zones, fleet
// domain, forwarder) is one immutable serve.Data behind an atomic pointer: a reload builds a new one, from files that
// parse, and swaps it. One goroutine follows the upstreams, one asks the server itself while there are virtual addresses, and the
// vip.Manager has its own; Run waits for all. Bounds: TCP connections (tcp.connections), questions waiting for upstreams (forward.pending, then
// SERVFAIL), cached answers (forward.cache, least recently used first), records a zone.
package dnsd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/dnsd/internal/config"
	"github.com/everup/everup/services/dnsd/internal/fleet"
	"github.com/everup/everup/services/dnsd/internal/forward"
	"github.com/everup/everup/services/dnsd/internal/selfquery"
	"github.com/everup/everup/services/dnsd/internal/serve"
	"github.com/everup/everup/services/dnsd/internal/zone"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/netio"
	"github.com/everup/everup/shared/run"
	"github.com/everup/everup/shared/vip"
	"github.com/miekg/dns"
)

// Config is the daemon's configuration.
type Config = config.Config

// Spec describes dnsd to the floor.
func Spec() daemon.Spec[Config] {
	return daemon.Spec[Config]{
		Name: "dnsd", Short: "A DNS server: zones, the fleet's names, forwarding with a cache.", Common: config.Of,
		New:      func(c *Config, env *daemon.Env) (daemon.Service[Config], error) { return New(c, env) },
		Commands: vip.Commands,
	}
}

// Service is a running server.
type Service struct {
	env     *daemon.Env
	cfg     atomic.Pointer[Config]
	data    atomic.Pointer[serve.Data]
	servers []*dns.Server
	counts  counters
	ups     *health.Item // the upstreams

	vips    *vip.Manager
	tell    func(value string, n int) // vips.Set
	serves  func()                    // vips.Ready
	answers *health.Item              // what asking itself finds
	targets []netip.AddrPort          // where it asks itself
	vipsNew chan struct{}             // holds a token when a reload has changed the section
	asking  context.Context           // ends when a drain begins
	endAsk  context.CancelFunc
}

var _ daemon.Service[Config] = (*Service)(nil)

// New reads the zones and binds the sockets.
func New(c *Config, env *daemon.Env) (*Service, error) {
	s := &Service{env: env, ups: env.Health.Item("dnsd.forward", health.Options{Title: "the upstreams of forward"})}
	if err := s.openVIPs(c); err != nil {
		return nil, err
	}
	s.counts.register(env.Metrics, s.data.Load)
	data, err := s.build(c, nil)
	if err != nil {
		return nil, err
	}
	s.data.Store(data)
	s.cfg.Store(c)
	var ends []member.Endpoint
	for i, a := range c.Listen {
		at, err := s.bind(i, a, c)
		if err != nil {
			s.closeSockets()
			return nil, err
		}
		s.targets = append(s.targets, selfquery.Targets(a, at)...)
		ends = append(ends, member.Endpoint{Name: "dns", Proto: "udp", Addr: at}, member.Endpoint{Name: "dns", Proto: "tcp", Addr: at})
	}
	env.Announce(func(a *member.Announcement) { a.Endpoints = ends[:min(len(ends), 12)] })
	return s, nil
}

// bind opens UDP and TCP at addr; with port 0 TCP takes the port UDP got.
func (s *Service) bind(i int, addr conf.Addr, c *Config) (netip.AddrPort, error) {
	o := netio.Options{FreeBind: c.Virtual(addr)}
	pc, err := s.env.Net.ListenPacket("dns-udp-"+strconv.Itoa(i), "udp", string(addr), o)
	if err != nil {
		return netip.AddrPort{}, err
	}
	at := pc.LocalAddr().(*net.UDPAddr).AddrPort()
	s.servers = append(s.servers, &dns.Server{PacketConn: pc, Handler: s.handler(false), UDPSize: dns.MaxMsgSize})
	host, _, _ := addr.HostPort() // as configured: no host is both families, which the bound address does not tell
	ln, err := s.env.Net.Listen("dns-tcp-"+strconv.Itoa(i), "tcp", net.JoinHostPort(host, strconv.Itoa(int(at.Port()))), o)
	if err != nil {
		return at, err
	}
	s.servers = append(s.servers, &dns.Server{
		Listener: serve.Limit(ln, c.TCP.Connections, s.counts.refused.Inc), Handler: s.handler(true),
		IdleTimeout: c.TCP.Idle.Std, ReadTimeout: c.TCP.Idle.Std(), WriteTimeout: c.TCP.Idle.Std(), MaxTCPQueries: -1,
	})
	return at, nil
}

// build makes what c describes. old, where there is one, tells which zones are news.
func (s *Service) build(c *Config, old *serve.Data) (*serve.Data, error) {
	d := &serve.Data{Zones: make(map[string]*zone.Zone, len(c.Zones)), View: s.env.Fleet.View}
	var errs []error
	for _, zc := range c.Zones {
		z, err := readZone(zc)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d.Zones[z.Origin()] = z
	}
	if len(errs) > 0 {
		return nil, fault.Wrap(fault.Config, errors.Join(errs...), "dnsd")
	}
	if c.Fleet.Domain != "" {
		d.Fleet = fleet.New(c.Fleet.Domain, uint32(c.Fleet.TTL.Std()/time.Second))
	}
	if f := c.Forward; f != nil {
		d.Forward, d.Allow = s.forwarder(c, old), f.Allow
	}
	return d, nil
}

// forwarder keeps the running one, and so its cache, where nothing about it changed.
func (s *Service) forwarder(c *Config, old *serve.Data) *forward.Forwarder {
	if was := s.cfg.Load(); was != nil && old != nil && old.Forward != nil && was.Forward != nil {
		a, b := *was.Forward, *c.Forward
		if slices.Equal(a.Upstreams, b.Upstreams) && a.Timeout == b.Timeout && a.Cache == b.Cache && a.Pending == b.Pending {
			return old.Forward
		}
	}
	fc := forward.Config{Timeout: c.Forward.Timeout.Std(), Cache: c.Forward.Cache, Pending: c.Forward.Pending}
	for _, u := range c.Forward.Upstreams {
		fc.Upstreams = append(fc.Upstreams, string(u))
	}
	return forward.New(fc)
}

func readZone(c config.Zone) (*zone.Zone, error) {
	f, err := os.Open(c.File)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "zone %s", c.Name)
	}
	defer f.Close()
	return zone.Parse(c.Name, f, c.File)
}

// handler answers for one transport. A panic costs one answer, not the daemon.
func (s *Service) handler(tcp bool) dns.Handler {
	proto := "udp"
	if tcp {
		proto = "tcp"
	}
	return dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		defer func() {
			if p := recover(); p != nil {
				s.env.Log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("BUG: a question was not answered")
			}
		}()
		start := time.Now()
		r := s.data.Load().Answer(context.Background(), q, serve.Client(w.RemoteAddr()), tcp)
		s.counts.answered(proto, r.Rcode, time.Since(start))
		if err := w.WriteMsg(r); err != nil {
			s.counts.unsent.Inc()
		}
	})
}

// Run serves until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	g := run.NewGroup(ctx)
	for _, srv := range s.servers {
		g.Go("dns", func(context.Context) error {
			err := srv.ActivateAndServe()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		})
	}
	g.Go("virtual addresses", s.vips.Run)
	g.Go("self-query", func(ctx context.Context) error { s.watchAnswers(ctx); return nil })
	g.Go("upstreams", func(ctx context.Context) error { s.watchUpstreams(ctx); return nil })
	g.Go("end", func(ctx context.Context) error {
		<-ctx.Done()
		s.closeSockets()
		return nil
	})
	return g.Wait()
}

// closeSockets ends the servers whatever state they are in.
func (s *Service) closeSockets() {
	for _, srv := range s.servers {
		if srv.PacketConn != nil {
			srv.PacketConn.Close()
		}
		if srv.Listener != nil {
			srv.Listener.Close()
		}
	}
}

// Reload reads the zones again and swaps. Other addresses need a restart.
func (s *Service) Reload(_ context.Context, c *Config) error {
	was := s.cfg.Load()
	if !slices.Equal(was.Listen, c.Listen) || was.TCP != c.TCP {
		return fault.New(fault.Config, "dnsd: listen and tcp change only with a restart")
	}
	old := s.data.Load()
	data, err := s.build(c, old)
	if err != nil {
		return err
	}
	if err := s.vips.Reload(c.Tracked()); err != nil {
		return err
	}
	s.data.Store(data)
	s.cfg.Store(c)
	select {
	case s.vipsNew <- struct{}{}:
	default: // a look is already due
	}
	for origin, z := range data.Zones {
		if o := old.Zones[origin]; o == nil || o.Serial() != z.Serial() {
			s.env.Bus.Emit("zone-changed", origin, map[string]any{"serial": z.Serial(), "records": z.Records()})
		}
	}
	for origin := range old.Zones {
		if data.Zones[origin] == nil {
			s.env.Bus.Emit("zone-changed", origin, map[string]any{"removed": true})
		}
	}
	return nil
}

// Drain gives the virtual addresses to other hosts, then stops taking questions and answers those under way.
func (s *Service) Drain(ctx context.Context) error {
	var errs []error
	s.endAsk()
	if err := s.leave(ctx); err != nil {
		errs = append(errs, err)
	}
	for _, srv := range s.servers {
		if err := srv.ShutdownContext(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	return fault.Wrap(fault.Partial, errors.Join(errs...), "dnsd: drain")
}

// Status is the service's part of `dnsd status`.
type Status struct {
	Listen []string     `json:"listen"`
	Zones  []ZoneStatus `json:"zones"`
	Fleet  bool         `json:"fleet"`
	Cached int          `json:"cached"` // answers kept
	VIPs   *vip.Status  `json:"vips,omitempty"`
	// Summary is for people.
	Summary []vip.Line `json:"summary,omitempty"`
}

// ZoneStatus tells of a zone.
type ZoneStatus struct {
	Name    string `json:"name"`
	Serial  uint32 `json:"serial"`
	Records int    `json:"records"`
}

// Status returns what is served.
func (s *Service) Status() any {
	d := s.data.Load()
	st := Status{Fleet: d.Fleet != nil, Zones: []ZoneStatus{}}
	for _, a := range s.cfg.Load().Listen {
		st.Listen = append(st.Listen, string(a))
	}
	for _, z := range d.Zones {
		st.Zones = append(st.Zones, ZoneStatus{z.Origin(), z.Serial(), z.Records()})
	}
	slices.SortFunc(st.Zones, func(a, b ZoneStatus) int { return strings.Compare(a.Name, b.Name) })
	if d.Forward != nil {
		st.Cached = d.Forward.Cached()
	}
	if len(s.cfg.Load().VIPs) > 0 {
		v := s.vips.Status()
		st.VIPs, st.Summary, v.Summary = &v, v.Summary, nil
	}
	return st
}
