package trailer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"time"

	"github.com/everup/everup/shared/vrrp"
)

// Len is the length of a trailer in bytes.
const Len = claimLen + macLen

// MinSecret is the length of the shortest secret in bytes.
const MinSecret = 16

const (
	claimLen = 36
	macLen   = 16
	addrLen  = 16

	format      = 1
	noPreempt   = 1
	tenureShift = 1
	tenureMask  = 3 << tenureShift
	flagsMask   = noPreempt | tenureMask
)

// Claim is what a trailer says beside the packet.
type Claim struct {
	// Sender is the node: a number that no other node of the fleet has.
	Sender uint64
	// Epoch is greater than in any earlier life of the Sender, also where its state was lost: the time of its start,
	// or one more than the last Epoch if that is greater.
	Epoch uint64
	// Seq rises with each advert of an Epoch, whichever router and peer it is for.
	Seq uint64
	// At is when it was sent by the sender's clock. It goes over the wire in whole milliseconds.
	At time.Time
	// NoPreempt and Tenure are those of vrrp.Advert.
	NoPreempt bool
	Tenure    vrrp.Tenure
}

// Keys make and check trailers. They are for one goroutine at a time.
type Keys struct {
	macs []hash.Hash // of each secret, the first sends

	// What is given to a hash.Hash escapes: these are here so that nothing is allocated for a packet.
	addrs [2 * addrLen]byte
	sum   [sha256.Size]byte
}

// NewKeys returns keys of the secrets, which it does not keep: the first one's MAC is sent, all are accepted. A change of
// the secret is made as pki has it: the new one last on all nodes, then first on all, then the old one away.
// Secrets shorter than MinSecret are left out. Keys without a secret append nothing and accept nothing.
func NewKeys(secrets [][]byte) *Keys {
	k := new(Keys)
	for _, s := range secrets {
		if len(s) < MinSecret {
			continue
		}
		h := hmac.New(sha256.New, s)
		h.Reset() // the key's own blocks are hashed now, and then no more
		k.macs = append(k.macs, h)
	}
	return k
}

// Append appends to the packet the trailer for its way from src to dst. The packet is a whole VRRP packet and nothing
// before it. A Tenure that is none of vrrp's is a mistake of the caller's, and no peer takes it.
func (k *Keys) Append(packet []byte, c Claim, src, dst netip.Addr) []byte {
	if len(k.macs) == 0 {
		return packet
	}
	n := len(packet)
	b := append(packet, 'E', 'V', format, flags(c))
	b = binary.BigEndian.AppendUint64(b, c.Sender)
	b = binary.BigEndian.AppendUint64(b, c.Epoch)
	b = binary.BigEndian.AppendUint64(b, c.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(c.At.UnixMilli()))
	k.setAddrs(src, dst)
	return append(b, k.mac(k.macs[0], b[:n], b[n:])...)
}

// Open cuts the trailer off b, the payload of an IP packet from src to dst, and says what is to be thought of it. Only with
// Accepted has c a meaning, and is then to be shown to a Window. The packet is part of b. With Missing it is b, so that
// a receiver may take it nevertheless while a fleet begins to authenticate; else it is nil.
func (k *Keys) Open(b []byte, src, dst netip.Addr) (packet []byte, c Claim, v Verdict) {
	n, ok := packetLen(b, src)
	switch {
	case !ok || len(b) < n:
		return nil, Claim{}, Short
	case len(b) == n:
		return b, Claim{}, Missing
	case len(b) != n+Len || !ours(b[n:]):
		return nil, Claim{}, Malformed
	case !k.genuine(b[:n], b[n:], src, dst):
		return nil, Claim{}, Forged
	}
	return b[:n:n], claim(b[n:]), Accepted
}

// packetLen returns how long the VRRP packet at the start of b is by its header (RFC 9568 section 5.1, RFC 3768 section
// 5.1). An unknown version is taken for the latest: Packet.Parse refuses it.
func packetLen(b []byte, src netip.Addr) (n int, ok bool) {
	const (
		headerLen = 8
		authLen   = 8
	)
	if len(b) < headerLen {
		return 0, false
	}
	n = headerLen + int(b[3])*addrLen
	if src.Is4() {
		n = headerLen + int(b[3])*4
	}
	if vrrp.Version(b[0]>>4) == vrrp.V2 {
		n += authLen
	}
	return n, true
}

// ours reports whether a trailer has a form that is known here.
func ours(t []byte) bool {
	return t[0] == 'E' && t[1] == 'V' && t[2] == format && t[3]&^flagsMask == 0 && tenure(t[3]) <= vrrp.Appointed
}

func flags(c Claim) byte {
	f := byte(c.Tenure) << tenureShift
	if c.NoPreempt {
		f |= noPreempt
	}
	return f
}

func tenure(flags byte) vrrp.Tenure { return vrrp.Tenure(flags & tenureMask >> tenureShift) }

func claim(t []byte) Claim {
	return Claim{
		Sender:    binary.BigEndian.Uint64(t[4:]),
		Epoch:     binary.BigEndian.Uint64(t[12:]),
		Seq:       binary.BigEndian.Uint64(t[20:]),
		At:        time.UnixMilli(int64(binary.BigEndian.Uint64(t[28:]))),
		NoPreempt: t[3]&noPreempt != 0,
		Tenure:    tenure(t[3]),
	}
}

// genuine reports whether one of the keys made the trailer.
func (k *Keys) genuine(packet, t []byte, src, dst netip.Addr) bool {
	k.setAddrs(src, dst)
	for _, h := range k.macs {
		if hmac.Equal(k.mac(h, packet, t[:claimLen]), t[claimLen:]) {
			return true
		}
	}
	return false
}

func (k *Keys) setAddrs(src, dst netip.Addr) {
	s, d := src.As16(), dst.As16()
	copy(k.addrs[:addrLen], s[:])
	copy(k.addrs[addrLen:], d[:])
}

// mac returns the MAC by h, until the next call. What has a fixed length comes first: there is one way to read it.
func (k *Keys) mac(h hash.Hash, packet, claim []byte) []byte {
	h.Reset()
	h.Write(claim)
	h.Write(k.addrs[:])
	h.Write(packet)
	return h.Sum(k.sum[:0])[:macLen]
}
