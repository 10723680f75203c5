package vip

import (
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// minLifeline is the least time after which a silent daemon may count as stuck: below it the pauses of a busy machine do.
const minLifeline = 200 * time.Millisecond

// Validate reports what single keys of the VIP cannot tell.
func (v *VIP) Validate(r *conf.Report) {
	if !interfaceName(v.Interface) {
		r.At("interface").Errorf("%q cannot be the name of an interface", v.Interface)
	}
	v.validateAddresses(r.At("addresses"))
	v.validateVersion(r)
	v.validateElection(r)
	v.validateSource(r.At("source"))
	v.validatePeers(r)
	v.validateAuth(r)
	for i := range v.Track {
		v.Track[i].validateOwner(r.At("track").At(i), v)
	}
	if d := v.Lifeline.Std(); d != 0 && d < minLifeline {
		r.At("lifeline").Hintf("0 means never", "is less than %v, in which a busy daemon may be silent", minLifeline)
	}
}

func (v *VIP) validateAddresses(r *conf.Report) {
	seen := map[netip.Addr]bool{}
	for i, a := range v.Addresses {
		if why := a.unfit(); why != "" {
			r.At(i).Errorf("%v %s", a, why)
		}
		if seen[a.Addr()] {
			r.At(i).Errorf("%v is listed twice", a.Addr())
		}
		seen[a.Addr()] = true
	}
	if _, six := v.families(); len(six) > wire.MaxAddrs {
		r.Hintf("list the link-local one, or one less", "with the link-local address that is put first, %d IPv6 addresses are above %d", len(six), wire.MaxAddrs)
	}
}

// validateVersion checks what the versions of the protocol can express.
func (v *VIP) validateVersion(r *conf.Report) {
	four, six := v.families()
	d := v.Interval.Std()
	if v.Version == 2 {
		if len(six) > 0 {
			r.At("version").Hintf("remove version, or the IPv6 addresses", "VRRP version 2 has no IPv6")
		}
		if d < time.Second || d%time.Second != 0 {
			r.At("interval").Hintf("write interval: 1s, on all hosts", "is %v: version 2 knows whole seconds, 1s to 255s", v.Interval)
		}
	} else if d > 40950*time.Millisecond || d%(10*time.Millisecond) != 0 {
		r.At("interval").Errorf("is %v: version 3 knows steps of 10ms, up to 40.95s", v.Interval)
	}
	if v.Password != "" && v.Version != 2 {
		r.At("password").Hintf("between everup's own hosts auth is safer", "is for version 2 only")
	}
	if v.Checksum != "auto" && (v.Version == 2 || len(four) == 0) {
		r.At("checksum").Errorf("is for version 3 over IPv4 only: there is no choice elsewhere")
	}
}

func (v *VIP) validateElection(r *conf.Report) {
	if v.owner() && !v.Preempt {
		r.At("preempt").Hintf("give it a priority below 255", "the owner of the addresses (priority 255) always takes them")
	}
	if !v.Preempt && v.PreemptDelay > 0 {
		r.At("preempt_delay").Errorf("has no meaning without preempt")
	}
}

// owner reports whether this host owns the addresses.
func (v *VIP) owner() bool { return v.Priority == int(vrrp.PriorityOwner) }

func (v *VIP) has(a netip.Addr) bool {
	return slices.ContainsFunc(v.Addresses, func(p Address) bool { return p.Addr() == a })
}

func (v *VIP) validateSource(r *conf.Report) {
	a := v.Source
	if !a.IsValid() {
		return
	}
	four, six := v.families()
	switch {
	case !hostAddress(a):
		r.Errorf("%v is not a plain address of a host", a)
	case a.Is4() && len(four) == 0, a.Is6() && len(six) == 0:
		r.Errorf("%v is of another family than all addresses", a)
	case a.Is6() && !a.IsLinkLocalUnicast():
		r.Hintf("leave it out, or write the interface's address of fe80::/64", "%v is not link-local, which the source of adverts is in IPv6 (RFC 9568 section 5.1.2.1)", a)
	case v.has(a) && !v.owner():
		r.Hintf("write an address that stays on this host", "%v is one of the addresses that move", a)
	}
}

func (v *VIP) validatePeers(r *conf.Report) {
	if len(v.Peers) == 0 {
		if v.MinTTL < 255 {
			r.At("min_ttl").Errorf("less than 255 is for unicast: there are no peers")
		}
		return
	}
	count := map[bool]int{} // by whether it is IPv4
	for i, p := range v.Peers {
		v.validatePeer(r.At("peers").At(i), i)
		count[p.Is4()]++
	}
	four, six := v.families()
	if len(four) > 0 && count[true] == 0 {
		r.At("peers").Errorf("there is no IPv4 peer for the IPv4 addresses")
	}
	if len(six) > 0 && count[false] == 0 {
		r.At("peers").Hintf("list their link-local addresses, or make two VIPs", "there is no IPv6 peer for the IPv6 addresses")
	}
}

func (v *VIP) validatePeer(r *conf.Report, i int) {
	p := v.Peers[i]
	four, six := v.families()
	switch {
	case !hostAddress(p):
		r.Errorf("%v is not a plain address of a host", p)
	case slices.Contains(v.Peers[:i], p):
		r.Errorf("%v is listed twice", p)
	case v.has(p):
		r.Errorf("%v is one of the addresses that move, not a peer's own", p)
	case p == v.Source:
		r.Errorf("%v is the source of our own adverts", p)
	case p.Is4() && len(four) == 0, p.Is6() && len(six) == 0:
		r.Errorf("%v is of another family than all addresses", p)
	case p.Is6() && !p.IsLinkLocalUnicast():
		r.Hintf("write the peer's address of fe80::/64", "%v is not link-local, which the source of adverts is in IPv6 (RFC 9568 section 5.1.2.1)", p)
	}
}

func (v *VIP) validateAuth(r *conf.Report) {
	if v.Auth == "fleet" && len(v.Peers) == 0 {
		r.At("auth").Hintf("list peers, or write auth: auto", "fleet is for adverts by unicast: there are no peers")
	}
	if strings.ContainsFunc(v.Password.Reveal(), func(c rune) bool { return c < 0x20 || c > 0x7e }) {
		r.At("password").Errorf("holds something else than printable ASCII")
	}
}

// Validate reports a command that cannot be started.
func (n *Notify) Validate(r *conf.Report) {
	if len(n.Command) > 0 && !filepath.IsAbs(n.Command[0]) {
		r.At("command").At(0).Errorf("%q is not an absolute path", n.Command[0])
	}
}

// Validate reports in what the VIPs contradict each other.
func (c Config) Validate(r *conf.Report) {
	k := crossCheck{routers: map[routerPlace]conf.Name{}, addresses: map[wire.Place]conf.Name{}, groups: map[conf.Name]bool{}}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		k.add(c, name, r.At(string(name)))
	}
	if len(k.routers) > wire.MaxRouters {
		r.Errorf("%d virtual routers, one for each family of a VIP, are above %d", len(k.routers), wire.MaxRouters)
	}
	if len(k.groups) > wire.MaxGroups {
		r.Errorf("%d VIPs and groups of VIPs are above %d", len(k.groups), wire.MaxGroups)
	}
}

