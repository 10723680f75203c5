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
	_, problems := rule.Compile(c.rules(), names, c.detectorNames())
	tell(r.At("routes"), problems)
	c.validateDoS(r)
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
	if p.Hash != nil && p.Balance != "hash" {
		r.At("hash").Hintf("write balance: hash", "has no effect with balance: %s", p.Balance)
	}
	if p.Queue != nil && !p.bounded() {
		r.At("queue").Hintf("give max_requests or max_requests_per_member", "nobody waits in it, as nothing bounds the requests under way")
	}
	if p.Queue != nil && p.Queue.Timeout > p.Timeout {
		r.At("queue").At("timeout").Errorf("is longer than the pool's timeout")
	}
	if (p.Failures.String() != "") && p.Outliers == nil && p.Breaker == nil {
		r.At("failures").Hintf("add outliers or breaker", "has no effect")
	}
	if p.Retries.PerTry > p.Timeout {
		r.At("retries").At("per_try_timeout").Errorf("is longer than the pool's timeout")
	}
}

// bounded reports whether a member, or the pool, may have no room for a request.
func (p *Pool) bounded() bool {
	return p.Requests > 0 || p.PerMember > 0 || p.Breaker != nil || slices.ContainsFunc(p.Members, func(m Member) bool { return m.Requests > 0 })
}
