package vip

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// Status is the answer of GET /v1/vips, and a part of a daemon's status.
type Status struct {
	Process Process     `json:"process"`
	VIPs    []VIPStatus `json:"vips"`              // by name
	Summary []Line      `json:"summary,omitempty"` // for people; a daemon adds it to its own
}

// Line is a fact for people.
type Line struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Process is what is known of the VRRP process.
type Process struct {
	Running  bool      `json:"running"`
	PID      int       `json:"pid,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Realtime bool      `json:"realtime"`
	Locked   bool      `json:"locked"`            // memory
	Missing  []string  `json:"missing,omitempty"` // capabilities
	Error    string    `json:"error,omitempty"`   // why it does not run, or may not do its work
	Restarts uint64    `json:"restarts"`
	Lost     uint64    `json:"lost"` // messages that the daemon did not take in time
}

// VIPStatus is how a VIP stands on this host.
type VIPStatus struct {
	Name      string         `json:"name"`
	Group     string         `json:"group"`
	State     State          `json:"state"`
	Cause     string         `json:"cause,omitempty"` // of the state
	Since     time.Time      `json:"since,omitzero"`
	Interface string         `json:"interface"`
	VRID      int            `json:"vrid"`
	Addresses []netip.Prefix `json:"addresses"`
	Priority  int            `json:"priority"` // as it is advertised, or would be
	Base      int            `json:"base"`     // as configured
	Holder    string         `json:"holder,omitempty"`
	Released  *Release       `json:"released,omitempty"` // by hand: it takes no part
	Faults    []string       `json:"faults,omitempty"`
	Conflicts []string       `json:"conflicts,omitempty"`
	Routers   []Router       `json:"routers,omitempty"` // as the VRRP process last told
}

// Router is a virtual router of a VIP: its addresses of one family.
type Router struct {
	Family    int           `json:"family"` // 4 or 6
	Version   int           `json:"version"`
	State     string        `json:"state"` // Initialize, Backup, Active
	Cause     string        `json:"cause"`
	Since     time.Time     `json:"since"`
	Priority  int           `json:"priority"`
	Source    netip.Addr    `json:"source,omitzero"`
	Interval  conf.Duration `json:"interval"` // between adverts; a Backup's is the holder's
	Down      conf.Duration `json:"down"`     // silence after which the holder is replaced
	Leaving   bool          `json:"leaving,omitempty"`
	Held      bool          `json:"held,omitempty"` // after a switch-over: it does not take the addresses back
	Holder    netip.Addr    `json:"holder,omitzero"`
	HolderPri int           `json:"holder_priority,omitempty"`
	Checksum  string        `json:"checksum,omitempty"`

	Sent      uint64            `json:"adverts_sent"`
	Received  uint64            `json:"adverts_received"`
	Dropped   map[string]uint64 `json:"adverts_dropped,omitempty"` // by reason
	Announced uint64            `json:"announcements"`
	Late      uint64            `json:"late"`
}

// Status returns what is known. It does not block.
func (m *Manager) Status() Status {
	released := m.keeper.released()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{Process: m.processLocked(), VIPs: []VIPStatus{}}
	for _, name := range slices.Sorted(maps.Keys(m.cfg)) {
		s.VIPs = append(s.VIPs, m.vipLocked(string(name), released))
	}
	s.Summary = s.lines()
	return s
}

func (m *Manager) processLocked() Process {
	p := Process{Restarts: m.restarts}
	if m.proc == nil {
		if m.lastErr != nil {
			p.Error = m.lastErr.Error()
		}
		return p
	}
	p.Running, p.PID, p.Since = true, m.proc.PID(), m.startedAt
	if h := m.hello; h != nil {
		p.Realtime, p.Locked, p.Missing, p.Error = h.Realtime, h.Locked, h.Missing, h.Error
	}
	if m.snap != nil {
		p.Lost = m.snap.Lost
	}
	return p
}

func (m *Manager) vipLocked(name string, released map[string]Release) VIPStatus {
	cfg, v := m.cfg[conf.Name(name)], m.vips[name]
	four, six := cfg.families()
	s := VIPStatus{
		Name: name, Group: string(cfg.group(conf.Name(name))), State: v.state, Cause: v.cause, Since: v.since,
		Interface: cfg.Interface, VRID: cfg.VRID, Addresses: append(four, six...), Priority: v.priority(), Base: cfg.Priority,
		Faults: slices.Clone(v.faults), Conflicts: slices.Clone(v.conflicts),
	}
	for _, member := range m.cfg.members(s.Group) {
		if r, is := released[member]; is {
			s.Released = &r
			break
		}
	}
	for _, r := range m.routersLocked(name) {
		if s.Routers = append(s.Routers, routerOf(r)); r.Holder.IsValid() && s.Holder == "" {
			s.Holder = r.Holder.String()
		}
	}
	return s
}

// routersLocked returns a VIP's routers as the child last told of them.
func (m *Manager) routersLocked(name string) (out []*wire.RouterStatus) {
	if m.snap == nil {
		return nil
	}
	for i := range m.snap.Groups {
		out = append(out, byVIP(&m.snap.Groups[i])[name]...)
	}
	return out
}

func routerOf(r *wire.RouterStatus) Router {
	return Router{
		Family: r.Family, Version: r.Version, State: r.State, Cause: r.Cause, Since: r.Since, Priority: r.Priority, Source: r.Source,
		Interval: conf.Duration(r.Interval), Down: conf.Duration(r.Down), Leaving: r.Leaving, Held: r.Held,
		Holder: r.Holder, HolderPri: r.HolderPri, Checksum: r.Checksum,
		Sent: r.Counters.Sent, Received: r.Counters.Received, Dropped: r.Counters.Dropped, Announced: r.Counters.Announced, Late: r.Counters.Late,
	}
}

// lines are the VIPs for people.
func (s *Status) lines() (out []Line) {
	for _, v := range s.VIPs {
		out = append(out, Line{"vip " + v.Name, v.text() + ": " + join(v.Addresses) + " on " + v.Interface})
	}
	if len(s.VIPs) > 0 && !s.Process.Running {
		out = append(out, Line{"vrrp", "the process does not run"})
	}
	return out
}

// text is the state for people.
func (v *VIPStatus) text() string {
	text := string(v.State)
	if v.State == Unknown {
		text = "not known yet"
	}
	switch {
	case v.Released != nil && v.State == Fault:
		text = "released by hand"
	case v.Released != nil:
		text += ", released by hand"
	case len(v.Faults) > 0:
		text += ", " + strings.Join(v.Faults, ", ")
	case v.State == Backup && v.Holder != "":
		text += ", held by " + v.Holder
	}
	if v.Priority != v.Base && v.Priority > 0 {
		text += fmt.Sprintf(", priority %d of %d", v.Priority, v.Base)
	}
	return text
}

func join(addresses []netip.Prefix) string {
	out := make([]string, len(addresses))
	for i, a := range addresses {
		out[i] = a.String()
	}
	return strings.Join(out, ", ")
}
