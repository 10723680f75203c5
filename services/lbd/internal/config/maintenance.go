package config

import (
	"net/netip"
	"slices"

	"github.com/everup/everup/services/lbd/internal/page"
	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/conf"
)

// Maintenance is the section `maintenance`: how requests are answered whose route or pool is under maintenance, or while everything is. What is
// so, `lbd maintenance` says and changes.
type Maintenance struct {
	On         bool          `yaml:"on" default:"false" doc:"Everything is under maintenance."`
	RetryAfter conf.Duration `yaml:"retry_after" default:"5m" min:"1s" max:"30d" doc:"When clients are told to come again, where no end was given."`
	Page       *ErrorPage    `yaml:"page" doc:"What people see; absent means the error page of 503."`
	Exempt     []conf.Prefix `yaml:"exempt" single:"true" max:"1024" doc:"Networks of clients that are served all the same."`
}

// Pages reads the page, as the one of 503; nil if there is none.
func (m *Maintenance) Pages() (*page.Set, error) {
	if m.Page == nil {
		return nil, nil
	}
	return ErrorPages{"503": *m.Page}.Set()
}

// UnderMaintenance reports whether a request is answered 503 in place of what the routes have decided, by the configuration alone.
func (c *Config) UnderMaintenance(v *rule.Verdict, client netip.Addr) bool {
	m := &c.Maintenance
	if !v.Maintainable() || slices.ContainsFunc(m.Exempt, func(p conf.Prefix) bool { return p.Contains(client) }) {
		return false
	}
	return m.On || v.Rule >= 0 && c.Routes[v.Rule].Maintenance || v.Kind == rule.Forward && c.Pools[conf.Name(v.Pool)].Maintenance
}

// Exempts returns the networks that are served all the same.
func (m *Maintenance) Exempts() []netip.Prefix { return prefixes(m.Exempt) }