// routerPlace is what two virtual routers cannot share.
type routerPlace struct {
	iface string
	vrid  int
	four  bool
}

// crossCheck is what the VIPs looked at so far have taken.
type crossCheck struct {
	routers   map[routerPlace]conf.Name
	addresses map[wire.Place]conf.Name // Interface is set for link-local addresses only
	groups    map[conf.Name]bool
	first     conf.Name // the VIP looked at first
}

func (k *crossCheck) add(c Config, name conf.Name, r *conf.Report) {
	v := c[name]
	four, six := v.families()
	for _, all := range [][]netip.Prefix{four, six} {
		if len(all) == 0 {
			continue
		}
		at := routerPlace{v.Interface, v.VRID, all[0].Addr().Is4()}
		if other, taken := k.routers[at]; taken {
			r.At("vrid").Errorf("%d is that of VIP %s on %s too", v.VRID, other, v.Interface)
		} else {
			k.routers[at] = name
		}
	}
	k.addAddresses(v, name, r.At("addresses"))
	k.groups[v.group(name)] = true
	if other := c[v.Group]; other != nil && other.Group != v.Group {
		r.At("group").Errorf("%q is the name of a VIP that is not of this group", v.Group)
	}
	if k.first == "" {
		k.first = name
	} else if want := c[k.first].Lifeline; v.Lifeline != want {
		r.At("lifeline").Hintf("the daemon is stuck as a whole", "is %v, but %v for VIP %s", v.Lifeline, want, k.first)
	}
}

func (k *crossCheck) addAddresses(v *VIP, name conf.Name, r *conf.Report) {
	for i, a := range v.Addresses {
		at := wire.Place{Prefix: netip.PrefixFrom(a.Addr(), a.Addr().BitLen())}
		if a.Addr().IsLinkLocalUnicast() {
			at.Interface = v.Interface
		}
		if other, taken := k.addresses[at]; taken && other != name {
			r.At(i).Errorf("%v is an address of VIP %s too", a.Addr(), other)
		}
		k.addresses[at] = name
	}
}

// group returns the name of v's group; one without has a group of its own, with the VIP's name.
func (v *VIP) group(name conf.Name) conf.Name {
	if v.Group != "" {
		return v.Group
	}
	return name
}

// hostAddress reports whether a is one host's, without a zone.
func hostAddress(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback()
}

// interfaceName reports whether the kernel would take s as the name of an interface (dev_valid_name).
func interfaceName(s string) bool {
	return s != "" && len(s) < 16 && s != "." && s != ".." && !strings.ContainsFunc(s, func(c rune) bool {
		return c == '/' || c == ':' || c <= ' ' || c == 0x7f || c == 0xa0
	})
}
