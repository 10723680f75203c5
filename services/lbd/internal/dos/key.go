package dos

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/fault"
)

// Key is whom requests are counted for: a network of addresses, or the value of a header. The zero Key is nobody.
type Key struct {
	b    [16]byte // an address as IPv6, or a digest
	kind uint8
}

const (
	nobody  uint8 = 0
	network uint8 = 1   // and the network's bits, as IPv6: 1 to 129
	digest  uint8 = 255 // of a header's value
)

// Nets says how much of an address is a key.
type Nets struct {
	V4, V6 int // bits: 0 to 32, 0 to 128
}

// Key returns the key of an address; nobody's for none.
func (n Nets) Key(a netip.Addr) Key {
	bits := n.V6
	if a = a.Unmap(); a.Is4() {
		bits = n.V4 + 96
	} else if !a.IsValid() {
		return Key{}
	}
	k := Key{b: a.As16(), kind: network + uint8(bits)}
	k.mask(bits)
	return k
}

func (k *Key) mask(bits int) {
	for i := range k.b {
		switch left := bits - 8*i; {
		case left <= 0:
			k.b[i] = 0
		case left < 8:
			k.b[i] &= ^byte(0) << (8 - left)
		}
	}
}

// digestPrefix stands before a key made of a header's value, when it is written.
const digestPrefix = "value:"

// ValueKey returns the key of a header's value. It tells nothing of the value, and nobody finds another of the same key.
func ValueKey(value []byte) Key {
	sum := sha256.Sum256(value)
	return Key{b: [16]byte(sum[:16]), kind: digest}
}

// Valid reports whether k is somebody.
func (k Key) Valid() bool { return k.kind != nobody }

// Prefix returns the network that k is; false for a header's value.
func (k Key) Prefix() (netip.Prefix, bool) {
	if k.kind == nobody || k.kind == digest {
		return netip.Prefix{}, false
	}
	bits, a := int(k.kind-network), netip.AddrFrom16(k.b)
	if a.Is4In6() && bits >= 96 {
		return netip.PrefixFrom(a.Unmap(), bits-96), true
	}
	return netip.PrefixFrom(a, bits), true
}

// String writes an address, a network or "value:" and 32 hexadecimal digits.
func (k Key) String() string {
	if k.kind == digest {
		return digestPrefix + hex.EncodeToString(k.b[:])
	}
	p, ok := k.Prefix()
	switch {
	case !ok:
		return ""
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// ParseKey reads what String writes. Another text is fault.Invalid.
func ParseKey(s string) (Key, error) {
	bad := func() (Key, error) {
		return Key{}, fault.New(fault.Invalid, "dos: %s is no address, no network and no key that was shown", strconv.QuoteToASCII(s[:min(len(s), 64)]))
	}
	if text, ok := strings.CutPrefix(s, digestPrefix); ok {
		k := Key{kind: digest}
		if len(text) != 2*len(k.b) {
			return bad()
		}
		if _, err := hex.Decode(k.b[:], []byte(text)); err != nil {
			return bad()
		}
		return k, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return Nets{32, 128}.Key(a), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p != p.Masked() || p.Addr().Is4In6() {
		return bad()
	}
	return Nets{p.Bits(), p.Bits()}.Key(p.Addr()), nil
}

// MarshalText writes what String does.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what ParseKey does.
func (k *Key) UnmarshalText(b []byte) (err error) {
	*k, err = ParseKey(string(b))
	return err
}

func (k *Key) hash(seed maphash.Seed) uint64 {
	var b [17]byte
	copy(b[:], k.b[:])
	b[16] = k.kind
	return maphash.Bytes(seed, b[:])
}
