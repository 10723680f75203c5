package labtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Host is a machine of the lab: a network namespace with an interface ethN for the Nth network it stands on.
type Host struct {
	Name string

	lab   *Lab
	ns    *space
	cards []card
}

// card is a host's place on a network.
type card struct {
	network *Network
	device  string // in the host
	port    string // the other end of the cable, in the switch
	v4, v6  netip.Addr
}

// Host adds a host on the networks, the default one when none is named. The name has letters, digits and dots only.
func (l *Lab) Host(name string, networks ...*Network) *Host {
	l.t.Helper()
	if len(networks) == 0 {
		networks = []*Network{l.Default()}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h, err := newHost(l, name, len(l.hosts))
	if err != nil {
		l.t.Fatalf("labtest: host %s: %v", name, err)
	}
	l.hosts = append(l.hosts, h)
	if err := h.wire(len(l.hosts)-1, networks); err != nil {
		l.t.Fatalf("labtest: host %s: %v", name, err)
	}
	return h
}

func newHost(l *Lab, name string, index int) (*Host, error) {
	if strings.ContainsAny(name, "-/ \t\n") || name == "" {
		return nil, errors.New("bad name")
	}
	if index >= 0 {
		name = fmt.Sprintf("h%d-%s", index, name)
	}
	ns, err := newSpace(l.prefix + "-" + name)
	if err != nil {
		return nil, err
	}
	_, plain, found := strings.Cut(name, "-")
	if !found {
		plain = name
	}
	return &Host{Name: plain, lab: l, ns: ns}, nil
}

// wire plugs the host into the networks and gives it its addresses.
func (h *Host) wire(index int, networks []*Network) error {
	if err := h.In(quietHost); err != nil {
		return err
	}
	sw, own := []string{}, []string{"link set lo up"}
	for i, n := range networks {
		k, err := n.take()
		if err != nil {
			return err
		}
		c := card{network: n, device: fmt.Sprintf("eth%d", i), port: fmt.Sprintf("h%de%d", index, i), v4: n.addr4(k), v6: n.addr6(k)}
		h.cards = append(h.cards, c)
		sw = append(sw,
			fmt.Sprintf("link add %s type veth peer name %s netns %s", c.port, c.device, h.ns.name),
			fmt.Sprintf("link set %s master %s up", c.port, n.bridge))
		own = append(own,
			fmt.Sprintf("link set %s up", c.device),
			fmt.Sprintf("addr add %s/24 dev %s", c.v4, c.device),
			fmt.Sprintf("addr add %s/64 dev %s nodad", c.v6, c.device))
	}
	if err := ipBatch(h.lab.sw.ns.name, sw...); err != nil {
		return err
	}
	return ipBatch(h.ns.name, own...)
}

// Addr returns the host's IPv4 address on its first network.
func (h *Host) Addr() netip.Addr { return h.cards[0].v4 }

// Addr6 returns the host's IPv6 address on its first network.
func (h *Host) Addr6() netip.Addr { return h.cards[0].v6 }

// AddrPort returns "address:port" with the host's IPv4 address.
func (h *Host) AddrPort(port int) string { return netip.AddrPortFrom(h.Addr(), uint16(port)).String() }

// AddrOn returns the host's addresses on a network it stands on.
func (h *Host) AddrOn(n *Network) (v4, v6 netip.Addr) {
	c := h.card(n)
	return c.v4, c.v6
}

// Device returns the name of the host's interface on a network, such as eth0.
func (h *Host) Device(n *Network) string { return h.card(n).device }

// Port returns the name of the switch's end of the host's cable to a network; Lab.Switch is where it is.
func (h *Host) Port(n *Network) string { return h.card(n).port }

// NetNS returns the name of the host's namespace, as `ip netns exec` wants it.
func (h *Host) NetNS() string { return h.ns.name }

func (h *Host) card(n *Network) card {
	h.lab.t.Helper()
	for _, c := range h.cards {
		if c.network == n {
			return c
		}
	}
	h.lab.t.Fatalf("labtest: host %s is not on network %d", h.Name, n.index)
	return card{}
}

// In runs f on a thread inside the host's namespace: sockets that f itself opens belong to the host for ever.
// Goroutines that f starts do not run there (an http.Transport dials from one: use Client).
func (h *Host) In(f func() error) error { return h.ns.in(f) }

// DialContext dials from the host. The address is numeric, as a name would be resolved elsewhere.
func (h *Host) DialContext(ctx context.Context, network, addr string) (c net.Conn, err error) {
	err = h.In(func() (e error) {
		c, e = (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, addr)
		return e
	})
	return c, err
}

// Listen listens on the host.
func (h *Host) Listen(network, addr string) (l net.Listener, err error) {
	err = h.In(func() (e error) { l, e = net.Listen(network, addr); return e })
	return l, err
}

// ListenPacket opens a packet socket on the host.
func (h *Host) ListenPacket(network, addr string) (c net.PacketConn, err error) {
	err = h.In(func() (e error) { c, e = net.ListenPacket(network, addr); return e })
	return c, err
}

// Client returns an HTTP client that dials from the host. Its idle connections are closed at the test's end.
func (h *Host) Client() *http.Client {
	tr := &http.Transport{DialContext: h.DialContext}
	h.lab.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// Command returns a command that runs inside the host once the caller starts it; its pid is the program's own, as
// nsenter(1) replaces itself by it. Start is the better way for daemons: it keeps the output and leaves no process behind.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + netnsDir + "/" + h.ns.name, "--", name}, args...)...)
	cmd.WaitDelay = grace
	return cmd
}

// Output runs a command in the host and returns what it wrote to both of its outputs.
func (h *Host) Output(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := h.Command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %s %s: %w: %s", h.Name, name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Run is Output for a command that must succeed.
func (h *Host) Run(name string, args ...string) string {
	h.lab.t.Helper()
	out, err := h.Output(name, args...)
	if err != nil {
		h.lab.t.Fatalf("labtest: %v", err)
	}
	return out
}

// Sysctl sets a kernel setting of the host's namespace, by its path under /proc/sys: "net/ipv4/ip_forward".
func (h *Host) Sysctl(path, value string) {
	h.lab.t.Helper()
	err := h.In(func() error { return os.WriteFile("/proc/sys/"+path, []byte(value), 0) })
	if err != nil {
		h.lab.t.Fatalf("labtest: %s: %v", h.Name, err)
	}
}

// Forward makes the host a router between its networks.
func (h *Host) Forward() {
	h.lab.t.Helper()
	h.Sysctl("net/ipv4/ip_forward", "1")
	h.Sysctl("net/ipv6/conf/all/forwarding", "1")
}

// Route sends the host's packets for dst through via, which is on one of its networks.
func (h *Host) Route(dst netip.Prefix, via netip.Addr) {
	h.lab.t.Helper()
	if err := ipBatch(h.ns.name, fmt.Sprintf("route replace %s via %s", dst, via)); err != nil {
		h.lab.t.Fatalf("labtest: %s: %v", h.Name, err)
	}
}

// TxOff turns checksum offload off at both ends of the host's cables: frames that an XDP program sends on must carry
// whole checksums.
func (h *Host) TxOff() {
	h.lab.t.Helper()
	Needs(h.lab.t, "ethtool")
	for _, c := range h.cards {
		h.Run("ethtool", "-K", c.device, "tx", "off")
		h.lab.sw.Run("ethtool", "-K", c.port, "tx", "off")
	}
}

// quietHost lets addresses be used at once and any user ping.
func quietHost() error {
	return writeSysctls(map[string]string{
		"net/ipv6/conf/all/accept_dad":               "0",
		"net/ipv6/conf/default/accept_dad":           "0",
		"net/ipv6/conf/default/router_solicitations": "0",
		"net/ipv4/ping_group_range":                  "0 2147483647",
	})
}

// quietSwitch makes the switch a plain wire: no address, no packet filter but its own.
func quietSwitch() error {
	return writeSysctls(map[string]string{
		"net/ipv6/conf/all/disable_ipv6":      "1",
		"net/ipv6/conf/default/disable_ipv6":  "1",
		"net/bridge/bridge-nf-call-iptables":  "0",
		"net/bridge/bridge-nf-call-ip6tables": "0",
		"net/bridge/bridge-nf-call-arptables": "0",
	})
}

// writeSysctls writes settings; those this kernel does not have are left out.
func writeSysctls(values map[string]string) error {
	var errs []error
	for path, v := range values {
		err := os.WriteFile("/proc/sys/"+path, []byte(v), 0)
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
