package config

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/services/lbd/internal/rule"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// Table compiles the routes. Its pools are PoolNames, in that order. A configuration that was validated compiles.
func (c *Config) Table() (*rule.Table, error) {
	t, problems := rule.Compile(c.rules(), c.PoolNames(), c.detectorNames())
	if len(problems) > 0 {
		p := problems[0]
		return nil, fault.New(fault.Config, "lbd: routes%v: %s%s %s", p.At, p.Msg, p.Kind, p.Name)
	}
	return t, nil
}

// PoolNames returns the names of the pools in order.
func (c *Config) PoolNames() []string { return texts(sortedNames(c.Pools)) }

func sortedNames[V any](m map[conf.Name]V) []conf.Name { return slices.Sorted(maps.Keys(m)) }

// Proxies returns the networks of trusted proxies.
func (c *Config) Proxies() rule.Proxies { return prefixes(c.Trusted) }

// Simple reports whether a route goes to a pool by names of hosts and beginnings of paths alone.
func (t *Route) Simple() bool {
	special := func(s string) bool { return strings.HasPrefix(s, "~") || strings.HasPrefix(s, "=") }
	plain := Route{
		Name: t.Name, Match: Match{Host: t.Host, Path: t.Path}, Pool: t.Pool, Priority: t.Priority, StripPrefix: t.StripPrefix, Compress: true,
	}
	return t.Pool != "" && reflect.DeepEqual(plain, *t) && !slices.ContainsFunc(t.Host, special) && !slices.ContainsFunc(t.Path, special)
}

// Validate checks the route by itself.
func (t *Route) Validate(r *conf.Report) {
	made := t.rule()
	tell(r, rule.Check(&made))
	t.ErrorPages.validate(r.At("error_pages"))
	if t.Intercept && t.Pool == "" && t.Split == nil {
		r.At("intercept").Hintf("give a pool", "has no meaning here")
	}
	if t.Maintenance && t.Name == "" {
		r.At("maintenance").Hintf("give name", "is for routes with a name, by which it is switched off")
	}
}

// tell reports problems at their places. The keys of rules' problems are those of the configuration.
func tell(r *conf.Report, problems []rule.Problem) {
	for _, p := range problems {
		at := r
		for _, elem := range p.At {
			at = at.At(elem)
		}
		switch {
		case p.Kind != "":
			at.Unknown(p.Kind, p.Name, p.Known)
		case p.Hint != "":
			at.Hintf(p.Hint, "%s", p.Msg)
		default:
			at.Errorf("%s", p.Msg)
		}
	}
}

func (c *Config) rules() []rule.Rule {
	out := make([]rule.Rule, len(c.Routes))
	for i := range c.Routes {
		out[i] = c.Routes[i].rule()
	}
	return out
}

// rule is the route in the terms of package rule.
func (t *Route) rule() rule.Rule {
	out := rule.Rule{
		Name: t.Name, Match: t.Match.match(), Tags: texts(t.Tag), RequestHeaders: t.RequestHeaders.edits(), ResponseHeaders: t.ResponseHeaders.edits(),
		HSTS: t.HSTS.value(), Pool: string(t.Pool), Strip: t.StripPrefix, Plain: !t.Compress, Deny: t.Deny, Drop: t.Drop,
		Limits: limitsOf(t.Limit), Tarpit: t.Tarpit.wait(),
	}
	out.Not = matches(t.Not)
	if w := t.Rewrite; w != nil {
		out.Rewrite = rule.Rewrite(*w)
	}
	if f := t.Files; f != nil {
		out.Files = &rule.Files{Root: f.Root, Index: f.Index, Listing: f.Listing}
	}
	if d := t.Redirect; d != nil {
		out.Redirect = &rule.Redirect{To: d.To, Status: d.Status}
	}
	if a := t.Answer; a != nil {
		out.Answer = &rule.Answer{Status: a.Status, Type: a.Type, Body: a.Body}
	}
	if s := t.Split; s != nil {
		out.Split = &rule.Split{Key: s.Key, Cookie: s.Cookie}
		for _, p := range s.Pools {
			out.Split.Parts = append(out.Split.Parts, rule.Part{Pool: string(p.Pool), Weight: p.Weight})
		}
	}
	return out
}

func matches(list []Match) (out []rule.Match) {
	for i := range list {
		out = append(out, list[i].match())
	}
	return out
}

func (m *Match) match() rule.Match {
	return rule.Match{
		Host: m.Host, Path: m.Path, Method: m.Method, Scheme: m.Scheme, Header: m.Header, Cookie: m.Cookie, Query: m.Query,
		UserAgent: m.UserAgent, From: prefixes(m.From), ServerName: m.TLSName, TLSClient: m.TLSClient, DoS: m.DoS, Tagged: texts(m.Tagged),
	}
}

func (h *Headers) edits() rule.Edits {
	if h == nil {
		return rule.Edits{}
	}
	return rule.Edits{Set: h.Set, Add: h.Add, Remove: h.Remove}
}

// value is the field's value (RFC 6797 section 6.1).
func (h *HSTS) value() string {
	if h == nil {
		return ""
	}
	s := "max-age=" + strconv.FormatInt(int64(h.MaxAge.Std()/time.Second), 10)
	if h.Subdomains {
		s += "; includeSubDomains"
	}
	if h.Preload {
		s += "; preload"
	}
	return s
}

func texts(names []conf.Name) []string {
	var out []string
	for _, n := range names {
		out = append(out, string(n))
	}
	return out
}

func prefixes(list []conf.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, p.Prefix)
	}
	return out
}
