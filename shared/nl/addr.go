package nl

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// Addr is an address of a link.
type Addr struct {
	Index int // of the link
	// Prefix is the address, with its host bits, and the length of its subnet. Of an address with a peer it is the local
	// address with the length of the peer's subnet.
	Prefix     netip.Prefix
	Tentative  bool // IPv6: duplicate address detection runs, the address is of no use yet
	Failed     bool // IPv6: another host has it, it is of no use
	Deprecated bool // not used as a source if there is another
	LinkLocal  bool
}

// parseAddr reads the body of a RTM_NEWADDR or RTM_DELADDR; false if it has no address of IPv4 or IPv6.
func parseAddr(b []byte) (Addr, bool) {
	if len(b) < addrLen {
		return Addr{}, false
	}
	family, bits, flags := b[0], int(b[1]), uint32(b[2])
	var local, peer netip.Addr
	for kind, value := range attrs(b[addrLen:]) {
		switch kind {
		case unix.IFA_LOCAL:
			local = address(family, value)
		case unix.IFA_ADDRESS:
			peer = address(family, value)
		case unix.IFA_FLAGS:
			flags = number(value)
		}
	}
	if !local.IsValid() { // IPv6 without a peer
		local = peer
	}
	a := Addr{
		Index:      int(int32(binary.NativeEndian.Uint32(b[4:]))),
		Prefix:     netip.PrefixFrom(local, bits),
		Tentative:  flags&unix.IFA_F_TENTATIVE != 0,
		Failed:     flags&unix.IFA_F_DADFAILED != 0,
		Deprecated: flags&unix.IFA_F_DEPRECATED != 0,
		LinkLocal:  local.IsLinkLocalUnicast(),
	}
	return a, a.Index > 0 && a.Prefix.IsValid()
}

// address returns the address in b, the zero Addr if it is not one of the family.
func address(family uint8, b []byte) netip.Addr {
	switch {
	case family == unix.AF_INET && len(b) == 4:
		return netip.AddrFrom4([4]byte(b))
	case family == unix.AF_INET6 && len(b) == 16:
		return netip.AddrFrom16([16]byte(b))
	}
	return netip.Addr{}
}

// Addrs returns the addresses of a link, or of all links if index is 0; of a link that does not exist, none or
// fault.NotFound, as the kernel likes.
func (c *Conn) Addrs(index int) ([]Addr, error) { return c.AppendAddrs(nil, index) }

// AppendAddrs is Addrs that appends to dst, and allocates nothing if dst has room. After an error it returns dst as it was.
func (c *Conn) AppendAddrs(dst []Addr, index int) ([]Addr, error) {
	if index != 0 {
		if err := checkIndex(index); err != nil {
			return dst, err
		}
	}
	out := dst
	err := c.list(unix.RTM_GETADDR, func(r *request) {
		r.b = append(r.b, unix.AF_UNSPEC, 0, 0, 0)
		r.b = binary.NativeEndian.AppendUint32(r.b, uint32(index))
	}, func() { out = out[:len(dst)] }, func(m message) {
		a, ok := parseAddr(m.body)
		if ok && m.kind == unix.RTM_NEWADDR && (index == 0 || a.Index == index) {
			out = append(out, a)
		}
	})
	if err != nil {
		return dst, fail(err, "list addresses of link %d", index)
	}
	return out, nil
}

// AddAddr adds an address to a link: without a route to its subnet, and in IPv6 without duplicate address detection, so that
// it is of use at once. Its subnet's length is 32 or 128 for an address that belongs to no subnet of the link's.
//
// One that is there already is left as it is, tentative or not. In IPv6 a link has an address once: with another length it is
// fault.Conflict. Where IPv6 is switched off on the link it is fault.Unsupported.
func (c *Conn) AddAddr(index int, p netip.Prefix) error {
	if err := checkAddr(index, p); err != nil {
		return err
	}
	r := c.begin(unix.RTM_NEWADDR, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	r.addr(index, p)
	flags := uint32(unix.IFA_F_NOPREFIXROUTE)
	if p.Addr().Is6() {
		flags |= unix.IFA_F_NODAD
	}
	r.attr32(unix.IFA_FLAGS, flags)
	err := c.do(r, nil)
	switch {
	case err == nil:
		return nil
	case among(err, unix.EEXIST):
		return c.checkSame(index, p)
	case among(err, unix.EACCES) && p.Addr().Is6():
		return fault.Wrap(fault.Unsupported, err, "nl: add %s to link %d: is IPv6 disabled on it", p, index)
	}
	return fail(err, "add %s to link %d", p, index)
}

// checkSame says whether the address that a link has is p with its length.
func (c *Conn) checkSame(index int, p netip.Prefix) error {
	if p.Addr().Is4() {
		return nil // which of IPv4 may be there with several lengths
	}
	there, err := c.Addrs(index)
	if err != nil {
		return err
	}
	for _, a := range there {
		if a.Prefix.Addr() == p.Addr() && a.Prefix != p {
			return fault.New(fault.Conflict, "nl: add %s to link %d: it has the address as %s", p, index, a.Prefix)
		}
	}
	return nil
}

// RemoveAddr removes an address, with exactly this length of its subnet, from a link. One that is not there, or a link that is
// gone, is no error.
//
// In IPv4 the other addresses of the same subnet go with the first of them, unless PromoteSecondary is set on the link.
func (c *Conn) RemoveAddr(index int, p netip.Prefix) error {
	if err := checkAddr(index, p); err != nil {
		return err
	}
	r := c.begin(unix.RTM_DELADDR, unix.NLM_F_ACK)
	r.addr(index, p)
	err := c.do(r, nil)
	if err == nil || among(err, unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENXIO) {
		return nil
	}
	return fail(err, "remove %s from link %d", p, index)
}

func checkAddr(index int, p netip.Prefix) error {
	if !p.IsValid() || p.Addr().Is4In6() || p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
		return fault.New(fault.Invalid, "nl: %s is no address for a link", p)
	}
	return checkIndex(index)
}

// addr appends the header and the attributes of requests about an address.
func (r *request) addr(index int, p netip.Prefix) {
	family, scope := uint8(unix.AF_INET6), uint8(unix.RT_SCOPE_UNIVERSE)
	a := p.Addr()
	if a.Is4() {
		family = unix.AF_INET
	}
	switch { // IPv6 works it out itself
	case a.IsLoopback():
		scope = unix.RT_SCOPE_HOST
	case a.IsLinkLocalUnicast():
		scope = unix.RT_SCOPE_LINK
	}
	r.b = append(r.b, family, uint8(p.Bits()), 0, scope)
	r.b = binary.NativeEndian.AppendUint32(r.b, uint32(index))
	for _, kind := range [...]uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
		at := r.open(kind)
		if a.Is4() {
			b := a.As4()
			r.b = append(r.b, b[:]...)
		} else {
			b := a.As16()
			r.b = append(r.b, b[:]...)
		}
		r.close(at)
	}
}
