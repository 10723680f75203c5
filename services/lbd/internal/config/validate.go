package config

import (
	"slices"

	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/conf"
)

// Validate checks what one field alone cannot tell.
func (c *Config) Validate(r *conf.Report) {
	c.validateListen(r.At("listen"))
	c.ErrorPages.validate(r.At("error_pages"))
	names := c.PoolNames()
	for _, n := range names {
		if c.Pools[conf.Name(n)] == nil {
			r.At("pools").At(n).Errorf("is empty")
		}
	}
	_, problems := rule.Compile(c.rules(), names)
	tell(r.At("routes"), problems)
	c.validateDoS(r.At("routes"))
}

// Validate checks members against each other and times against each other.
func (p *Pool) Validate(r *conf.Report) {
	if len(p.Members) == 0 && p.From == nil {
		r.Hintf("give members or from", "has no members")
	}
	for i, m := range p.Members {
		host, port, ok := m.Addr.HostPort()
		if !ok || host == "" || port == 0 {
			r.At("members").At(i).At("addr").Errorf("%q is not host:port", m.Addr)
		}
		if slices.ContainsFunc(p.Members[:i], func(o Member) bool { return o.Addr == m.Addr }) {
			r.At("members").At(i).At("addr").Errorf("%q is listed twice", m.Addr)
		}
	}
	if p.Retries.PerTry > p.Timeout {
		r.At("retries").At("per_try_timeout").Errorf("is longer than the pool's timeout")
	}
}
