package cached

import (
	"context"
	"net"
	"net/netip"
	"strconv"

	"github.com/everup/everup/services/cached/internal/config"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/udp"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/netio"
)

// datagrams carries the protocols over UDP: one socket, one loop.
type datagrams struct {
	server *udp.Server
	conn   *net.UDPConn
	meter  *session.Meter
	note   *session.LoopCount
}

// Run serves until ctx ends.
func (d *datagrams) Run(ctx context.Context) error {
	return d.server.Serve(ctx, d.conn, d.meter, d.note)
}

// openUDP binds the sockets for datagrams.
func (s *Service) openUDP() error {
	c := s.cfg.UDP
	if c == nil {
		return nil
	}
	trusted := make([]netip.Prefix, len(c.Trusted))
	for i, p := range c.Trusted {
		trusted[i] = p.Prefix
	}
	server, err := udp.NewServer(udp.Options{Config: udp.Config{Trusted: trusted, Rate: c.Rate}, Env: &s.sessions, New: s.factory()})
	if err != nil {
		return fault.Wrap(fault.Config, err, "cached: section udp")
	}
	s.datagrams = server
	for i, a := range c.Listen {
		pc, err := s.env.Net.ListenPacket("memcached-udp-"+strconv.Itoa(i), "udp", string(a), netio.Options{})
		if err != nil {
			return err
		}
		s.closers = append(s.closers, func() { pc.Close() })
		conn, ok := pc.(*net.UDPConn)
		if !ok {
			return fault.New(fault.Internal, "cached: %s is no UDP socket", a)
		}
		s.bound = append(s.bound, bound{Endpoint: config.Endpoint{Addr: a}, addr: pc.LocalAddr(), udp: true})
		s.beside = append(s.beside, &datagrams{server: server, conn: conn, meter: session.NewMeter(), note: new(session.LoopCount)})
	}
	return nil
}
