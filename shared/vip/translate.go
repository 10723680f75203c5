package vip

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// routerKey names a router of a plan for as long as its addresses may stay where they are: from one child, and one
// configuration, to the next.
type routerKey struct {
	vip    string
	iface  string
	vrid   int
	family int // 4 or 6
}

// identity is what a plan says of this node beside the configuration.
type identity struct {
	id      uint64   // of the plan
	sender  uint64   // senderOf the node
	epoch   uint64   // greater than in any earlier life
	secrets [][]byte // the fleet's for adverts; none without a fleet secret
}

// senderOf makes a node's name the number that its authenticated adverts bear.
func senderOf(node string) uint64 {
	sum := sha256.Sum256([]byte("everup/vrrp/" + node))
	return binary.BigEndian.Uint64(sum[:])
}

// plan makes of the configuration what the child is to hold. adopt names the routers that an earlier child left Active. It
// is pure, and the same for the same arguments.
func (c Config) plan(who identity, leftovers []wire.Place, adopt map[routerKey]bool) *wire.Plan {
	p := &wire.Plan{ID: who.id, Sender: who.sender, Epoch: who.epoch}
	authenticated := false
	for _, name := range c.groupNames() {
		g := wire.Group{Name: name}
		for _, member := range c.members(name) {
			for _, r := range c[conf.Name(member)].routers(member, len(who.secrets) > 0) {
				r.Adopt = adopt[keyOf(&r)]
				authenticated = authenticated || r.Authenticate
				g.Routers = append(g.Routers, r)
			}
			g.Links = c[conf.Name(member)].links(g.Links)
			p.Lifeline = c[conf.Name(member)].Lifeline.Std()
		}
		p.Groups = append(p.Groups, g)
	}
	if authenticated {
		p.Secrets = who.secrets
	}
	mine := setOf(placesOf(p))
	for _, place := range leftovers {
		if !mine[place] {
			p.Leftovers = append(p.Leftovers, place)
		}
	}
	return p
}

// groupNames returns the names of all groups, sorted; a VIP without one is a group of its own name.
func (c Config) groupNames() []string {
	seen := map[string]bool{}
	for name, v := range c {
		seen[string(v.group(name))] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// members returns the names of the VIPs of a group, sorted.
func (c Config) members(group string) (out []string) {
	for name, v := range c {
		if string(v.group(name)) == group {
			out = append(out, string(name))
		}
	}
	slices.Sort(out)
	return out
}

// routers returns the virtual routers of the VIP called name, one for each family; secrets says whether the fleet has any.
func (v *VIP) routers(name string, secrets bool) (out []wire.Router) {
	four, six := v.families()
	for _, addresses := range [][]netip.Prefix{four, six} {
		if len(addresses) == 0 {
			continue
		}
		is4 := addresses[0].Addr().Is4()
		r := wire.Router{
			Vip: name, Interface: v.Interface, Addresses: addresses, Config: v.machine(),
			Peers: ofFamily(is4, v.Peers), Checksum: v.checksum(is4), VMAC: v.VMAC,
		}
		if v.Source.IsValid() && v.Source.Is4() == is4 {
			r.Source = v.Source
		}
		if v.MinTTL < 255 {
			r.MinTTL = uint8(v.MinTTL)
		}
		r.Authenticate = len(r.Peers) > 0 && (v.Auth == "fleet" || v.Auth == "auto" && secrets)
		out = append(out, r)
	}
	return out
}

// machine returns the configuration of v's machines, without what the child fills in.
func (v *VIP) machine() vrrp.Config {
	c := vrrp.Config{
		Version: vrrp.Version(v.Version), VRID: vrrp.VRID(v.VRID), Priority: vrrp.Priority(v.Priority),
		Interval: v.Interval.Std(), Preempt: v.Preempt, PreemptDelay: v.PreemptDelay.Std(), StartDelay: v.StartDelay.Std(),
		Accept: v.Accept,
		Announce: vrrp.Announce{
			Rounds: v.Announce.Rounds, Gap: v.Announce.Gap.Std(), Again: v.Announce.Again.Std(), Refresh: v.Announce.Refresh.Std(),
		},
	}
	if v.Password != "" {
		c.AuthType = vrrp.AuthText
		copy(c.Auth[:], v.Password.Reveal())
	}
	return c
}

func (v *VIP) checksum(is4 bool) vrrp.Checksum {
	switch {
	case !is4 || v.Version == 2:
		return vrrp.ChecksumFixed
	case v.Checksum == "rfc9568":
		return vrrp.ChecksumMessage
	case v.Checksum == "pseudo":
		return vrrp.ChecksumPseudo
	}
	return vrrp.ChecksumFixed // learn
}

// links adds the interfaces that v tracks; what is tracked twice alike counts once.
func (v *VIP) links(out []wire.LinkTrack) []wire.LinkTrack {
	for _, t := range v.Track {
		l := wire.LinkTrack{Interface: t.Interface, Weight: t.Weight}
		if t.Interface != "" && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

func ofFamily(is4 bool, all []netip.Addr) (out []netip.Addr) {
	for _, a := range all {
		if a.Is4() == is4 {
			out = append(out, a)
		}
	}
	return out
}

func keyOf(r *wire.Router) routerKey {
	return routerKey{r.Vip, r.Interface, int(r.Config.VRID), familyOf(r.Addresses[0].Addr())}
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

// placesOf returns where a plan may add addresses.
func placesOf(p *wire.Plan) (out []wire.Place) {
	for _, g := range p.Groups {
		for _, r := range g.Routers {
			for _, a := range r.Addresses {
				out = append(out, wire.Place{Interface: r.Interface, Prefix: a})
			}
		}
	}
	return out
}
