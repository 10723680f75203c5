package config

import (
	"slices"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/vip"
)

// The values that the tracks of virtual addresses may name.
const (
	// ValueAnswers is 1 while the daemon answers its own questions, else 0.
	ValueAnswers = "answers"
	// ValueUpstreams is 0 while none of forward's upstreams answers, else 1.
	ValueUpstreams = "upstreams"
)

// upstreamsWeight makes a host whose upstreams are dead worse than one whose answer, and better than one that is not there: what it is
// authoritative for it still answers.
const upstreamsWeight = -100

// Virtual reports whether a listen address is a virtual one, which may be on another host now.
func (c *Config) Virtual(a conf.Addr) bool { return c.VIPs.HoldsHost(a) }

// Tracked returns the virtual addresses with the tracks that they have by default.
func (c *Config) Tracked() vip.Config {
	out := make(vip.Config, len(c.VIPs))
	for name, v := range c.VIPs {
		with := *v
		with.Track = slices.Clone(v.Track)
		if !tracks(v, ValueAnswers) {
			with.Track = append(with.Track, vip.Track{Value: ValueAnswers, Min: 1})
		}
		if c.Forward != nil && !tracks(v, ValueUpstreams) && v.Priority < 255 {
			with.Track = append(with.Track, vip.Track{Value: ValueUpstreams, Min: 1, Weight: upstreamsWeight})
		}
		out[name] = &with
	}
	return out
}

func tracks(v *vip.VIP, value string) bool {
	return slices.ContainsFunc(v.Track, func(t vip.Track) bool { return t.Value == value })
}
