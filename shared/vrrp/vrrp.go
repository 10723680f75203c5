// Package vrrp is the Virtual Router Redundancy Protocol as a pure core: the packets of version 3 (RFC 9568, IPv4 and
// IPv6) and version 2 (RFC 3768), and the state machine that decides who holds a virtual address. It does no input and
// no output, reads no clock, starts no goroutine and guards nothing by a lock; the caller owns a value and steps it from
// one goroutine. Names are those of RFC 9568.
//
// # Packets
//
// Packet.Parse reads what a raw socket received and gives a Reason for each packet that is not to be taken; Packet.Append
// writes. A packet has at most 255 addresses, and a Packet that is parsed into again and again allocates nothing. The
// checksum of version 3 over IPv4 has two forms in the field: Parse takes both and says which it was, and a Habit learns
// which to send to whom.
//
// # The machine
//
// Machine is one virtual router. Its shell is a loop:
//
//	fx = m.Step(now, event, fx[:0]) // then does fx in order
//	wait until m.Deadline(), then EvTimer, or for a packet, then EvAdvert
//
// Times are nanoseconds on a clock of the caller's that nobody sets: a change of the time of day does not enter. A Step
// allocates nothing if out has room; no event leads to more than 8 effects and those of the conflicts that begin or end.
//
//	Initialize --EvStartup--> Backup --Active_Down_Timer--> Active --a better advert--> Backup
//
// What is added to the RFC, and why:
//
//   - Lateness. An expired Active_Down_Timer is not acted on before the socket is empty (DoDrain, EvDrained): the process
//     may not have run while adverts came. Adverts count from when the kernel received them (Advert.At). If the timer is
//     later than an interval even so, it waits for one more interval and the skew time, twice at most in a row: with the
//     whole machine at rest nothing was received. An Active router that did not run for three intervals first reads what
//     others sent, then speaks.
//   - Announcements. Switches and neighbours believe whoever spoke last. A takeover announces in two bursts and refreshes
//     later; an Active router that hears another answers with an advert at once, as RFC 9568 has it (in version 2 too),
//     and a burst. At most 4 such answers are given in an interval. One that yields says so by a last advert, after its
//     addresses are gone: where a split heals it may be the first that the other hears of it.
//   - Taking over from a router that lives (it sent priority 0, or is preempted) adds and announces the addresses before
//     the advert on which the other lets go, so that no packet is lost; from one that is silent the advert comes first.
//   - EvRelease and EvSwitchOver send priority 0 and keep the addresses until a peer has them. For the time of one packet
//     both have them; the peer's announcement decides who gets the traffic.
//   - EvTakeOver advertises one more than the holder's priority.
//   - Without preemption the RFC still has the lower priority yield once two are Active, as after a restart with a deaf
//     link. Between routers that both say they do not preempt, in a trailer that the shell authenticates, Tenure comes
//     before priority: who has been Active alone for Active_Down_Interval stays.
//   - An owner (priority 255) does not discard all adverts: of two owners that with the lower address yields, and
//     ConflictOwner is told.
//   - A priority 0 never makes a Backup wait longer than it would have.
//   - Accept_Mode and simple text authentication of version 2 are as keepalived's users have them.
//
// # Groups
//
// Group steps machines that are Active together or not at all.
package vrrp

import (
	"math"
	"strconv"
	"time"
)

// Version is the protocol's version: V2 speaks IPv4 alone, V3 IPv4 and IPv6.
type Version uint8

// The versions.
const (
	V2 Version = 2 // RFC 3768
	V3 Version = 3 // RFC 9568
)

// VRID is the virtual router identifier, 1 to 255, of one address family on one link. It is the last byte of the
// virtual MAC.
type VRID uint8

// Priority ranks the routers of a VRID: the highest is Active.
type Priority uint8

// The priorities with a meaning.
const (
	PriorityStop    Priority = 0   // in an advert only: its sender leaves
	PriorityDefault Priority = 100 // RFC 9568 section 5.2.4
	PriorityOwner   Priority = 255 // the addresses are the router's own
)

// Never is the time that does not come.
const Never = time.Duration(math.MaxInt64)

// State is a state of RFC 9568 section 6.3.
type State uint8

// The states.
const (
	Initialize State = iota // takes no part: not started, stopped, at fault
	Backup                  // listens
	Active                  // holds the addresses and advertises
)

// String returns the RFC's name.
func (s State) String() string {
	switch s {
	case Initialize:
		return "Initialize"
	case Backup:
		return "Backup"
	case Active:
		return "Active"
	}
	return "state " + strconv.Itoa(int(s))
}
