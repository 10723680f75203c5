package config

import (
	"net/netip"

	"github.com/everup/everup/shared/conf"
)

// Listener is a TCP address that clients connect to, and what is spoken there. In the file it may be the address alone.
type Listener struct {
	Addr  conf.Addr     `yaml:"addr" required:"true" short:"true" doc:"TCP address."`
	TLS   conf.Name     `yaml:"tls" doc:"Clients speak TLS as the section of this name in tls says; empty means that they do not."`
	HTTP2 *HTTP2        `yaml:"http2" doc:"Clients may speak HTTP/2: over TLS if they ask for it by ALPN, without TLS from the first byte (h2c with prior knowledge). Absent means true with tls and false without."`
	Proxy ProxyProtocol `yaml:"proxy_protocol" doc:"Proxies in front that tell the client's address before all else, by the PROXY protocol (version 1 or 2)."`
}

// The modes of ProxyProtocol, and what a pool may say of it.
const (
	ProxyOff     = "off"
	ProxyV1      = "v1"
	ProxyV2      = "v2"
	ProxyAccept  = "accept"
	ProxyRequire = "require"
)

// ProxyProtocol is the section `proxy_protocol` of a listener. In the file it may be the mode alone.
type ProxyProtocol struct {
	Mode string        `yaml:"mode" short:"true" default:"off" enum:"off|accept|require" doc:"accept: a connection from a proxy that is believed may begin with the header. require: it must, and connections from elsewhere are closed."`
	From []conf.Prefix `yaml:"from" single:"true" max:"1024" doc:"Networks of the proxies that are believed; empty means those of trusted."`
}

// ProxiesOf returns the networks whose PROXY header is believed at l, none where it is off.
func (c *Config) ProxiesOf(l *Listener) []netip.Prefix {
	switch {
	case l.Proxy.Mode == ProxyOff:
		return nil
	case len(l.Proxy.From) > 0:
		return prefixes(l.Proxy.From)
	}
	return prefixes(c.Trusted)
}

// validateListen checks the listeners against each other and against the rest.
func (c *Config) validateListen(r *conf.Report) {
	first := map[conf.Addr]bool{}
	sections := c.TLSNames()
	for i := range c.Listen {
		l, at := &c.Listen[i], r.At(i)
		if _, _, ok := l.Addr.HostPort(); !ok {
			at.At("addr").Errorf("%q is no TCP address", l.Addr)
		}
		if first[l.Addr] {
			at.At("addr").Errorf("%q is listed twice", l.Addr)
		}
		first[l.Addr] = true
		if l.TLS != "" && c.TLS[l.TLS] == nil {
			at.At("tls").Unknown("section of tls", string(l.TLS), sections)
		}
		if l.Proxy.Mode != ProxyOff && len(c.ProxiesOf(l)) == 0 {
			at.At("proxy_protocol").Hintf("give from or trusted; [0.0.0.0/0, '::/0'] believes everybody", "believes nobody: who may say where a client comes from?")
		}
	}
}
