package config

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/everup/everup/shared/conf"
)

// maxHost is the longest host name (RFC 1035, 2.3.4).
const maxHost = 253

// Validate checks what one field alone cannot tell.
func (c *Config) Validate(r *conf.Report) {
	for i, a := range c.Listen {
		if _, _, ok := a.HostPort(); !ok {
			r.At("listen").At(i).Errorf("%q is no TCP address", a)
		}
		if slices.Contains(c.Listen[:i], a) {
			r.At("listen").At(i).Errorf("%q is listed twice", a)
		}
	}
	names := make([]string, 0, len(c.Pools))
	for _, n := range slices.Sorted(maps.Keys(c.Pools)) {
		names = append(names, string(n))
		if c.Pools[n] == nil {
			r.At("pools").At(string(n)).Errorf("is empty")
		}
	}
	for i, rt := range c.Routes {
		if _, ok := c.Pools[rt.Pool]; !ok && rt.Pool != "" {
			r.At("routes").At(i).At("pool").Unknown("pool", string(rt.Pool), names)
		}
		if j := slices.IndexFunc(c.Routes[:i], rt.same); j >= 0 {
			r.At("routes").At(i).Errorf("is never reached: routes[%d] has the same host and path", j)
		}
	}
	if a := c.AccessLog.Syslog; a != "" {
		if host, port, ok := a.HostPort(); !ok || host == "" || port == 0 {
			r.At("access_log").At("syslog").Errorf("%q is not host:port", a)
		}
	}
}

// same reports whether both match the same requests.
func (t Route) same(o Route) bool { return strings.EqualFold(t.Host, o.Host) && t.Path == o.Path }

// Validate checks host and path.
func (t *Route) Validate(r *conf.Report) {
	if t.Host != "" && !validHost(t.Host) {
		r.At("host").Hintf("write www.example.com or *.example.com, without port", "%q is no host name", t.Host)
	}
	switch {
	case !strings.HasPrefix(t.Path, "/"):
		r.At("path").Errorf("%q does not begin with /", t.Path)
	case strings.ContainsAny(t.Path, "?#%*"):
		r.At("path").Errorf("%q is not a plain path: no ?, #, %% or *", t.Path)
	}
}

func validHost(h string) bool {
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	h = strings.TrimPrefix(h, "*.")
	if h == "" || len(h) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notHostByte) {
			return false
		}
	}
	return true
}

func notHostByte(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
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
