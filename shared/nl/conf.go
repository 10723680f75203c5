package nl

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// Settings of IPv4 on a link, for SetIPv4Conf: IPV4_DEVCONF_* of linux/ip.h, described in the kernel's ip-sysctl. The
// kernel goes by the greater of the link's own value and that of net.ipv4.conf.all.
const (
	RPFilter         = 8  // reverse path check of sources: 0 none, 1 strict, 2 loose
	ARPFilter        = 13 // 1: answer for an address only where packets to the asker would leave
	ARPAnnounce      = 18 // whose address ARP requests name as their sender
	ARPIgnore        = 19 // 1: answer on this link for this link's addresses only
	PromoteSecondary = 20 // 1: the removal of a subnet's first address leaves the others
	AcceptLocal      = 23 // 1: take packets from addresses of this host
)

// maxIPv4Conf is more than any kernel knows, which has the last word.
const maxIPv4Conf = 64

// SetIPv4Conf sets settings of IPv4 on a link by number (IPV4_DEVCONF_*, of which the constants name some). All or, if a
// number is not known to the kernel, none are set.
func (c *Conn) SetIPv4Conf(index int, conf map[int]int) error {
	if err := checkIndex(index); err != nil {
		return err
	}
	r := c.begin(unix.RTM_SETLINK, unix.NLM_F_ACK)
	r.link(index, 0, 0)
	spec := r.nest(unix.IFLA_AF_SPEC)
	if err := r.ipv4Conf(conf); err != nil {
		return err
	}
	r.close(spec)
	return fail(c.do(r, nil), "set IPv4 settings of link %d", index)
}

// ipv4Conf appends the part of IFLA_AF_SPEC for IPv4.
func (r *request) ipv4Conf(conf map[int]int) error {
	family := r.nest(unix.AF_INET)
	values := r.nest(unix.IFLA_INET_CONF)
	for number, value := range conf {
		if number < 1 || number > maxIPv4Conf {
			return fault.New(fault.Invalid, "nl: %d is no number of an IPv4 setting", number)
		}
		r.attr32(uint16(number), uint32(int32(value)))
	}
	r.close(values)
	r.close(family)
	return nil
}

// IPv4Conf returns all settings of IPv4 on a link by number, so that who changes some can put them back. A link on which
// IPv4 does not run (an MTU below 68) has none.
func (c *Conn) IPv4Conf(index int) (map[int]int, error) {
	if err := checkIndex(index); err != nil {
		return nil, err
	}
	conf := map[int]int{}
	err := c.do(c.getLink(index, ""), func(m message) {
		if m.kind == unix.RTM_NEWLINK && len(m.body) >= linkLen {
			readIPv4Conf(m.body[linkLen:], conf)
		}
	})
	if err != nil {
		return nil, fail(err, "look at IPv4 settings of link %d", index)
	}
	return conf, nil
}

// readIPv4Conf fills conf from a link's attributes, where the settings are an array that begins with number 1.
func readIPv4Conf(b []byte, conf map[int]int) {
	for kind, spec := range attrs(b) {
		if kind != unix.IFLA_AF_SPEC {
			continue
		}
		for family, inet := range attrs(spec) {
			if family != unix.AF_INET {
				continue
			}
			for kind, values := range attrs(inet) {
				for i := 0; kind == unix.IFLA_INET_CONF && i+4 <= len(values); i += 4 {
					conf[i/4+1] = int(int32(binary.NativeEndian.Uint32(values[i:])))
				}
			}
		}
	}
}
