package nl

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// skipStats is RTEXT_FILTER_SKIP_STATS: answers without the counters, which are most of them.
const skipStats = 1 << 3

// Operational states of RFC 2863 (linux/if.h).
const (
	operTesting = 4
	operDormant = 5
)

// Link is a network interface.
type Link struct {
	Index int    // from 1
	Name  string // up to 15 bytes
	Kind  string // "macvlan", "vlan", "bond", "bridge", "veth" …; "" for hardware
	// Parent is the index of the link that this one stands on, as a macvlan and a VLAN do; 0 if there is none, or if it is in
	// another namespace. The other end of a cable (veth) is no parent: to follow parents ends.
	Parent int
	MAC    MAC // zero if the link has none, or not one of 6 bytes
	MTU    int
	Up     bool // somebody has set it up
	// Carrier says that the link is up and frames can pass: IFF_LOWER_UP, and neither dormant (as a port that waits for
	// 802.1X) nor under test. IFF_LOWER_UP is the driver's own bit. The operational state, and IFF_RUNNING with it, is worked
	// out of it by the kernel's queue of such work, up to a second later if links change often. The events come from that
	// queue too, and so does the carrier of a macvlan: to know soonest, look at the parent.
	Carrier  bool
	Loopback bool
}

// parseLink reads the body of a RTM_NEWLINK or RTM_DELLINK. False if it is not of a link as such: what bridges tell of their
// ports (AF_BRIDGE) has the same types, and a DELLINK of them says that a link has left the bridge.
func parseLink(b []byte) (Link, bool) {
	if len(b) < linkLen || b[0] != unix.AF_UNSPEC {
		return Link{}, false
	}
	const passing = unix.IFF_UP | unix.IFF_LOWER_UP
	flags := binary.NativeEndian.Uint32(b[8:])
	l := Link{
		Index:    int(int32(binary.NativeEndian.Uint32(b[4:]))),
		Up:       flags&unix.IFF_UP != 0,
		Carrier:  flags&(passing|unix.IFF_DORMANT) == passing,
		Loopback: flags&unix.IFF_LOOPBACK != 0,
	}
	elsewhere := false
	for kind, value := range attrs(b[linkLen:]) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = text(value)
		case unix.IFLA_MTU:
			l.MTU = int(int32(number(value)))
		case unix.IFLA_LINK:
			l.Parent = int(int32(number(value)))
		case unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case unix.IFLA_ADDRESS:
			if len(value) == len(l.MAC) {
				l.MAC = MAC(value)
			}
		case unix.IFLA_OPERSTATE:
			if len(value) == 1 && (value[0] == operDormant || value[0] == operTesting) {
				l.Carrier = false
			}
		case unix.IFLA_LINKINFO:
			l.Kind = linkKind(value)
		}
	}
	if elsewhere || l.Kind == "veth" || l.Kind == "netkit" {
		l.Parent = 0
	}
	return l, l.Index > 0
}

func linkKind(info []byte) string {
	for kind, value := range attrs(info) {
		if kind == unix.IFLA_INFO_KIND {
			return text(value)
		}
	}
	return ""
}

// Link returns the link of a name or alternative name: fault.NotFound if there is none.
func (c *Conn) Link(name string) (Link, error) {
	if name == "" || len(name) > 127 || strings.ContainsRune(name, 0) {
		return Link{}, fault.New(fault.Invalid, "nl: %q is no name of a link", name)
	}
	l, err := c.link(0, name)
	if err != nil {
		return Link{}, fail(err, "look at link %s", name)
	}
	return l, nil
}

// LinkByIndex returns the link of an index: fault.NotFound if there is none.
func (c *Conn) LinkByIndex(index int) (Link, error) {
	if err := checkIndex(index); err != nil {
		return Link{}, err
	}
	l, err := c.link(index, "")
	if err != nil {
		return Link{}, fail(err, "look at link %d", index)
	}
	return l, nil
}

// checkIndex refuses what the kernel would not take as one link.
func checkIndex(index int) error {
	if index <= 0 || index > 1<<31-1 {
		return fault.New(fault.Invalid, "nl: %d is no index of a link", index)
	}
	return nil
}

// link asks for one link, by its name if index is 0.
func (c *Conn) link(index int, name string) (l Link, err error) {
	found := false
	err = c.do(c.getLink(index, name), func(m message) {
		if m.kind == unix.RTM_NEWLINK {
			l, found = parseLink(m.body)
		}
	})
	if err == nil && !found {
		err = unix.ENODEV
	}
	return l, err
}

func (c *Conn) getLink(index int, name string) *request {
	r := c.begin(unix.RTM_GETLINK, 0)
	r.link(index, 0, 0)
	switch {
	case name == "":
	case len(name) < unix.IFNAMSIZ:
		r.attrText(unix.IFLA_IFNAME, name) // finds alternative names too
	default:
		r.attrText(unix.IFLA_ALT_IFNAME, name)
	}
	r.attr32(unix.IFLA_EXT_MASK, skipStats)
	return r
}

// Links returns all links in the order of their index.
func (c *Conn) Links() ([]Link, error) {
	var out []Link
	err := c.list(unix.RTM_GETLINK, func(r *request) {
		r.link(0, 0, 0)
		r.attr32(unix.IFLA_EXT_MASK, skipStats)
	}, func() { out = out[:0] }, func(m message) {
		if l, ok := parseLink(m.body); ok && m.kind == unix.RTM_NEWLINK {
			out = append(out, l)
		}
	})
	if err != nil {
		return nil, fail(err, "list links")
	}
	return out, nil
}

// SetUp sets a link up or down. That a link goes down takes its IPv6 addresses and all its routes away.
func (c *Conn) SetUp(index int, up bool) error {
	if err := checkIndex(index); err != nil {
		return err
	}
	word, flags := "down", uint32(0)
	if up {
		word, flags = "up", unix.IFF_UP
	}
	r := c.begin(unix.RTM_SETLINK, unix.NLM_F_ACK)
	r.link(index, flags, unix.IFF_UP)
	return fail(c.do(r, nil), "set link %d %s", index, word)
}

// RemoveLink removes a link that was made by software. One that is gone already is no error.
func (c *Conn) RemoveLink(index int) error {
	if err := checkIndex(index); err != nil {
		return err
	}
	r := c.begin(unix.RTM_DELLINK, unix.NLM_F_ACK)
	r.link(index, 0, 0)
	err := c.do(r, nil)
	if among(err, unix.ENODEV) {
		return nil
	}
	return fail(err, "remove link %d", index)
}
