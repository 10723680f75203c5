package holder

import (
	"net/netip"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// difference is what a plan changes.
type difference struct {
	groups []groupDifference // in the plan's order
	ended  []*router         // no longer planned
}

// groupDifference is a planned group.
type groupDifference struct {
	spec wire.Group
	// kept are the routers that run already, in the order of spec.Routers; nil: one is to be made.
	kept []*router
	// from is the group that goes on in this one, of the same name or else that of the first router kept; nil: none.
	from *group
	// same: it has the same routers in the same order as from.
	same bool
}

// diff compares a plan with the groups that run.
func diff(old []*group, plan []wire.Group) difference {
	running := map[routerKey]*router{}
	for _, g := range old {
		for _, r := range g.routers {
			running[keyOf(&r.spec)] = r
		}
	}
	var d difference
	for _, spec := range plan {
		gd := groupDifference{spec: spec, kept: make([]*router, len(spec.Routers))}
		for i := range spec.Routers {
			key := keyOf(&spec.Routers[i])
			gd.kept[i] = running[key]
			delete(running, key)
		}
		gd.from, gd.same = origin(old, &gd)
		d.groups = append(d.groups, gd)
	}
	for _, g := range old {
		for _, r := range g.routers {
			if running[keyOf(&r.spec)] != nil {
				d.ended = append(d.ended, r)
			}
		}
	}
	return d
}

// origin finds the group that goes on in a planned one.
func origin(old []*group, gd *groupDifference) (from *group, same bool) {
	for _, r := range gd.kept {
		if r != nil && from == nil {
			from = r.group
		}
	}
	for _, g := range old {
		if g.name == gd.spec.Name {
			from = g
		}
	}
	if from == nil || len(from.routers) != len(gd.kept) {
		return from, false
	}
	for i, r := range gd.kept {
		if r != from.routers[i] {
			return from, false
		}
	}
	return from, true
}

// check says why a plan cannot be taken: fault.Invalid. Package wire has held its bounds.
func check(p *wire.Plan) error {
	names := map[string]bool{}
	keys := map[routerKey]bool{}
	for _, g := range p.Groups {
		if names[g.Name] {
			return fault.New(fault.Invalid, "vip: plan %d has group %s twice", p.ID, g.Name)
		}
		names[g.Name] = true
		for i := range g.Routers {
			s := &g.Routers[i]
			if err := checkRouter(s, len(p.Secrets) > 0); err != nil {
				return fault.Wrap(fault.Invalid, err, "vip: plan %d: %s", p.ID, s.Vip)
			}
			key := keyOf(s)
			key.version, key.vmac = 0, false // on one link a VRID is one router's
			if keys[key] {
				return fault.New(fault.Invalid, "vip: plan %d: %s: VRID %d of %s is another router's too", p.ID, s.Vip, s.Config.VRID, s.Interface)
			}
			keys[key] = true
		}
	}
	return nil
}

func checkRouter(s *wire.Router, secret bool) error {
	switch {
	case s.Interface == "":
		return fault.New(fault.Invalid, "no interface")
	case s.Authenticate && (len(s.Peers) == 0 || !secret):
		return fault.New(fault.Invalid, "adverts are authenticated by unicast and with a secret only")
	case s.Source.IsValid() && (s.Source.Is4() != isFour(s) || s.Source.Zone() != ""):
		return fault.New(fault.Invalid, "source %v is not of the addresses' family", s.Source)
	}
	for _, p := range s.Addresses {
		if !p.IsValid() {
			return fault.New(fault.Invalid, "an address without a length")
		}
	}
	for _, a := range s.Peers {
		if !plainUnicast(a) || a.Is4() != isFour(s) {
			return fault.New(fault.Invalid, "peer %v is no address of the family", a)
		}
	}
	r := router{spec: *s, four: isFour(s), primary: s.Source, priority: s.Config.Priority}
	cfg := r.config()
	return cfg.Check()
}

func plainUnicast(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsMulticast() && !a.IsUnspecified()
}
