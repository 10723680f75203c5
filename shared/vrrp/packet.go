package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Where the parts of a packet lie (RFC 9568 section 5.1, RFC 3768 section 5.1).
const (
	headerLen   = 8
	authLen     = 8 // after version 2's addresses, whatever the authentication type
	advertType  = 1
	checksumOff = 6

	// MaxAddrs is the most addresses a packet has. What fits the link's MTU is less in IPv6: 90 of 1500 bytes.
	MaxAddrs = 255
	// MaxLen is the length of the longest packet.
	MaxLen = headerLen + MaxAddrs*16
)

// The intervals that the header can hold.
const (
	unitV3        = 10 * time.Millisecond
	unitV2        = time.Second
	maxIntervalV3 = 4095 * unitV3
	maxIntervalV2 = 255 * unitV2
)

// AuthType is version 2's authentication. RFC 3768 has removed it; keepalived keeps what RFC 2338 had.
type AuthType uint8

// The types. IPsec's authentication header, 2, is not spoken.
const (
	AuthNone AuthType = 0
	AuthText AuthType = 1 // a password that everybody on the link can read
)

// Packet is an ADVERTISEMENT.
type Packet struct {
	Version  Version
	VRID     VRID
	Priority Priority
	// Interval is the (Max) Advertise Interval: 10 ms to 40.95 s in steps of 10 ms in V3, 1 to 255 s in V2.
	Interval time.Duration
	// Addrs are the virtual addresses, all of one family. IPv6's first is link-local.
	Addrs    []netip.Addr
	AuthType AuthType // V2
	Auth     [8]byte  // V2 with AuthText: the password, filled up with zeros
	Checksum Checksum // set by Parse, obeyed by Append for V3 over IPv4
}

// Envelope is what the IP header says of a packet.
type Envelope struct {
	Src, Dst netip.Addr // of one family, without a zone
	TTL      uint8      // or hop limit
	// MinTTL is the least TTL taken; 0 stands for 255, as RFC 9568 section 7.1 demands. Less is for unicast peers a
	// router away, who are then to be authenticated by other means.
	MinTTL uint8
}

// Parse reads an ADVERTISEMENT from the IP payload b, which it does not keep, into p. It says why a packet is not to be
// taken; p is then without meaning. The slice p.Addrs is used again, so that a Packet parsed into repeatedly needs no
// memory. Bytes after the addresses are a rejection: an authentication trailer is cut off by the caller before.
func (p *Packet) Parse(b []byte, env Envelope) Reason {
	if r := env.check(); r != Accepted {
		return r
	}
	if len(b) < headerLen {
		return ReasonShort
	}
	p.Version = Version(b[0] >> 4)
	if r := p.checkShape(b, env.Src); r != Accepted {
		return r
	}
	form, ok := checksumForm(b, p.Version, env.Src, env.Dst)
	if !ok {
		return ReasonChecksum
	}
	p.Checksum = form
	p.VRID, p.Priority = VRID(b[1]), Priority(b[2])
	if p.VRID == 0 {
		return ReasonVRID
	}
	if r := p.parseVersion(b); r != Accepted {
		return r
	}
	if p.Interval == 0 {
		return ReasonInterval
	}
	return p.parseAddrs(b[headerLen:], int(b[3]), env.Src.Is4())
}

func (env *Envelope) check() Reason {
	least := env.MinTTL
	if least == 0 {
		least = 255
	}
	switch {
	case !plain(env.Src) || !plain(env.Dst) || env.Src.Is4() != env.Dst.Is4():
		return ReasonFamily
	case env.TTL < least:
		return ReasonTTL
	}
	return Accepted
}

// checkShape checks what must hold before the checksum can be computed.
func (p *Packet) checkShape(b []byte, src netip.Addr) Reason {
	if p.Version != V3 && (p.Version != V2 || src.Is6()) {
		return ReasonVersion
	}
	want := packetLen(p.Version, src.Is4(), int(b[3]))
	switch {
	case b[0]&15 != advertType:
		return ReasonType
	case b[3] == 0:
		return ReasonCount
	case len(b) < want:
		return ReasonShort
	case len(b) > want:
		return ReasonLong
	}
	return Accepted
}

// parseVersion reads bytes 4 and 5 and the authentication data, which the versions have for themselves.
func (p *Packet) parseVersion(b []byte) Reason {
	p.AuthType, p.Auth = AuthNone, [8]byte{}
	if p.Version == V3 {
		p.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0x0fff) * unitV3 // the reserved bits are ignored
		return Accepted
	}
	p.Interval = time.Duration(b[5]) * unitV2
	p.AuthType = AuthType(b[4])
	switch p.AuthType {
	case AuthNone:
		return Accepted
	case AuthText:
		copy(p.Auth[:], b[len(b)-authLen:])
		return Accepted
	}
	return ReasonAuthType
}

