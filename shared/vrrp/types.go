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
