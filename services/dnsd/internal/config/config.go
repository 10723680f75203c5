// Package config is dnsd's configuration.
package config

import (
	"slices"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/vip"
	"github.com/miekg/dns"
)

// Config is /etc/everup/dnsd.yaml.
type Config struct {
	daemon.Common `yaml:",inline"`

	Listen  []conf.Addr `yaml:"listen" default:"[127.0.0.1:5300]" min:"1" max:"16" doc:"Addresses for DNS over UDP and TCP."`
	Zones   []Zone      `yaml:"zones" max:"1000" doc:"Zones this server is authoritative for."`
	Fleet   Fleet       `yaml:"fleet" doc:"Names made from the members of the fleet."`
	Forward *Forward    `yaml:"forward" doc:"Where questions for other names go; without it they are refused."`
	TCP     TCP         `yaml:"tcp" doc:"Bounds of DNS over TCP."`
	VIPs    vip.Config  `yaml:"vips" max:"64" doc:"Virtual addresses that this daemon offers together with others. One whose track does not name the value answers gets {value: answers}: it leaves a daemon that does not answer its own questions; with forward, and without the value upstreams, {value: upstreams, weight: -100}."`
}

// Zone is an authoritative zone from a master file.
type Zone struct {
	Name string `yaml:"name" required:"true" doc:"The zone's origin: example.com."`
	File string `yaml:"file" required:"true" doc:"Master file (RFC 1035, 5); $INCLUDE is refused."`
}

// Fleet is the part that answers from membership.
type Fleet struct {
	Domain string        `yaml:"domain" default:"everup.internal" doc:"Domain of <service>.service.<domain> and <node>.node.<domain>; empty means none."`
	TTL    conf.Duration `yaml:"ttl" default:"2s" min:"1s" max:"1m" doc:"TTL of these answers: short, because a member that dies must not be asked long."`
}

// Forward sends questions on.
type Forward struct {
	Upstreams []conf.Addr   `yaml:"upstreams" required:"true" min:"1" max:"16" doc:"Resolvers with their port, asked in turn: 192.0.2.53:53."`
	Allow     []conf.Prefix `yaml:"allow" doc:"Clients whose questions are forwarded; empty means loopback only. An open resolver is a weapon."`
	Timeout   conf.Duration `yaml:"timeout" default:"2s" min:"50ms" max:"30s" doc:"Longest wait for one upstream before the next is asked."`
	Cache     int           `yaml:"cache" default:"10000" min:"0" max:"1000000" doc:"Answers kept; 0 keeps none."`
	Pending   int           `yaml:"pending" default:"1000" min:"1" max:"100000" doc:"Questions waiting for upstreams at once; more get SERVFAIL."`
}

// TCP bounds connections.
type TCP struct {
	Connections int           `yaml:"connections" default:"1000" min:"1" max:"100000" doc:"Connections at once; one more is closed."`
	Idle        conf.Duration `yaml:"idle" default:"10s" min:"1s" max:"10m" doc:"A connection silent for so long is closed (RFC 7766, 6.2.3)."`
}

// Of returns the part of c that all daemons share.
func Of(c *Config) *daemon.Common { return &c.Common }

// Validate checks names.
func (c *Config) Validate(r *conf.Report) {
	seen := map[string]bool{}
	for i, z := range c.Zones {
		at := r.At("zones").At(i).At("name")
		name := dns.CanonicalName(z.Name)
		switch _, ok := dns.IsDomainName(z.Name); {
		case !ok:
			at.Errorf("%q is not a domain name", z.Name)
		case seen[name]:
			at.Errorf("zone %s is there already", name)
		}
		seen[name] = true
	}
	if c.Forward != nil {
		for i, up := range c.Forward.Upstreams {
			if slices.Contains(c.Listen, up) {
				r.At("forward").At("upstreams").At(i).Errorf("%s is this server itself: questions would go round and round", up)
			}
		}
	}
	if d := c.Fleet.Domain; d != "" {
		if _, ok := dns.IsDomainName(d); !ok {
			r.At("fleet").At("domain").Errorf("%q is not a domain name", d)
		} else if seen[dns.CanonicalName(d)] {
			r.At("fleet").At("domain").Errorf("%s is a zone of this server too", d)
		}
	}
}
