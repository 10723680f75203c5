package holder

import (
	"fmt"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/vip/internal/trailer"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

var errClosed = fault.New(fault.Unavailable, "vip: there is no socket")

// tellOf tells of a router. A Snapshot follows.
func (h *holder) tellOf(r *router, t wire.Tell) {
	t.Group, t.Vip, t.Family = r.group.name, r.spec.Vip, r.family()
	h.tell(t)
}

func (h *holder) tell(t wire.Tell) {
	t.At = h.wall()
	h.changed = true
	h.daemon.Tell(&wire.Message{Tell: &t})
}

// sentence says a conflict with both sides.
func sentence(c *vrrp.Conflict) string {
	switch c.Kind {
	case vrrp.ConflictInterval:
		return fmt.Sprintf("%v sends adverts each %v, this host each %v", c.Peer, time.Duration(c.Theirs), time.Duration(c.Ours))
	case vrrp.ConflictAddresses:
		return fmt.Sprintf("%v has other addresses: %d, this host %d", c.Peer, c.Theirs, c.Ours)
	case vrrp.ConflictOwner:
		return fmt.Sprintf("%v and this host both have priority 255", c.Peer)
	case vrrp.ConflictVersion:
		return fmt.Sprintf("%v speaks version %d, this host version %d", c.Peer, c.Theirs, c.Ours)
	case vrrp.ConflictPassword:
		return fmt.Sprintf("%v has another password than this host, or only one of both has one", c.Peer)
	case vrrp.ConflictReflected:
		return fmt.Sprintf("adverts come from this host's own address %v: the link loops, or another host has the address", c.Peer)
	case vrrp.ConflictVRID:
		return fmt.Sprintf("%v has VRID %d, this host VRID %d", c.Peer, c.Theirs, c.Ours)
	}
	return fmt.Sprintf("%v: %v", c.Kind, c.Peer)
}

// snapshot sends the whole state.
func (h *holder) snapshot(now time.Duration) {
	s := &wire.Snapshot{Plan: h.plan, At: h.wall(), Lost: h.daemon.Lost(), Groups: make([]wire.GroupStatus, len(h.groups))}
	for i, g := range h.groups {
		s.Groups[i] = wire.GroupStatus{Name: g.name, Released: g.released, Faults: g.faults, Routers: make([]wire.RouterStatus, len(g.routers))}
		for k, r := range g.routers {
			s.Groups[i].Routers[k] = r.status(now, s.At)
		}
	}
	h.daemon.Answer(&wire.Message{Snapshot: s})
}

func (r *router) status(now time.Duration, wall time.Time) wire.RouterStatus {
	st := r.m.Status()
	out := wire.RouterStatus{
		Vip: r.spec.Vip, Interface: r.spec.Interface, Family: r.family(), VRID: int(r.spec.Config.VRID), Version: int(r.spec.Config.Version),
		Addresses: r.spec.Addresses, State: st.State.String(), Cause: st.Cause.String(), Since: wall.Add(st.Since - now),
		Priority: int(st.Priority), Base: int(r.spec.Config.Priority), Source: r.primary, Interval: st.AdvInt, Down: st.Down,
		Leaving: st.Leaving, Held: st.Held, Holder: st.Holder, HolderPri: int(st.HolderPri),
		Conflicts: r.conflicts(), Counters: r.count.wire(),
	}
	if heard := r.heard(); heard != vrrp.ChecksumFixed {
		out.Checksum = heard.String()
	}
	return out
}

// heard returns the form of the checksum last heard, of the first peer that was.
func (r *router) heard() vrrp.Checksum {
	heard := r.habit.Heard()
	for i := range r.peers {
		if heard == vrrp.ChecksumFixed {
			heard = r.peers[i].habit.Heard()
		}
	}
	return heard
}

func (r *router) conflicts() []string {
	var out []string
	for _, c := range r.m.Conflicts(nil) {
		out = append(out, sentence(&c))
	}
	if r.hostile.kind != "" {
		out = append(out, r.hostile.detail)
	}
	return out
}

// wire returns the counters as they are told. Reasons and verdicts of one name are one.
func (c *counters) wire() wire.Counters {
	out := wire.Counters{
		Sent: c.sent, SendFailed: c.sendFailed, Received: c.received, Announced: c.announced,
		Activations: c.activations, Reasserted: c.reasserted, Readded: c.readded, Late: c.late,
		Dropped: map[string]uint64{},
	}
	note := func(name string, n uint64) {
		if n > 0 {
			out.Dropped[name] += n
		}
	}
	for r, n := range c.dropped {
		note(vrrp.Reason(r).String(), n)
	}
	for v, n := range c.unauthentic {
		if trailer.Verdict(v) != trailer.Accepted {
			note(trailer.Verdict(v).String(), n)
		}
	}
	note("peer", c.strangers)
	note("destination", c.misdirected)
	return out
}
