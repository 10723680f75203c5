package mcflags

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/everup/everup/shared/state"
)

// Bound is a socket that listens on TCP or UDP.
type Bound struct {
	UDP  bool
	Addr netip.AddrPort
}

// WritePortFile tells the ports to whoever set MEMCACHED_PORT_FILENAME: a line `TCP INET: 11211` for each socket, INET6 for IPv6, in the
// order given (memcached: TCP, then UDP). The file appears at once with all its lines. With -s memcached writes none.
func WritePortFile(path string, bound []Bound) error {
	return state.WriteFile(path, []byte(portLines(bound)), 0o644)
}

func portLines(bound []Bound) string {
	var b strings.Builder
	for _, s := range bound {
		network, family := "TCP", "INET"
		if s.UDP {
			network = "UDP"
		}
		if s.Addr.Addr().Unmap().Is6() {
			family = "INET6"
		}
		fmt.Fprintf(&b, "%s %s: %d\n", network, family, s.Addr.Port())
	}
	return b.String()
}
