package vrrp

import (
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// ConflictKind is in what a peer's configuration and ours contradict each other.
type ConflictKind uint8

// The conflicts.
const (
	ConflictInterval  ConflictKind = iota // another interval: V2 takes none of the peer's adverts, V3 learns it
	ConflictAddresses                     // another list of addresses
	ConflictOwner                         // both have priority 255
	ConflictVersion                       // the other version: its adverts are not taken
	ConflictPassword                      // V2: another authentication: its adverts are not taken
	ConflictReflected                     // adverts from our own primary address: a loop, or an address given twice
	ConflictVRID                          // a VRID that is not ours, from a peer that is to speak to this one only

	conflictKinds
)

var conflictNames = [conflictKinds]string{"interval", "addresses", "owner", "version", "password", "reflected", "vrid"}

// String returns the name of the conflict, as a health item's id may have it.
func (k ConflictKind) String() string {
	if k < conflictKinds {
		return conflictNames[k]
	}
	return "conflict_" + strconv.Itoa(int(k))
}

// Conflict is a contradiction with a peer, named with both sides. Of each kind one is kept, that of the first peer that
// showed it, so that two peers do not take turns; it is gone when that peer no longer does, or is not heard for a minute.
type Conflict struct {
	Kind ConflictKind
	Peer netip.Addr
	// Theirs and Ours are the intervals, versions, VRIDs or numbers of addresses; without meaning for other kinds.
	// Intervals are time.Duration.
	Theirs, Ours int64
}

// conflictTTL is how long a conflict is kept of a peer that is silent.
const conflictTTL = time.Minute

// conflicts is what contradictions are known.
type conflicts struct {
	known [conflictKinds]Conflict // Peer is not valid: none
	seen  [conflictKinds]time.Duration
}

// note takes in whether a peer shows a conflict at the time now.
func (c *conflicts) note(now time.Duration, shown bool, k Conflict, out []Effect) []Effect {
	known := &c.known[k.Kind]
	switch {
	case known.Peer.IsValid() && known.Peer != k.Peer:
	case shown:
		c.seen[k.Kind] = now
		if *known != k {
			*known = k
			out = append(out, Effect{Kind: TellConflict, Conflict: k})
		}
	case known.Peer.IsValid():
		out = c.forget(k.Kind, out)
	}
	return out
}

func (c *conflicts) forget(k ConflictKind, out []Effect) []Effect {
	gone := c.known[k]
	c.known[k] = Conflict{}
	return append(out, Effect{Kind: TellConflict, Gone: true, Conflict: gone})
}

// next is when the first conflict is forgotten.
func (c *conflicts) next() time.Duration {
	at := Never
	for k := range c.known {
		if c.known[k].Peer.IsValid() {
			at = min(at, c.seen[k]+conflictTTL)
		}
	}
	return at
}

// expire forgets the conflicts of peers that are silent.
func (c *conflicts) expire(now time.Duration, out []Effect) []Effect {
	for k := range c.known {
		if c.known[k].Peer.IsValid() && now >= c.seen[k]+conflictTTL {
			out = c.forget(ConflictKind(k), out)
		}
	}
	return out
}

// examine looks for contradictions in an advert that is not our own reflection.
func (m *Machine) examine(ad *Advert, out []Effect) []Effect {
	note := func(shown bool, kind ConflictKind, theirs, ours int64) {
		out = m.conflicts.note(m.now, shown, Conflict{kind, ad.Src, theirs, ours}, out)
	}
	note(ad.VRID != m.cfg.VRID, ConflictVRID, int64(ad.VRID), int64(m.cfg.VRID))
	if ad.VRID != m.cfg.VRID {
		return out
	}
	note(ad.Version != m.cfg.Version, ConflictVersion, int64(ad.Version), int64(m.cfg.Version))
	if ad.Version != m.cfg.Version {
		return out
	}
	other := ad.AuthType != m.cfg.AuthType || ad.Auth != m.cfg.Auth
	note(other, ConflictPassword, 0, 0)
	if other {
		return out
	}
	note(ad.Interval != m.cfg.Interval, ConflictInterval, int64(ad.Interval), int64(m.cfg.Interval))
	note(!sameAddrs(ad.Addrs, m.cfg.Addrs), ConflictAddresses, int64(len(ad.Addrs)), int64(len(m.cfg.Addrs)))
	if ad.Priority != PriorityStop {
		note(ad.Priority == PriorityOwner && m.priority == PriorityOwner, ConflictOwner, 0, 0)
	}
	return out
}

// sameAddrs reports whether two lists hold the same addresses. Most often their order is the same too; if it is not,
// the time is bounded by the square of MaxAddrs.
func sameAddrs(a, b []netip.Addr) bool {
	if slices.Equal(a, b) {
		return true
	}
	return len(a) == len(b) && contains(a, b) && contains(b, a)
}

func contains(all, some []netip.Addr) bool {
	for _, a := range some {
		if !slices.Contains(all, a) {
			return false
		}
	}
	return true
}
