// Package frame makes the Ethernet frames by which the holder of a virtual address speaks with a MAC address of its choice:
// the announcements that teach neighbours and switches, and adverts from a virtual router's MAC address. It is pure. What is
// made is appended to the caller's slice, without an allocation if that has room (MaxLen is room for all but adverts of many
// addresses), and is not padded to Ethernet's 60 bytes, as whoever puts it on the wire does that.
//
// IPv4 addresses that come as IPv6 are taken as IPv4. For addresses for which there is no such frame nothing is appended.
package frame

import (
	"encoding/binary"
	"net/netip"

	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vrrp"
)

// Lengths of frames and their parts.
const (
	MaxLen = 128 // all announcements, and adverts of 21 addresses of IPv4 or 4 of IPv6 in version 3

	etherLen = 14
	ipv4Len  = 20
	ipv6Len  = 40
	naLen    = 32 // a neighbour advertisement with one option
	maxIP    = 1<<16 - 1
)

const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd

	hops      = 255  // what has passed a router is not taken: RFC 4861 section 7.1.2, RFC 9568 section 5.1.1.3
	classCS6  = 0xc0 // network control (RFC 2474): not behind the load that made the address move
	icmpv6    = 58
	neighbour = 136 // ICMPv6 neighbour advertisement
)

// VirtualMAC returns the MAC address of a virtual router: 00-00-5E-00-01-VRID for IPv4 and 00-00-5E-00-02-VRID for IPv6
// (RFC 9568 section 7.3).
func VirtualMAC(four bool, id vrrp.VRID) nl.MAC {
	family := byte(2)
	if four {
		family = 1
	}
	return nl.MAC{0, 0, 0x5e, 0, family, byte(id)}
}

// GratuitousARP appends the frame that says to all that an IPv4 address is at mac: an ARP announcement (RFC 5227 section 2.3),
// which is a request in which sender and target address are the same.
//
// It is a request, as keepalived's is: section 3 of that RFC tells of stacks that take replies only to questions of theirs.
// The target's hardware address is zero, as section 2.1.1 has it; nobody reads it.
func GratuitousARP(b []byte, mac nl.MAC, addr netip.Addr) []byte {
	addr = addr.Unmap()
	if !addr.Is4() || !hosts(addr) {
		return b
	}
	ip := addr.As4()
	b = ethernet(b, nl.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, typeARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 1) // Ethernet, IPv4, their addresses' lengths, request: RFC 826
	b = append(b, mac[:]...)
	b = append(b, ip[:]...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, ip[:]...)
}

// NeighborAdvertisement appends the frame that says to all nodes that an IPv6 address is at mac: an unsolicited neighbour
// advertisement (RFC 4861 sections 4.4 and 7.2.6) with router and override flags, as RFC 9568 section 6.4.1 has it. It comes
// from the address itself.
func NeighborAdvertisement(b []byte, mac nl.MAC, addr netip.Addr) []byte {
	if !addr.Is6() || addr.Is4In6() || !hosts(addr) {
		return b
	}
	const flags = 0xa0 // router, override, not solicited
	all := netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 15: 1})
	ip := addr.As16()
	b = ethernet(b, multicastMAC(all), mac, typeIPv6)
	b = ipv6(b, addr, all, 0, icmpv6, naLen)
	at := len(b)
	b = append(b, neighbour, 0, 0, 0, flags, 0, 0, 0)
	b = append(b, ip[:]...)
	b = append(b, 2, 1) // target link-layer address, in units of 8 bytes
	b = append(b, mac[:]...)
	// The pseudo-header (RFC 8200 section 8.1) is source and destination, where they lie already, length and protocol.
	sum := add(add(0, b[at-32:at]), b[at:]) + naLen + icmpv6
	binary.BigEndian.PutUint16(b[at+2:], fold(sum))
	return b
}

// Advert appends the frame of a VRRP packet, payload, from mac and the address src to the multicast group dst of the same
// family (RFC 9568 section 5.1). An IPv4 datagram is not to be fragmented and hence needs no identification (RFC 6864 section
// 4.1).
func Advert(b []byte, mac nl.MAC, src, dst netip.Addr, payload []byte) []byte {
	src, dst = src.Unmap(), dst.Unmap()
	if !src.IsValid() || src.Is4() != dst.Is4() || !dst.IsMulticast() || len(payload) > maxIP-ipv4Len {
		return b
	}
	if src.Is4() {
		b = ethernet(b, multicastMAC(dst), mac, typeIPv4)
		b = ipv4(b, src, dst, len(payload))
	} else {
		b = ethernet(b, multicastMAC(dst), mac, typeIPv6)
		b = ipv6(b, src, dst, classCS6, vrrp.Protocol, len(payload))
	}
	return append(b, payload...)
}

// hosts reports whether an address can be a host's.
func hosts(a netip.Addr) bool { return !a.IsUnspecified() && !a.IsMulticast() }

func ethernet(b []byte, dst, src nl.MAC, kind uint16) []byte {
	b = append(b, dst[:]...)
	b = append(b, src[:]...)
	return binary.BigEndian.AppendUint16(b, kind)
}

// multicastMAC returns the MAC address of a multicast group: RFC 1112 section 6.4, RFC 2464 section 7.
func multicastMAC(group netip.Addr) nl.MAC {
	if group.Is4() {
		ip := group.As4()
		return nl.MAC{0x01, 0x00, 0x5e, ip[1] & 0x7f, ip[2], ip[3]}
	}
	ip := group.As16()
	return nl.MAC{0x33, 0x33, ip[12], ip[13], ip[14], ip[15]}
}

// ipv4 appends the header of a datagram of VRRP (RFC 791 section 3.1).
func ipv4(b []byte, src, dst netip.Addr, n int) []byte {
	at := len(b)
	from, to := src.As4(), dst.As4()
	b = append(b, 0x45, classCS6)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4Len+n))
	b = append(b, 0, 0, 0x40, 0, hops, vrrp.Protocol, 0, 0)
	b = append(b, from[:]...)
	b = append(b, to[:]...)
	binary.BigEndian.PutUint16(b[at+10:], fold(add(0, b[at:])))
	return b
}

// ipv6 appends the header of a packet (RFC 8200 section 3).
func ipv6(b []byte, src, dst netip.Addr, class, next byte, n int) []byte {
	from, to := src.As16(), dst.As16()
	b = append(b, 0x60|class>>4, class<<4, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, next, hops)
	b = append(b, from[:]...)
	return append(b, to[:]...)
}

// add adds b, of even length, to the sum of an Internet checksum (RFC 1071).
func add(sum uint32, b []byte) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

// fold returns the checksum.
func fold(sum uint32) uint16 {
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
