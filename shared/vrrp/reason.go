package vrrp

import "strconv"

// Reason is why a packet was not taken. It counts from 0 without gaps, so that it may index an array of counters.
type Reason uint8

// The reasons. Those up to ReasonAddress are Parse's, in the order of its checks; the rest are a Machine's.
const (
	Accepted           Reason = iota // not a rejection
	ReasonFamily                     // source or destination is no plain IPv4 or IPv6 address, or they are not of one family
	ReasonTTL                        // TTL or hop limit below what is asked for: it has passed a router
	ReasonShort                      // shorter than its header, or than its address count says
	ReasonVersion                    // not version 2 or 3, or version 2 in IPv6
	ReasonType                       // not an ADVERTISEMENT
	ReasonCount                      // no address (RFC 9568 section 5.2.5)
	ReasonLong                       // longer than its address count says
	ReasonChecksum                   // fits no form of the checksum
	ReasonVRID                       // VRID 0, or in a Machine another than its own
	ReasonAuthType                   // version 2 with an authentication that is neither none nor simple text
	ReasonInterval                   // interval 0, or in version 2 another than the Machine's
	ReasonAddress                    // an address that no host can have: unspecified, multicast, IPv4 in IPv6
	ReasonReflected                  // sent from the machine's own primary address
	ReasonOtherVersion               // the Machine speaks the other version
	ReasonOtherFamily                // the Machine has addresses of the other family
	ReasonPassword                   // other authentication type or other text than configured
	ReasonStopped                    // the Machine is in Initialize

	Reasons // their number
)

var reasonNames = [Reasons]string{
	"accepted", "family", "ttl", "short", "version", "type", "count", "long", "checksum", "vrid", "auth_type",
	"interval", "address", "reflected", "other_version", "other_family", "password", "stopped",
}

// String returns the reason as a metric's label has it.
func (r Reason) String() string {
	if r < Reasons {
		return reasonNames[r]
	}
	return "reason_" + strconv.Itoa(int(r))
}
