package wire

import (
	"net/netip"
	"time"
)

// Hello is the child's first message: what the system lets it do.
type Hello struct {
	PID int `json:"pid"`
	// Realtime and Locked: SCHED_FIFO and memory that is not swapped out. Without them adverts may be late on a busy
	// machine.
	Realtime bool `json:"realtime"`
	Locked   bool `json:"locked"`
	// Missing are capabilities, as capabilities(7) names them, whose lack keeps the child from its work; then Error has
	// the system's own words. An empty list and Error: all is well.
	Missing []string `json:"missing,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// TellKind is what a Tell is about.
type TellKind string

// What is told.
const (
	TellState      TellKind = "state"      // State, Cause, Peer
	TellReasserted TellKind = "reasserted" // Peer claimed to be Active too
	TellConflict   TellKind = "conflict"   // Conflict, Peer, Detail; with Gone it is over
	TellLate       TellKind = "late"       // Late: a timer fired so late that nothing was done
	TellKept       TellKind = "kept"       // a switch-over found no peer
	TellRefused    TellKind = "refused"    // a take-over would have had no success
	TellReadded    TellKind = "readded"    // Detail: an address that something else had removed
	TellRemoved    TellKind = "removed"    // Detail: an address that something else had added, on a host that is not to have it
	TellChecksum   TellKind = "checksum"   // Detail: Peer uses the other form of the checksum
	TellFailed     TellKind = "failed"     // Detail: the system refused something; with Gone it works again
)

// Tell is something that happened to a router.
type Tell struct {
	Kind     TellKind      `json:"kind"`
	At       time.Time     `json:"at"`
	Group    string        `json:"group"`
	Vip      string        `json:"vip"`
	Family   int           `json:"family"` // 4 or 6
	State    string        `json:"state,omitempty"`
	Cause    string        `json:"cause,omitempty"`
	Peer     netip.Addr    `json:"peer,omitzero"`
	Conflict string        `json:"conflict,omitempty"` // vrrp.ConflictKind's name
	Detail   string        `json:"detail,omitempty"`   // a sentence
	Gone     bool          `json:"gone,omitempty"`
	Late     time.Duration `json:"late,omitempty"`
}

// Snapshot is the child's whole state.
type Snapshot struct {
	Plan   uint64        `json:"plan"` // Plan.ID
	At     time.Time     `json:"at"`
	Lost   uint64        `json:"lost"` // messages that the socket did not take
	Groups []GroupStatus `json:"groups"`
}

// GroupStatus is the state of a group.
type GroupStatus struct {
	Name     string         `json:"name"`
	Released bool           `json:"released,omitempty"` // by Release, until Resume
	Faults   []string       `json:"faults,omitempty"`   // why it takes no part
	Routers  []RouterStatus `json:"routers"`
}

// RouterStatus is the state of a router.
type RouterStatus struct {
	Vip       string         `json:"vip"`
	Interface string         `json:"interface"`
	Family    int            `json:"family"` // 4 or 6
	VRID      int            `json:"vrid"`
	Version   int            `json:"version"`
	Addresses []netip.Prefix `json:"addresses"`
	State     string         `json:"state"` // Initialize, Backup, Active
	Cause     string         `json:"cause"`
	Since     time.Time      `json:"since"`
	Priority  int            `json:"priority"` // as it is advertised, or would be
	Base      int            `json:"base"`     // as configured
	Source    netip.Addr     `json:"source,omitzero"`
	Interval  time.Duration  `json:"interval"` // Active_Adver_Interval: a Backup's is the holder's
	Down      time.Duration  `json:"down"`     // Active_Down_Interval
	Leaving   bool           `json:"leaving,omitempty"`
	Held      bool           `json:"held,omitempty"`     // Backup after a switch-over: not preempting
	Holder    netip.Addr     `json:"holder,omitzero"`    // Backup: the Active router last heard
	HolderPri int            `json:"holder_priority"`    // Backup: its priority
	Checksum  string         `json:"checksum,omitempty"` // the form last heard
	Conflicts []string       `json:"conflicts,omitempty"`
	Counters  Counters       `json:"counters"`
}

// Counters count since the child began.
type Counters struct {
	Sent        uint64            `json:"sent"`        // adverts
	SendFailed  uint64            `json:"send_failed"` // adverts and announcements that the system refused
	Received    uint64            `json:"received"`    // adverts taken
	Dropped     map[string]uint64 `json:"dropped"`     // adverts not taken, by reason: vrrp.Reason's names, and the trailer's
	Announced   uint64            `json:"announced"`   // gratuitous ARPs and unsolicited neighbour advertisements
	Activations uint64            `json:"activations"` // times it became Active
	Reasserted  uint64            `json:"reasserted"`  // times another claimed to be Active too
	Readded     uint64            `json:"readded"`     // addresses that something else had removed
	Late        uint64            `json:"late"`        // timers so late that nothing was done
}