func (p *Packet) parseAddrs(b []byte, count int, four bool) Reason {
	p.Addrs = p.Addrs[:0]
	for range count {
		var a netip.Addr
		if four {
			a = netip.AddrFrom4([4]byte(b))
			b = b[4:]
		} else {
			a = netip.AddrFrom16([16]byte(b))
			b = b[16:]
		}
		if !virtual(a) {
			return ReasonAddress
		}
		p.Addrs = append(p.Addrs, a)
	}
	return Accepted
}

// plain reports whether an address is one of IPv4 or IPv6 and no mixture.
func plain(a netip.Addr) bool { return a.IsValid() && !a.Is4In6() && a.Zone() == "" }

// virtual reports whether an address can be given to a host.
func virtual(a netip.Addr) bool { return plain(a) && !a.IsUnspecified() && !a.IsMulticast() }

func packetLen(v Version, four bool, count int) int {
	n := headerLen + count*16
	if four {
		n = headerLen + count*4
	}
	if v == V2 {
		n += authLen
	}
	return n
}

// Append appends the packet, as it goes from src to dst, to b. A packet that cannot be written is fault.Invalid, and b
// comes back as it was.
func (p *Packet) Append(b []byte, src, dst netip.Addr) ([]byte, error) {
	if err := p.check(src, dst); err != nil {
		return b, err
	}
	start := len(b)
	b = append(b, byte(p.Version)<<4|advertType, byte(p.VRID), byte(p.Priority), byte(len(p.Addrs)), 0, 0, 0, 0)
	if p.Version == V3 {
		binary.BigEndian.PutUint16(b[start+4:], uint16(p.Interval/unitV3))
	} else {
		b[start+4], b[start+5] = byte(p.AuthType), byte(p.Interval/unitV2)
	}
	for _, a := range p.Addrs {
		if a.Is4() {
			four := a.As4()
			b = append(b, four[:]...)
		} else {
			six := a.As16()
			b = append(b, six[:]...)
		}
	}
	if p.Version == V2 {
		b = append(b, p.Auth[:]...)
	}
	m := b[start:]
	acc := sum(0, m)
	if p.Version == V3 && (src.Is6() || p.Checksum == ChecksumPseudo) {
		acc += pseudo(src, dst, len(m))
	}
	binary.BigEndian.PutUint16(m[checksumOff:], ^fold(acc))
	return b, nil
}

// check says why the packet cannot be written.
func (p *Packet) check(src, dst netip.Addr) error {
	env := Envelope{Src: src, Dst: dst, TTL: 255}
	switch {
	case env.check() != Accepted:
		return fault.New(fault.Invalid, "vrrp: write packet: %v and %v are not a source and a destination", src, dst)
	case p.VRID == 0:
		return fault.New(fault.Invalid, "vrrp: write packet: VRID 0")
	case len(p.Addrs) == 0 || len(p.Addrs) > MaxAddrs:
		return fault.New(fault.Invalid, "vrrp: write packet: %d addresses, not 1 to %d", len(p.Addrs), MaxAddrs)
	case p.AuthType > AuthText || p.AuthType == AuthNone && p.Auth != [8]byte{} || p.Version == V3 && p.AuthType != AuthNone:
		return fault.New(fault.Invalid, "vrrp: write packet: authentication type %d", p.AuthType)
	}
	if err := checkInterval(p.Version, p.Interval); err != nil {
		return fault.Wrap(fault.Invalid, err, "vrrp: write packet")
	}
	if p.Version == V2 && src.Is6() {
		return fault.New(fault.Invalid, "vrrp: write packet: version 2 has no IPv6")
	}
	for _, a := range p.Addrs {
		if !virtual(a) || a.Is4() != src.Is4() {
			return fault.New(fault.Invalid, "vrrp: write packet: %v is no virtual address beside %v", a, src)
		}
	}
	return nil
}

// checkInterval says why a version's header cannot hold an interval.
func checkInterval(v Version, d time.Duration) error {
	switch {
	case v == V3 && (d < unitV3 || d > maxIntervalV3 || d%unitV3 != 0):
		return fault.New(fault.Invalid, "interval %v is not 10ms to 40.95s in steps of 10ms", d)
	case v == V2 && (d < unitV2 || d > maxIntervalV2 || d%unitV2 != 0):
		return fault.New(fault.Invalid, "interval %v is not 1s to 255s in whole seconds, as version 2 has it", d)
	case v != V2 && v != V3:
		return fault.New(fault.Invalid, "version %d is neither 2 nor 3", v)
	}
	return nil
}
