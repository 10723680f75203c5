package vrrp

import (
	"net/netip"
	"time"
)

// EventKind is what happens to a Machine.
type EventKind uint8

// The events.
const (
	// EvTimer: the time of Deadline has come. What was received meanwhile may still lie in the socket.
	EvTimer EventKind = iota
	// EvDrained: as EvTimer, and all that the socket held when the event was made has been handed over before.
	EvDrained
	// EvAdvert: Event.Advert was received.
	EvAdvert
	// EvStartup is the RFC's Startup. It ends EvShutdown and EvRelease.
	EvStartup
	// EvAdopt is EvStartup by a process whose forerunner was Active and has left the addresses in place: it is
	// Active from the start. Whoever took them meanwhile is found by the adverts.
	EvAdopt
	// EvShutdown is the RFC's Shutdown: priority 0 and the addresses go at once.
	EvShutdown
	// EvRelease leaves the election without a gap: an Active router sends priority 0 but keeps the addresses until a
	// peer has them or Active_Down_Interval is over. It ends in Initialize.
	EvRelease
	// EvSwitchOver gives the addresses to a peer in the same way and goes on as Backup, which does not preempt until
	// the peer is lost. If none takes them they stay.
	EvSwitchOver
	// EvTakeOver makes a Backup Active although a lower priority or no preemption would have it wait. It advertises
	// one more than the holder's priority as long as it is Active.
	EvTakeOver
	// EvPriority sets the priority to Event.Priority, 1 to 255, as tracking found it.
	EvPriority
	// EvFault: something without which the service cannot be offered is gone. Priority 0 is sent and the addresses
	// go at once, until EvFaultCleared.
	EvFault
	// EvFaultCleared ends EvFault as a startup does.
	EvFaultCleared
	// EvAddressLost: somebody else has removed an address that is to be there.
	EvAddressLost

	eventKinds
)

// Event is an input of a Machine. Only the field that its kind names has a meaning.
type Event struct {
	Kind     EventKind
	Advert   *Advert // read during the Step only
	Priority Priority
}

// Advert is a received packet.
type Advert struct {
	Packet
	Src netip.Addr // without a zone
	// At is when it was received, by the kernel's time stamp on the clock of Step: well before it if it lay in a socket
	// while the process did not run. 0 stands for the time of the Step.
	At time.Duration
	// NoPreempt says that the sender is known, by an authenticated trailer, as a router of ours that has Preempt off.
	// Then Tenure is what it says of itself, and comes before priority if our Preempt is off too.
	NoPreempt bool
	Tenure    Tenure
}

// Tenure is the claim of an Active router that neither preempts nor is preempted.
type Tenure uint8

// The tenures, the strongest last.
const (
	Fresh     Tenure = iota // Active for less than Active_Down_Interval, or not alone for so long
	Incumbent               // alone for longer: others have had the time to hear it
	Appointed               // by EvTakeOver
)
