package conf

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxUnixPath is what sockaddr_un holds, without the final zero.
const maxUnixPath = 107

// Addr is "host:port", "[v6]:port", ":port" or "unix:/path". A bare port is ":port". Hosts are not resolved here.
type Addr string

// HostPort splits a into host and port; ok is false for unix sockets and for an empty Addr. The host of
// ":port" is empty, that of "[v6]:port" has no brackets.
func (a Addr) HostPort() (host string, port uint16, ok bool) {
	if _, unix := a.Unix(); unix {
		return "", 0, false
	}
	host, service, err := net.SplitHostPort(string(a))
	if err != nil {
		return "", 0, false
	}
	port, ok = parsePort(service)
	return host, port, ok
}

// Unix returns the path of a unix socket address.
func (a Addr) Unix() (path string, ok bool) { return strings.CutPrefix(string(a), "unix:") }

// Loopback reports whether only this host can reach a: 127.0.0.0/8, ::1, "localhost", a unix socket.
func (a Addr) Loopback() bool {
	if _, ok := a.Unix(); ok {
		return true
	}
	host, _, ok := a.HostPort()
	if !ok {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// String returns a as it is written.
func (a Addr) String() string { return string(a) }

// MarshalText returns a as it is written.
func (a Addr) MarshalText() ([]byte, error) { return []byte(a), nil }

// UnmarshalText checks the form; a bare port becomes ":port".
func (a *Addr) UnmarshalText(text []byte) error {
	s := string(text)
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || len(path) > maxUnixPath || strings.ContainsRune(path, 0) {
			return &textError{msg: "is not the absolute path of a unix socket, of at most 107 bytes"}
		}
		*a = Addr(s)
		return nil
	}
	if _, ok := parsePort(s); ok {
		*a = Addr(":" + s)
		return nil
	}
	if err := checkHostPort(s); err != nil {
		return err
	}
	*a = Addr(s)
	return nil
}

// checkHostPort says what is wrong with a host:port.
func checkHostPort(s string) error {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Is6() {
		return &textError{"has no port", "write [" + s + "]:PORT"}
	}
	if !strings.Contains(s, ":") {
		if looksNumeric(s) {
			return &textError{"is not a port from 0 to 65535", decimalHint(s, "")}
		}
		if validHost(s) {
			return &textError{"has no port", "write " + s + ":PORT"}
		}
	}
	host, service, err := net.SplitHostPort(s)
	if err != nil {
		return &textError{"is not an address", "write host:port, [IPv6]:port, :port or unix:/path"}
	}
	if host == "*" {
		return &textError{"has a host that is not a name or address", "write :" + service + " for all addresses"}
	}
	if _, ok := parsePort(service); !ok {
		return &textError{"has no port from 0 to 65535", decimalHint(service, "")}
	}
	if strings.HasPrefix(s, "[") {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
			return &textError{msg: "has brackets around what is not an IPv6 address"}
		}
		return nil
	}
	if host != "" && !validHost(host) {
		return &textError{msg: "has a host that is not a name or address"}
	}
	return nil
}

// parsePort reads a port as a plain decimal.
func parsePort(s string) (uint16, bool) {
	if !isDecimal(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}

// validHost reports whether s is an IPv4 address or a host name. A name whose last label is a number is
// neither: it is a mistyped address.
func validHost(s string) bool {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Is4()
	}
	name := strings.TrimSuffix(s, ".")
	if name == "" || len(name) > 253 {
		return false
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.HasPrefix(l, "-") || strings.ContainsFunc(l, notHostByte) {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// notHostByte reports what no host name holds. The underscore is allowed: containers are named with it.
func notHostByte(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
}
