package nl

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// Values of linux/if_link.h.
const (
	macvlanModePrivate = 1 // MACVLAN_MODE_PRIVATE
	addrGenModeNone    = 1 // IN6_ADDR_GEN_MODE_NONE
)

// Macvlan is a link with a MAC address of its own on another link.
type Macvlan struct {
	Name   string // 1 to 15 bytes without space, "/" and ":"
	Parent int    // index
	MAC    MAC
}

// check refuses what would make another link than the one asked for.
func (m *Macvlan) check() error {
	if err := checkIndex(m.Parent); err != nil {
		return err
	}
	if m.Name == "" || len(m.Name) >= unix.IFNAMSIZ || strings.ContainsAny(m.Name, "\x00/: \t\n%") {
		return fault.New(fault.Invalid, "nl: %q is no name for a link", m.Name)
	}
	if m.MAC == (MAC{}) || m.MAC[0]&1 != 0 {
		return fault.New(fault.Invalid, "nl: %s is no MAC address for link %s", m.MAC, m.Name)
	}
	return nil
}

// AddMacvlan makes a macvlan as a virtual router's MAC address needs it: in private mode, so that it does not hear this host's
// other macvlans; down; without an IPv6 link-local address of its own (and so without router solicitations once it is up);
// answering ARP for its own addresses alone, on whatever way packets to the asker leave (ARPIgnore 1, ARPFilter 0), and
// taking packets that come in by it although their sources are reached by the parent (RPFilter 0, AcceptLocal 1). A
// net.ipv4.conf.all.rp_filter of 1 outweighs the link's 0.
//
// A link of the name that exists is fault.Conflict. After another error nothing is left behind.
func (c *Conn) AddMacvlan(m Macvlan) (Link, error) {
	if err := m.check(); err != nil {
		return Link{}, err
	}
	if err := c.createMacvlan(&m); err != nil {
		return Link{}, fail(err, "add macvlan %s on link %d", m.Name, m.Parent)
	}
	l, err := c.Link(m.Name)
	if err != nil {
		return Link{}, err
	}
	if err := c.quiet(l.Index); err != nil {
		return Link{}, errors.Join(fail(err, "set up macvlan %s", m.Name), c.RemoveLink(l.Index))
	}
	return l, nil
}

func (c *Conn) createMacvlan(m *Macvlan) error {
	r := c.begin(unix.RTM_NEWLINK, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	r.link(0, 0, 0)
	r.attrText(unix.IFLA_IFNAME, m.Name)
	r.attr32(unix.IFLA_LINK, uint32(m.Parent))
	r.attr(unix.IFLA_ADDRESS, m.MAC[:])
	info := r.nest(unix.IFLA_LINKINFO)
	r.attrText(unix.IFLA_INFO_KIND, "macvlan")
	data := r.nest(unix.IFLA_INFO_DATA)
	r.attr32(unix.IFLA_MACVLAN_MODE, macvlanModePrivate)
	r.close(data)
	r.close(info)
	return c.do(r, nil)
}

// quiet sets the settings of a macvlan. The kernel does not take them with the request that makes a link, so it is made
// down. Where IPv6 is switched off, its part is left out.
func (c *Conn) quiet(index int) error {
	err := c.macvlanConf(index, true)
	if among(err, unix.EAFNOSUPPORT) {
		err = c.macvlanConf(index, false)
	}
	return err
}

func (c *Conn) macvlanConf(index int, six bool) error {
	r := c.begin(unix.RTM_SETLINK, unix.NLM_F_ACK)
	r.link(index, 0, 0)
	spec := r.nest(unix.IFLA_AF_SPEC)
	if err := r.ipv4Conf(map[int]int{ARPIgnore: 1, ARPFilter: 0, AcceptLocal: 1, RPFilter: 0}); err != nil {
		return err
	}
	if six {
		family := r.nest(unix.AF_INET6)
		r.attr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{addrGenModeNone})
		r.close(family)
	}
	r.close(spec)
	return c.do(r, nil)
}
