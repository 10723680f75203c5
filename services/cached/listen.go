package cached

import (
	"cmp"
	"io/fs"
	"net"
	"slices"
	"strconv"

	"github.com/everup/everup/services/cached/internal/binary"
	"github.com/everup/everup/services/cached/internal/config"
	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/loop"
	"github.com/everup/everup/services/cached/internal/resp"
	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/services/cached/internal/stats"
	"github.com/everup/everup/services/cached/internal/text"
	"github.com/everup/everup/shared/buildinfo"
	"github.com/everup/everup/shared/netio"
)

// listen binds one endpoint.
func (s *Service) listen(name string, e config.Endpoint) (net.Listener, error) {
	var ln net.Listener
	var err error
	if path, ok := e.Addr.Unix(); ok {
		ln, err = s.env.Net.Listen(name, "unix", path, netio.Options{Perm: fs.FileMode(s.cfg.SocketMode), Backlog: s.front.backlog()})
	} else {
		ln, err = s.env.Net.Listen(name, "tcp", string(e.Addr), netio.Options{Backlog: s.front.backlog()})
	}
	if err != nil {
		return nil, err
	}
	s.sockets = append(s.sockets, ln)
	s.closers = append(s.closers, func() { ln.Close() })
	s.bound = append(s.bound, bound{Endpoint: e, addr: ln.Addr()})
	return ln, nil
}

// sortBound brings what is bound into the configuration's order, which the carriers do not keep: memcached's protocols, RESP, UDP.
func (s *Service) sortBound() {
	kind := func(b bound) int {
		switch {
		case b.udp:
			return 2
		case b.Protocol == "resp":
			return 1
		}
		return 0
	}
	place := func(b bound) int { return slices.Index(s.cfg.Listen, b.Endpoint) } // equal ones are in order already
	slices.SortStableFunc(s.bound, func(a, b bound) int { return cmp.Or(kind(a)-kind(b), place(a)-place(b)) })
}

// openPlain binds the listeners without TLS and makes their event loops.
func (s *Service) openPlain() error {
	c := &s.cfg
	s.gate = conns.NewGate(c.Connections, c.Full == "refuse")
	var listeners []loop.Listener
	for i, e := range c.Listen {
		if e.TLS {
			continue
		}
		ln, err := s.listen("memcached-"+strconv.Itoa(i), e)
		if err != nil {
			return err
		}
		listeners = append(listeners, loop.Listener{Net: ln, Transport: transport(e), Tag: tag(e.Tag), Only: s.protocol(e)})
	}
	redis, err := s.listenRESP()
	if err != nil {
		return err
	}
	listeners = append(listeners, redis...)
	s.loops, err = loop.New(loop.Options{
		Threads: threads(c), Listeners: listeners, Factory: s.factory(), Env: &s.sessions, Gate: s.gate,
		Limits: s.limits(c), Hooks: loop.Hooks{Accept: s.acceptState, Bug: s.bug},
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.loops.Close)
	return nil
}

// listenRESP binds the listeners of Redis's protocol, which the same event loops carry.
func (s *Service) listenRESP() (out []loop.Listener, err error) {
	if s.cfg.RESP == nil {
		return nil, nil
	}
	for i, a := range s.cfg.RESP.Listen {
		e := config.Endpoint{Addr: a, Protocol: "resp"}
		ln, err := s.listen("resp-"+strconv.Itoa(i), e)
		if err != nil {
			return nil, err
		}
		out = append(out, loop.Listener{Net: ln, Transport: transport(e), Only: session.RESP})
	}
	s.redis = resp.NewService(resp.Options{
		Env: &s.sessions, Version: buildinfo.Read().Version, Auth: s.cfg.Auth != nil && s.cfg.Auth.RESP,
		Policy: map[bool]string{true: "allkeys-lfu", false: "noeviction"}[s.cfg.Evict], Clients: s.cfg.Connections, Idle: s.cfg.Idle.Std(), Traffic: s.traffic, Port: port(s.sockets[len(s.sockets)-1].Addr()),
	})
	return out, nil
}

// traffic are the counts of all carriers, for Redis's INFO.
func (s *Service) traffic() resp.Traffic {
	g, sum := s.gate.Counts(), s.counts()
	return resp.Traffic{Accepted: g.Total, Rejected: g.Rejected, BytesRead: sum.read, BytesWritten: sum.written}
}

// limits are the event loops' part of the configuration.
func (s *Service) limits(c *Config) loop.Limits {
	return loop.Limits{Idle: c.Idle.Std(), Write: c.Write.Std(), DrainPause: drainPause}
}

// factory makes the session that suits a connection's first byte: 0x80 begins the binary protocol, anything else is text.
func (s *Service) factory() session.Factory {
	options := &binary.Options{Version: stats.Version, Stats: s.stats}
	return func(first byte, p *session.Peer) session.Session {
		if p.Only == session.RESP {
			return s.redis.Session(p)
		}
		if p.Only == session.Binary || p.Only == session.Auto && first == 0x80 {
			return binary.New(p, options)
		}
		return text.New(p)
	}
}

// protocol is what e speaks.
func (s *Service) protocol(e config.Endpoint) session.Protocol {
	name := e.Protocol
	if name == "" {
		name = s.cfg.Protocol
	}
	return map[string]session.Protocol{"text": session.Text, "binary": session.Binary}[name]
}

func transport(e config.Endpoint) session.Transport {
	if _, ok := e.Addr.Unix(); ok {
		return session.Unix
	}
	return session.TCP
}

// tag packs a listener's name into a number, as memcached does.
func tag(name string) (n uint64) {
	for i := len(name) - 1; i >= 0; i-- {
		n = n<<8 | uint64(name[i])
	}
	return n
}

// tellExposed warns of listeners beyond loopback where nobody is asked who they are.
func (s *Service) tellExposed() {
	const what = "listeners beyond loopback without authentication"
	if open := s.cfg.Open(); len(open) > 0 {
		s.env.Log.Warn().Strs("listeners", open).Msg(what)
		s.exposed.Warn(what+": "+join(open), "set auth or mtls:, or let only trusted networks through to them")
		return
	}
	s.exposed.OK()
}
