package vip

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/vip/internal/notify"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// Event is the data of the events vip-active, vip-backup, vip-fault, vip-reasserted and vip-conflict, whose object is vip/NAME.
type Event struct {
	VIP       string         `json:"vip"`
	State     State          `json:"state"`
	From      State          `json:"from,omitempty"`
	Cause     string         `json:"cause,omitempty"`
	Interface string         `json:"interface"`
	VRID      int            `json:"vrid"`
	Priority  int            `json:"priority"`
	Addresses []netip.Prefix `json:"addresses"`
	Peer      string         `json:"peer,omitempty"` // who holds the addresses, claims to, or contradicts us
	Faults    []string       `json:"faults,omitempty"`
	Conflict  string         `json:"conflict,omitempty"` // of vip-conflict: its kind
	Detail    string         `json:"detail,omitempty"`   // of vip-conflict: both sides
	Gone      bool           `json:"gone,omitempty"`     // of vip-conflict: it is over
}

// notice is what is told of a VIP with each event, taken while mu was held.
type notice struct {
	event  Event
	notify []Notify
}

// noticeLocked takes what is known of a VIP. Its priority is the configured one until the child has told another.
func (m *Manager) noticeLocked(name string, cfg *VIP, v *vipRun) notice {
	e := Event{
		VIP: name, State: v.state, Interface: cfg.Interface, VRID: cfg.VRID, Priority: v.priority(), Faults: slices.Clone(v.faults),
	}
	if e.Priority == 0 {
		e.Priority = cfg.Priority
	}
	four, six := cfg.families()
	e.Addresses = append(four, six...)
	return notice{event: e, notify: cfg.Notify}
}

// announce tells of a change: an event, the log, the metrics, the commands.
func (m *Manager) announce(n notice, c change) {
	e := n.event
	e.State, e.From, e.Cause = c.to, c.from, c.cause
	if c.peer.IsValid() {
		e.Peer = c.peer.String()
	}
	line := m.log.Info()
	if c.to == Fault && c.from != Unknown {
		line = m.log.Warn()
	}
	line.Str("vip", e.VIP).Str("state", string(c.to)).Str("from", string(c.from)).Str("cause", c.cause).Str("peer", e.Peer).
		Strs("faults", e.Faults).Msg("a virtual address has changed its state")
	m.met.transition(e.VIP, c.to)
	m.env.Bus.Emit("vip-"+string(c.to), "vip/"+e.VIP, e)
	m.run(n.notify, string(c.to), e)
}

// reasserted tells that another host claimed the addresses too.
func (m *Manager) reasserted(n notice, t *wire.Tell) {
	e := n.event
	if t.Peer.IsValid() {
		e.Peer = t.Peer.String()
	}
	m.env.Bus.Emit("vip-reasserted", "vip/"+e.VIP, e)
	m.run(n.notify, "reasserted", e)
}

// conflict tells that a peer's configuration contradicts ours, or no longer does.
func (m *Manager) conflict(n notice, t *wire.Tell) {
	e := n.event
	if t.Peer.IsValid() {
		e.Peer = t.Peer.String()
	}
	e.Conflict, e.Detail, e.Gone = t.Conflict, t.Detail, t.Gone
	m.env.Bus.Emit("vip-conflict", "vip/"+e.VIP, e)
}

// run has the commands that are for such a change run.
func (m *Manager) run(all []Notify, state string, e Event) {
	c := notify.Change{Vip: e.VIP, State: state}
	for _, n := range all {
		if slices.Contains(n.On, state) {
			c.Commands = append(c.Commands, notify.Command{Args: n.Command, Timeout: n.Timeout.Std(), Env: environment(state, e)})
		}
	}
	m.notifier.Add(c)
}

// environment is what a command finds.
func environment(state string, e Event) []string {
	addresses := make([]string, len(e.Addresses))
	for i, a := range e.Addresses {
		addresses[i] = a.String()
	}
	return []string{
		"EVERUP_VIP=" + e.VIP, "EVERUP_STATE=" + state, "EVERUP_CAUSE=" + e.Cause, "EVERUP_INTERFACE=" + e.Interface,
		"EVERUP_PRIORITY=" + strconv.Itoa(e.Priority), "EVERUP_ADDRESSES=" + strings.Join(addresses, " "),
	}
}

// logTell logs what is not a change of state, which announce logs. What may repeat itself is held back for some seconds.
func (m *Manager) logTell(t *wire.Tell) {
	level, text := m.log.Warn(), ""
	switch t.Kind {
	case wire.TellReasserted:
		text = "another host claimed the virtual addresses too; they were announced anew"
	case wire.TellConflict:
		if text = "a peer's configuration contradicts ours"; t.Gone {
			level, text = m.log.Info(), "a peer's configuration no longer contradicts ours"
		}
	case wire.TellLate:
		text = "the VRRP process was late, and did nothing"
	case wire.TellKept:
		text = "no peer takes the virtual addresses; they stay"
	case wire.TellRefused:
		text = "a take-over would have had no success, and was not tried"
	case wire.TellReadded:
		text = "something else removed a virtual address; it was added again"
	case wire.TellChecksum:
		level, text = m.log.Info(), "a peer uses the other form of the checksum"
	case wire.TellFailed:
		if text = "the system refuses what a virtual address needs"; t.Gone {
			level, text = m.log.Info(), "the system no longer refuses what a virtual address needs"
		}
	default:
		return
	}
	key := fmt.Sprint(t.Kind, t.Vip, t.Family, t.Conflict, t.Gone)
	ok, more := m.throttle.Allow(key)
	if !ok {
		return
	}
	level = level.Str("vip", t.Vip).Int("family", t.Family).Str("detail", t.Detail)
	if t.Peer.IsValid() {
		level = level.Stringer("peer", t.Peer)
	}
	if t.Late > 0 {
		level = level.Dur("late", t.Late)
	}
	if t.Conflict != "" {
		level = level.Str("conflict", t.Conflict)
	}
	if more > 0 {
		level = level.Int("held_back", more)
	}
	level.Msg(text)
}
