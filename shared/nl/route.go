package nl

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// route is what is of interest of a route.
type route struct {
	dst     netip.Prefix
	table   uint32
	unicast bool // packets for it leave, rather than being refused, dropped or taken
}

// parseRoute reads the body of a RTM_NEWROUTE or RTM_DELROUTE of IPv4 or IPv6.
func parseRoute(b []byte) (route, bool) {
	if len(b) < routeLen {
		return route{}, false
	}
	family := b[0]
	r := route{table: uint32(b[4]), unicast: b[7] == unix.RTN_UNICAST}
	var dst netip.Addr
	switch family {
	case unix.AF_INET:
		dst = netip.IPv4Unspecified()
	case unix.AF_INET6:
		dst = netip.IPv6Unspecified()
	}
	for kind, value := range attrs(b[routeLen:]) {
		switch kind {
		case unix.RTA_DST:
			dst = address(family, value)
		case unix.RTA_TABLE:
			r.table = number(value)
		}
	}
	r.dst = netip.PrefixFrom(dst, int(b[1]))
	return r, r.dst.IsValid()
}

// HasRoute says whether the main table has a route to exactly dst by which packets leave; 0.0.0.0/0 or ::/0 is the default
// route. It reads all of the family's table.
func (c *Conn) HasRoute(dst netip.Prefix) (bool, error) {
	if !dst.IsValid() || dst.Addr().Is4In6() {
		return false, fault.New(fault.Invalid, "nl: %s is no destination of a route", dst)
	}
	dst = dst.Masked()
	family := uint8(unix.AF_INET6)
	if dst.Addr().Is4() {
		family = unix.AF_INET
	}
	found := false
	err := c.list(unix.RTM_GETROUTE, func(r *request) {
		r.b = append(r.b, family, 0, 0, 0, unix.RT_TABLE_MAIN, 0, 0, 0, 0, 0, 0, 0)
	}, func() { found = false }, func(m message) {
		r, ok := parseRoute(m.body)
		if ok && m.kind == unix.RTM_NEWROUTE && r.table == unix.RT_TABLE_MAIN && r.unicast && r.dst == dst {
			found = true
		}
	})
	if among(err, unix.ENOENT) { // a table that never had a route
		return false, nil
	}
	return found, fail(err, "look for a route to %s", dst)
}
