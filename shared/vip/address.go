package vip

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/vrrp"
)

// Address is a virtual address with the length of its network.
type Address struct{ netip.Prefix }

// UnmarshalText reads "10.0.0.5/24", or an address alone, which is /32 or /128.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	if !strings.Contains(s, "/") {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("it is no address such as 10.0.0.5/24, 10.0.0.5 or 2001:db8::5/64")
		}
		if ip.Zone() != "" {
			return fmt.Errorf("a zone does not belong to it: the interface says it")
		}
		a.Prefix = netip.PrefixFrom(ip, ip.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("it is no address such as 10.0.0.5/24, 10.0.0.5 or 2001:db8::5/64")
	}
	a.Prefix = p
	return nil
}

// unfit says why a host cannot be given the address, "" if it can.
func (a Address) unfit() string {
	ip := a.Addr()
	switch {
	case !a.IsValid() || ip.Is4In6():
		return "is no plain IPv4 or IPv6 address"
	case ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback():
		return "is not an address that can move between hosts"
	case a.Bits() == 0:
		return "has a network of all addresses"
	case a.Bits() < ip.BitLen()-1 && ip == a.Masked().Addr():
		return "is the network's own address, not a host's"
	case ip.Is4() && a.Bits() < 31 && ip == broadcast(a.Prefix), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is a broadcast address"
	}
	return ""
}

// broadcast returns the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// linkLocal is the link-local address of a virtual router's MAC 00-00-5E-00-02-VRID: its modified EUI-64 (RFC 9568
// section 7.3, RFC 2464 section 4) below fe80::/64. The length is that of the interface's own link-local address, so that
// neither is a longer match, and the better source, than the other (RFC 6724 section 5 rule 8).
func linkLocal(id vrrp.VRID) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80, 8: 0x02, 10: 0x5e, 11: 0xff, 12: 0xfe, 14: 0x02, 15: byte(id),
	}), 64)
}

// families returns v's addresses by family, as they are to be added and advertised: IPv6's first is link-local.
func (v *VIP) families() (four, six []netip.Prefix) {
	first := -1
	for _, a := range v.Addresses {
		switch {
		case a.Addr().Is4():
			four = append(four, a.Prefix)
		default:
			if first < 0 && a.Addr().IsLinkLocalUnicast() {
				first = len(six)
			}
			six = append(six, a.Prefix)
		}
	}
	switch {
	case first > 0:
		p := six[first]
		copy(six[1:first+1], six[:first])
		six[0] = p
	case first < 0 && len(six) > 0:
		six = append([]netip.Prefix{linkLocal(vrrp.VRID(v.VRID))}, six...)
	}
	return four, six
}

// Holds reports whether a is a virtual address of the configuration: whoever listens on it needs IP_FREEBIND, for it
// may be elsewhere. The link-local addresses that were not written down count too.
func (c Config) Holds(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, v := range c {
		if v == nil {
			continue
		}
		four, six := v.families()
		for _, p := range append(four, six...) {
			if p.Addr() == a {
				return true
			}
		}
	}
	return false
}

// HoldsHost reports whether the host of a listen address is a virtual address of the configuration, as Holds does.
func (c Config) HoldsHost(a conf.Addr) bool {
	host, _, _ := a.HostPort()
	ip, err := netip.ParseAddr(host)
	return err == nil && c.Holds(ip)
}
