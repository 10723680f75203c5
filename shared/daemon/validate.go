package daemon

import (
	"net/netip"
	"strings"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/conf"
)

// Validate checks what the floor would refuse at a start, so that `check` and a reload refuse it too: a file they accept is
// kept as the last good one.
func (c *Common) Validate(r *conf.Report) {
	keys, err := fleetKeys(c.Cluster)
	if err != nil {
		r.At("cluster").At("secrets").Errorf("%v", err)
		return
	}
	if c.Cluster != nil && keys == nil && beyondLoopback(c.Cluster.Listen) {
		r.At("cluster").At("listen").Hintf("write the fleet's secret to cluster.secrets", "%s can be reached by others, and there is no secret", c.Cluster.Listen)
		return
	}
	env := bus.Env{Fleet: fleetName(c.Cluster), Node: "node", Service: "service", Keys: keys}
	if err := bus.Check(busConfig(*c), env); err != nil {
		r.At("bus").Errorf("%s", strings.TrimPrefix(err.Error(), "bus: "))
	}
}

// beyondLoopback reports whether a, as far as it can be told without asking DNS, is reached from other hosts.
func beyondLoopback(a conf.Addr) bool {
	host, _, ok := a.HostPort()
	if !ok || host == "localhost" {
		return false
	}
	if host == "" || host == "*" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && !ip.IsLoopback()
}
