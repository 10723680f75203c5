package lbd

import (
	"crypto/tls"
	"time"

	"github.com/everup/everup/services/lbd/internal/certs"
	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/limit"
)

// openingOf returns how the connections of a listener begin. Its certificates are in force.
func (s *Service) openingOf(c *Config, l *config.Listener) *engine.Opening {
	modes := map[string]engine.ProxyMode{
		config.ProxyOff: engine.ProxyOff, config.ProxyAccept: engine.ProxyAccept, config.ProxyRequire: engine.ProxyRequire,
	}
	o := &engine.Opening{Proxy: modes[l.Proxy.Mode], Trusted: c.ProxiesOf(l)}
	if h := l.Multiplexing(); h != nil {
		o.HTTP2 = engine.HTTP2Options(headLimits(c))
		h.Bound(o.HTTP2)
	}
	if l.TLS != "" {
		o.TLS = s.certs.Front(string(l.TLS)).Config(o.HTTP2 != nil)
	}
	return o
}

// headLimits are those of requests' heads. They change only with a restart.
func headLimits(c *Config) http1.Limits {
	limits := http1.DefaultLimits()
	limits.Head = int(c.MaxHeader)
	limits.Line = min(limits.Line, limits.Head)
	return limits
}

// transport is how the members of a pool are spoken to, and what it was made from.
type transport struct {
	engine.Transport
	secure certs.BackOptions
}

// transportOf returns how the members of a pool are spoken to: the one before if nothing about it has changed, so that idle connections
// serve on; nil where there is nothing special. secure is what c.Backs says of the pool, whose certificates are in force.
func (s *Service) transportOf(name conf.Name, p *config.Pool, secure certs.BackOptions) *transport {
	versions := map[string]int{config.ProxyOff: 0, config.ProxyV1: 1, config.ProxyV2: 2}
	t := &transport{Transport: engine.Transport{Proxy: versions[p.Proxy], Fresh: !p.KeepAlive, HTTP2: p.HTTP2, Share: p.Reuse == "always"}, secure: secure}
	if p.TLS != nil {
		t.TLS = namedBy(s.certs.Back(string(name)))
	}
	before := s.via[name]
	switch {
	case t.Proxy == 0 && !t.Fresh && !t.HTTP2 && !t.Share && t.TLS == nil:
		return nil
	case before != nil && before.Proxy == t.Proxy && before.Fresh == t.Fresh && before.HTTP2 == t.HTTP2 && before.Share == t.Share && (before.TLS == nil) == (t.TLS == nil) && before.secure == secure:
		return before
	}
	return t
}

// namedBy returns configurations in which the member is named, unless the pool names all its members.
func namedBy(b *certs.Back) func(host string) *tls.Config {
	return func(host string) *tls.Config {
		c := b.Config()
		if c.ServerName == "" {
			c = c.Clone()
			c.ServerName = host
		}
		return c
	}
}

// identify keeps what a client's certificate says, for the rules.
func identify(s *tls.ConnectionState) any {
	c := certs.ClientOf(s)
	if c == nil {
		return nil
	}
	out := rule.Certificate(*c)
	return &out
}

// handshakeRate is what of a source's handshakes is taken.
func handshakeRate(c *Config) (limit.Rate, error) {
	h := &c.Handshakes
	if h.Rate == 0 {
		return limit.Rate{}, nil
	}
	r, err := limit.NewRate(int64(h.Rate), time.Second, int64(h.Burst))
	return r, fault.Wrap(fault.Config, err, "lbd: handshakes")
}
