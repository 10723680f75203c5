package lbd

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/limit"
)

// openingOf returns how the connections of a listener begin.
func openingOf(c *Config, l *config.Listener) *engine.Opening {
	modes := map[string]engine.ProxyMode{
		config.ProxyOff: engine.ProxyOff, config.ProxyAccept: engine.ProxyAccept, config.ProxyRequire: engine.ProxyRequire,
	}
	return &engine.Opening{Proxy: modes[l.Proxy.Mode], Trusted: c.ProxiesOf(l)}
}

// transportOf returns how the members of a pool are spoken to: the one before if nothing about it has changed, so that idle connections
// serve on; nil where there is nothing special.
func transportOf(p *config.Pool, before *engine.Transport) *engine.Transport {
	versions := map[string]int{config.ProxyOff: 0, config.ProxyV1: 1, config.ProxyV2: 2}
	t := engine.Transport{Proxy: versions[p.Proxy], Fresh: !p.KeepAlive}
	switch {
	case t.Proxy == 0 && !t.Fresh:
		return nil
	case before != nil && before.Proxy == t.Proxy && before.Fresh == t.Fresh:
		return before
	}
	return &t
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
