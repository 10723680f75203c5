package netio

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/everup/everup/shared/fault"
)

// resolveTimeout bounds the look-up of a host name given as a listener's address.
const resolveTimeout = 5 * time.Second

// maxUnixPath is what sun_path holds besides its closing zero.
const maxUnixPath = 107

// target is an address to listen on.
type target struct {
	network string     // as asked: "tcp", "udp4", "unix"
	asked   string     // the address as asked
	stream  bool       // tcp or unix, not udp or unixgram
	path    string     // of a unix socket
	ip      netip.Addr // not valid: every address of the families that network allows
	port    int
}

func (t target) String() string { return t.network + " " + t.asked }

func (t target) unix() bool { return t.path != "" }

// listenArgs are the arguments of net.Listen that mean the same: a family's wildcard is that family only.
func (t target) listenArgs() (network, addr string) {
	if t.unix() {
		return t.network, t.path
	}
	network = t.network
	port := strconv.Itoa(t.port)
	if !t.ip.IsValid() {
		return network, ":" + port
	}
	network = strings.TrimRight(network, "46")
	if t.ip.Is4() {
		return network + "4", net.JoinHostPort(t.ip.String(), port)
	}
	return network + "6", net.JoinHostPort(t.ip.String(), port)
}

// parseTarget reads an address. stream chooses the networks that are allowed.
func parseTarget(network, addr string, stream bool) (target, error) {
	t := target{network: network, asked: addr, stream: stream}
	switch {
	case stream && network == "unix", !stream && network == "unixgram":
		return t.parseUnix()
	case stream && isFamilyOf("tcp", network), !stream && isFamilyOf("udp", network):
		return t.parseHostPort()
	}
	return t, fault.New(fault.Invalid, "network %q", network)
}

func isFamilyOf(proto, network string) bool {
	return network == proto || network == proto+"4" || network == proto+"6"
}

func (t target) parseUnix() (target, error) {
	abstract := strings.HasPrefix(t.asked, "@") && len(t.asked) > 1
	if !abstract && !filepath.IsAbs(t.asked) {
		return t, fault.New(fault.Invalid, "unix socket %q: want an absolute path, or @name", t.asked)
	}
	if len(t.asked) > maxUnixPath {
		return t, fault.New(fault.Invalid, "unix socket %q: %d bytes, at most %d", t.asked, len(t.asked), maxUnixPath)
	}
	t.path = t.asked
	if !abstract {
		t.path = filepath.Clean(t.asked)
	}
	return t, nil
}

func (t target) parseHostPort() (target, error) {
	host, port, err := net.SplitHostPort(t.asked)
	if err != nil {
		return t, fault.Wrap(fault.Invalid, err, "address %q: want host:port", t.asked)
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	if t.port, err = net.DefaultResolver.LookupPort(ctx, t.network, port); err != nil {
		return t, fault.Wrap(fault.Invalid, err, "address %q", t.asked)
	}
	if host == "" {
		return t, nil
	}
	if t.ip, err = netip.ParseAddr(host); err != nil {
		t.ip, err = t.lookup(ctx, host)
	}
	if err != nil {
		return t, err
	}
	t.ip = t.ip.Unmap()
	if !t.allows(t.ip) {
		return t, fault.New(fault.Invalid, "address %s is not of network %s", t.ip, t.network)
	}
	return t, nil
}

// allows tells whether the network has addresses of ip's family.
func (t target) allows(ip netip.Addr) bool {
	switch t.network[len(t.network)-1] {
	case '4':
		return ip.Is4()
	case '6':
		return ip.Is6()
	}
	return true
}

// lookup resolves a host name to its first IPv4 address, else its first IPv6 address.
func (t target) lookup(ctx context.Context, host string) (netip.Addr, error) {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, fault.Wrap(fault.Unavailable, err, "resolve %s", host)
	}
	var found netip.Addr
	for _, ip := range ips {
		ip = ip.Unmap()
		if t.allows(ip) && (!found.IsValid() || ip.Is4() && found.Is6()) {
			found = ip
		}
	}
	if !found.IsValid() {
		return found, fault.New(fault.Unavailable, "resolve %s: no address for network %s", host, t.network)
	}
	return found, nil
}

// fits tells whether a socket bound to a is what t asks for. Port 0 asks for any port.
func (t target) fits(a localAddr) bool {
	if a.stream != t.stream || t.stream && !a.listening {
		return false
	}
	if u, ok := a.addr.(*net.UnixAddr); ok {
		return t.unix() && u.Name == t.path
	}
	have, ok := addrPort(a.addr)
	if !ok || t.unix() || t.port != 0 && int(have.Port()) != t.port {
		return false
	}
	ip := have.Addr().Unmap()
	if !t.ip.IsValid() {
		return ip.IsUnspecified() && t.allows(ip)
	}
	return ip == t.ip.WithZone("")
}

// addrPort returns the IP address and port of a, without zone.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	switch a := a.(type) {
	case *net.TCPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port()), true
	case *net.UDPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port()), true
	}
	return netip.AddrPort{}, false
}
