package conf

import (
	"net/netip"
	"time"
)

// Duration is a time with a unit: "250ms", "5s", "1m30s", "2h", "7d". A bare number is an error, except 0.
type Duration time.Duration

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Size is a number of bytes: "512", "64k" = "64KiB", "1MiB", "2g"; powers of 1024; "1kB"/"1MB" are powers of 1000.
type Size int64

// Addr is "host:port", "[v6]:port", ":port" or "unix:/path". A bare port is ":port". Hosts are not resolved here.
type Addr string

// HostPort splits a into host and port; ok is false for unix sockets.
func (a Addr) HostPort() (host string, port uint16, ok bool) { panic("skeleton") }

// Unix returns the path of a unix socket address.
func (a Addr) Unix() (path string, ok bool) { panic("skeleton") }

// Loopback reports whether only this host can reach a: 127.0.0.0/8, ::1, "localhost", a unix socket.
func (a Addr) Loopback() bool { panic("skeleton") }

// Prefix is an address range; a bare address is a range of one.
type Prefix struct{ netip.Prefix }

// Secret is a value that never prints: String, JSON and YAML give "[redacted]".
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Name is a lower-case identifier: a letter or digit, then letters, digits, '-' or '_', at most 63 bytes.
type Name string
