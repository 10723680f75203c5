package conf

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// Prefix is an address range; a bare address is a range of one.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads "10.0.0.0/8", "2001:db8::/32" or a bare address. Bits after the prefix are an error.
func (p *Prefix) UnmarshalText(text []byte) error {
	s := string(text)
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		p.Prefix = netip.PrefixFrom(ip, ip.BitLen())
		return nil
	}
	v, err := netip.ParsePrefix(s)
	if err != nil {
		return &textError{"is not an address range", "write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7"}
	}
	if v != v.Masked() {
		return &textError{"has bits set after the prefix", "write " + v.Masked().String()}
	}
	p.Prefix = v
	return nil
}

// redacted stands for every secret.
const redacted = "[redacted]"

// Secret is a value that never prints: String, JSON and YAML give "[redacted]".
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// Format writes "[redacted]" for every verb, also the wrong ones, for which fmt would print the value.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText returns "[redacted]", for JSON, YAML and loggers.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Name is a lower-case identifier: a letter or digit, then letters, digits, '-' or '_', at most 63 bytes.
type Name string

// String returns n as it is written.
func (n Name) String() string { return string(n) }

// MarshalText returns n as it is written.
func (n Name) MarshalText() ([]byte, error) { return []byte(n), nil }

// UnmarshalText checks the form.
func (n *Name) UnmarshalText(text []byte) error {
	s := string(text)
	if validName(s) {
		*n = Name(s)
		return nil
	}
	hint := "letters a-z, digits, '-' and '_', beginning with a letter or digit, at most 63"
	if lower := strings.ToLower(strings.NewReplacer(".", "-", " ", "-").Replace(s)); validName(lower) {
		hint = fmt.Sprintf("did you mean %q?", lower)
	}
	return &textError{"is not a name", hint}
}

func validName(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[0] == '_' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
