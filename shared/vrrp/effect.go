package vrrp

import (
	"net/netip"
	"strconv"
	"time"
)

// EffectKind is what the shell is to do.
type EffectKind uint8

// The effects. They are done in order.
const (
	// DoSend: send an ADVERTISEMENT with Effect.Priority and Effect.Tenure; Machine.Packet has the rest.
	DoSend EffectKind = iota
	// DoAdd: make the interface have all addresses of the configuration, and none that an earlier configuration had.
	// IPv6: without duplicate address detection, and with their solicited-node groups. Effect.Accept: packets to them
	// are for this host.
	DoAdd
	// DoRemove: make the interface not have the addresses.
	DoRemove
	// DoAnnounce: one gratuitous ARP or unsolicited neighbour advertisement for each address. The schedule is the
	// Machine's.
	DoAnnounce
	// DoDrain: hand over all that lies in the socket, each as EvAdvert, then EvDrained. The timer that has expired is
	// not acted on before.
	DoDrain
	// TellState: the state is Effect.State, by Effect.Cause.
	TellState
	// TellReasserted: another router claimed to be Active too; it was answered, and the addresses are announced anew:
	// switches and neighbours may have the other's. Effect.Peer names it.
	TellReasserted
	// TellConflict: Effect.Conflict has appeared, changed, or with Effect.Gone disappeared.
	TellConflict
	// TellDropped: the advert was not taken, for Effect.Reason.
	TellDropped
	// TellLate: a timer fired Effect.Late after its time, so much that nothing was done but to wait once more.
	TellLate
	// TellKept: EvSwitchOver has found no peer that takes the addresses; they stay.
	TellKept
	// TellRefused: EvTakeOver can have no success, for the holder has at least our greatest claim; or this router
	// does not take part. Nothing was done.
	TellRefused

	effectKinds
)

// Effect is an output of a Machine. Only the fields that its kind names have a meaning.
type Effect struct {
	Kind     EffectKind
	Priority Priority
	Tenure   Tenure
	Accept   bool
	State    State
	Cause    Cause
	Reason   Reason
	Gone     bool
	Late     time.Duration
	Peer     netip.Addr
	Conflict Conflict
}

// Cause is why a state was entered.
type Cause uint8

// The causes.
const (
	ByStartup      Cause = iota
	ByOwner              // Active at startup: priority 255
	ByAdoption           // Active at startup: EvAdopt
	ByDownTimer          // Active: nothing was heard of the Active router for Active_Down_Interval
	ByPriorityZero       // Active: the Active router has left
	ByPreemption         // Active: only a lower priority was heard
	ByTakeOver           // Active: EvTakeOver
	ByPriority           // Backup: a higher priority was heard
	ByAddress            // Backup: the same priority from a higher address was heard
	ByTenure             // Backup: the other router has held the addresses for longer
	ByThaw               // Backup: this process did not run for so long that another has taken over
	BySwitchOver         // Backup: a peer took the addresses
	ByGroup              // the group's other members required it
	ByShutdown           // Initialize
	ByRelease            // Initialize
	ByFault              // Initialize

	causes
)

var causeNames = [causes]string{
	"startup", "owner", "adoption", "down_timer", "priority_zero", "preemption", "take_over", "priority", "address", "tenure",
	"thaw", "switch_over", "group", "shutdown", "release", "fault",
}

// String returns the cause as a metric's label has it.
func (c Cause) String() string {
	if c < causes {
		return causeNames[c]
	}
	return "cause_" + strconv.Itoa(int(c))
}
