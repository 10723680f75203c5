// Package vrrp is the Virtual Router Redundancy Protocol as a pure core: the packets of version 3 (RFC 9568, IPv4 and
// IPv6) and version 2 (RFC 3768). It does no input and no output, reads no clock, starts no goroutine and guards nothing
// by a lock. Names are those of RFC 9568.
//
// # Packets
//
// Packet.Parse reads what a raw socket received and gives a Reason for each packet that is not to be taken; Packet.Append
// writes. A packet has at most 255 addresses, and a Packet that is parsed into again and again allocates nothing. The
// checksum of version 3 over IPv4 has two forms in the field: Parse takes both and says which it was, and a Habit learns
// which to send to whom.
package vrrp
