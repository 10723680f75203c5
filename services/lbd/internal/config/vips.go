package config

import (
	"slices"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/vip"
)

// ValueBackends is the value that the tracks of virtual addresses may name: how many members of all pools may serve, one of two pools
// counting twice. ValueBackends.POOL is that of one pool.
const ValueBackends = "backends"

// backendsWeight makes a host without backends worse than one that has some, and better than one that is not there.
const backendsWeight = -100

// Virtual reports whether a listen address is a virtual one, which may be on another host now.
func (c *Config) Virtual(a conf.Addr) bool { return c.VIPs.HoldsHost(a) }

// Tracked returns the virtual addresses with the tracks that they have by default.
func (c *Config) Tracked() vip.Config {
	out := make(vip.Config, len(c.VIPs))
	for name, v := range c.VIPs {
		with := *v
		with.Track = slices.Clone(v.Track)
		own := slices.ContainsFunc(v.Track, func(t vip.Track) bool { return t.Value != "" })
		if !own && len(c.Pools) > 0 && v.Priority < 255 {
			with.Track = append(with.Track, vip.Track{Value: ValueBackends, Min: 1, Weight: backendsWeight})
		}
		out[name] = &with
	}
	return out
}
