package member

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// resolveTime bounds one look-up of a name.
const resolveTime = 2 * time.Second

// defaultPorts are the gossip ports of the five daemons.
var defaultPorts = []struct {
	service string
	port    uint16
}{{"lbd", 7941}, {"dnsd", 7942}, {"cached", 7943}, {"storaged", 7944}, {"logd", 7945}}

// portOf returns the gossip port of a service, 0 (any) for one that has none.
func portOf(service string) uint16 {
	for _, p := range defaultPorts {
		if p.service == service {
			return p.port
		}
	}
	return 0
}

// listenAddr returns the address to bind: the configured one, else loopback and the service's port.
func listenAddr(c *Config, service string) (netip.AddrPort, error) {
	if c.Listen == "" {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), portOf(service)), nil
	}
	host, port, ok := c.Listen.HostPort()
	if !ok {
		return netip.AddrPort{}, fault.New(fault.Config, "cluster.listen: %s is not host:port", c.Listen)
	}
	if host == "" || host == "*" {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), port), nil
	}
	addrs, err := resolve(context.Background(), host)
	if err != nil {
		return netip.AddrPort{}, fault.Wrap(fault.Config, err, "cluster.listen: %s", c.Listen)
	}
	return netip.AddrPortFrom(addrs[0], port), nil
}

// advertiseAddr returns the address the others reach us at, given the one bound: the configured one, else the bound
// one, else for a wildcard the source address of the route to the first join address that is not ours.
func advertiseAddr(c *Config, bound netip.AddrPort) (netip.AddrPort, error) {
	bound = unmap(bound)
	if c.Advertise != "" {
		return configuredAdvertise(c.Advertise, bound.Port())
	}
	if !bound.Addr().IsUnspecified() {
		return bound, nil
	}
	for _, entry := range c.Join {
		host, _ := splitJoin(entry)
		addrs, err := resolve(context.Background(), host)
		if err != nil {
			continue
		}
		if src, ok := sourceFor(addrs[0]); ok && fits(src, bound.Addr()) {
			return netip.AddrPortFrom(src, bound.Port()), nil
		}
	}
	if src, ok := anyGlobal(bound.Addr()); ok {
		return netip.AddrPortFrom(src, bound.Port()), nil
	}
	return netip.AddrPort{}, fault.New(fault.Config,
		"cluster.advertise: cannot tell which address the others reach this host at; set it")
}

func configuredAdvertise(a conf.Addr, port uint16) (netip.AddrPort, error) {
	host, p, ok := a.HostPort()
	if !ok || host == "" {
		return netip.AddrPort{}, fault.New(fault.Config, "cluster.advertise: %s is not host:port", a)
	}
	if p == 0 {
		p = port
	}
	addrs, err := resolve(context.Background(), host)
	if err != nil {
		return netip.AddrPort{}, fault.Wrap(fault.Config, err, "cluster.advertise: %s", a)
	}
	if addrs[0].IsUnspecified() {
		return netip.AddrPort{}, fault.New(fault.Config, "cluster.advertise: %s is no address to reach this host at", a)
	}
	return netip.AddrPortFrom(addrs[0], p), nil
}

// sourceFor returns the address the kernel would send from to dst; nothing is sent.
func sourceFor(dst netip.Addr) (netip.Addr, bool) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, 9)))
	if err != nil {
		return netip.Addr{}, false
	}
	defer c.Close()
	a := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	return a, a.IsValid() && !a.IsUnspecified()
}

// fits reports whether a socket bound to the wildcard receives what is sent to a.
func fits(a, wildcard netip.Addr) bool { return !wildcard.Is4() || a.Is4() }

// anyGlobal returns the first address of the host that others may reach.
func anyGlobal(wildcard netip.Addr) (netip.Addr, bool) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, false
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().IsGlobalUnicast() && fits(p.Addr(), wildcard) {
			return p.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// target is a host and port to join.
type target struct {
	host string
	port uint16
}

// expandJoin returns what an entry of `join` stands for: itself with a port, all five daemons' ports without.
func expandJoin(entry string) []target {
	host, port := splitJoin(entry)
	if port != 0 {
		return []target{{host, port}}
	}
	out := make([]target, 0, len(defaultPorts))
	for _, p := range defaultPorts {
		out = append(out, target{host, p.port})
	}
	return out
}

// splitJoin takes an entry apart; port is 0 for a host alone. IPv6 addresses may stand with or without brackets.
func splitJoin(entry string) (host string, port uint16) {
	if a, err := netip.ParseAddr(entry); err == nil {
		return a.String(), 0
	}
	h, p, err := net.SplitHostPort(entry)
	if err != nil {
		if len(entry) > 2 && entry[0] == '[' && entry[len(entry)-1] == ']' {
			return entry[1 : len(entry)-1], 0
		}
		return entry, 0
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return entry, 0
	}
	return h, uint16(n)
}

// checkJoin reports entries of `join` that cannot mean anything.
func checkJoin(entries []string) error {
	for _, e := range entries {
		host, _ := splitJoin(e)
		if host == "" || len(host) > 253 {
			return fault.New(fault.Config, "cluster.join: %q is not a host or host:port", e)
		}
		if h, p, err := net.SplitHostPort(e); err == nil {
			if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
				return fault.New(fault.Config, "cluster.join: %q: %q is not a port of %s", e, p, h)
			}
		}
	}
	return nil
}

// resolve returns the addresses of a host, at least one; an address stands for itself.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, fault.New(fault.NotFound, "member: %s has no address", host)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}
