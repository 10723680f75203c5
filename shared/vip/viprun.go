package vip

import (
	"net/netip"
	"slices"
	"time"

	"github.com/everup/everup/shared/vip/internal/track"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// State is how a VIP stands on this host. Its routers, one for each family, change one after the other: a VIP is active
// when all are.
type State string

// The states.
const (
	Unknown State = ""       // not known yet
	Active  State = "active" // this host has the addresses
	Backup  State = "backup" // another has them, or shall
	Fault   State = "fault"  // this host takes no part: at fault, released or leaving
)

// The child's words for the states of a router (vrrp.State) and for a start (vrrp.Cause).
const (
	stateActive     = "Active"
	stateInitialize = "Initialize"
	causeStartup    = "startup"
)

// settleIn is how long a new child may be in Initialize without that saying anything.
const settleIn = time.Second

// change is a VIP's step from one state to another.
type change struct {
	at       time.Time
	from, to State
	cause    string // vrrp.Cause's name
	peer     netip.Addr
}

// routerRun is what is known of a router.
type routerRun struct {
	iface    string
	vrid     int
	state    string
	told     bool // by the present child
	leaving  bool
	down     time.Duration
	priority int
}

// vipRun is what is known of a VIP. It is pure: what it is told is all it knows. The Manager's mu guards it.
type vipRun struct {
	state   State
	cause   string
	since   time.Time
	routers map[int]*routerRun // by family

	released  bool
	faults    []string
	conflicts []string
	failing   map[int]string // by family: what the system refuses
	readded   string         // the last address that something else had removed
	readdedAt time.Time      // when; zero: none, or long ago
}

func newVIPRun() *vipRun {
	return &vipRun{routers: map[int]*routerRun{}, failing: map[int]string{}}
}

// newChild forgets what an earlier child has told of itself. The states stay, until the new one says another.
func (v *vipRun) newChild() {
	v.conflicts = nil
	clear(v.failing)
	for _, r := range v.routers {
		r.told, r.leaving = false, false
	}
}

func (v *vipRun) router(family int) *routerRun {
	r := v.routers[family]
	if r == nil {
		r = &routerRun{}
		v.routers[family] = r
	}
	return r
}

// onState takes what a router has told. families is how many the VIP has.
func (v *vipRun) onState(t *wire.Tell, families int) (c change, changed bool) {
	r := v.router(t.Family)
	r.state, r.told = t.State, true
	return v.settle(families, change{at: t.At, cause: t.Cause, peer: t.Peer})
}

// onStatus takes a VIP's part of a snapshot: all its routers and their group. young: the child has just begun.
func (v *vipRun) onStatus(at time.Time, g *wire.GroupStatus, routers []*wire.RouterStatus, young bool) (c change, changed bool) {
	v.released, v.faults, v.conflicts = g.Released, nil, nil
	for _, f := range g.Faults {
		if f != track.Starting {
			v.faults = append(v.faults, f)
		}
	}
	c = change{at: at}
	for _, s := range routers {
		r := v.router(s.Family)
		r.iface, r.vrid, r.leaving, r.down, r.priority = s.Interface, s.VRID, s.Leaving, s.Down, s.Priority
		for _, text := range s.Conflicts {
			if !slices.Contains(v.conflicts, text) {
				v.conflicts = append(v.conflicts, text)
			}
		}
		if s.State == stateInitialize && s.Cause == causeStartup && (young || len(v.faults) == 0 && !v.released) {
			continue // it has not been told to begin yet
		}
		r.told = true
		if r.state != s.State {
			r.state = s.State
			c.at, c.cause, c.peer = s.Since, s.Cause, s.Holder
		}
	}
	return v.settle(len(routers), c)
}

// settle makes the VIP's state of its routers'.
func (v *vipRun) settle(families int, c change) (change, bool) {
	to := v.sum(families)
	if to == Unknown || to == v.state {
		return c, false
	}
	c.from, c.to = v.state, to
	v.state, v.cause, v.since = to, c.cause, c.at
	return c, true
}

func (v *vipRun) sum(families int) State {
	known, active, out := 0, 0, false
	for _, r := range v.routers {
		if r.state == "" {
			continue
		}
		known++
		if r.state == stateActive {
			active++
		}
		out = out || r.state == stateInitialize
	}
	switch {
	case known < families || known == 0:
		return Unknown
	case out:
		return Fault
	case active == known:
		return Active
	}
	return Backup
}

// keepFamilies forgets the routers of families that the VIP no longer has.
func (v *vipRun) keepFamilies(four, six bool) {
	if !four {
		delete(v.routers, 4)
		delete(v.failing, 4)
	}
	if !six {
		delete(v.routers, 6)
		delete(v.failing, 6)
	}
}

// priority returns the priority of the VIP's routers: the least, for they are held together.
func (v *vipRun) priority() int {
	least := 0
	for _, r := range v.routers {
		if least == 0 || r.priority < least {
			least = r.priority
		}
	}
	return least
}
