// Package trailer authenticates adverts that own nodes send to each other by unicast: behind the VRRP packet follow 52
// bytes that say who sent it and when, and a MAC. It is pure: it reads no clock and does no input or output.
//
// # Layout
//
// All numbers are big endian. The trailer begins where the packet ends by its own header, which has its version and how
// many addresses there are; it is cut off before vrrp.Packet.Parse.
//
//	 0  "EV"
//	 2  format, 1
//	 3  bit 0: NoPreempt; bits 1 and 2: Tenure; the others are 0
//	 4  Sender
//	12  Epoch
//	20  Seq
//	28  At, milliseconds since 1970
//	36  the first 16 bytes of HMAC-SHA256 over bytes 0 to 35, the source and the destination in 16 bytes each (IPv4
//	    as ::ffff:a.b.c.d), and the packet
//
// The packet's VRID, priority and addresses are thus covered, and an advert is worth nothing towards another receiver,
// from another sender, or in the other direction. Keys are the fleet's, derived for this purpose; all nodes have the same.
// A MAC of 128 bits is compared in constant time. Nothing is allocated for a packet. Adverts do not pass a translation
// of addresses.
//
// # Replay
//
// A Window stands at a receiver for each peer and VRID. Of one Sender (Epoch, Seq) must rise, so nothing is taken twice,
// nor anything older than what was taken. A Sender that the Window does not know must have a time within MaxSkew of
// ours. The times of one that it knows do not count, since a node whose clock is set while it is the holder must not be
// taken for silent.
//
// What somebody who reads, keeps back and injects packets on the link can do:
//
//   - At a receiver that runs: nothing with what it has taken. What he kept from it he can deliver later, in its order, and so
//     let a holder seem to live for longer than it does. Who can do so can also cut the link, which is worse: two would
//     hold the address. VRRP does not withstand that, with or without authentication.
//   - At a receiver that has restarted, or that never heard the peer: its Window is empty. He can present what the peer
//     sent lately: by right clocks at most MaxSkew ago, at most twice that if the peer's clock is ahead of ours by nearly
//     MaxSkew. He can do so only until the peer itself is heard, since its next advert is newer than all recorded ones.
//     From a peer that is Active that comes within an interval, and the worst is one needless change of state: a takeover
//     after a recorded priority 0, or an Active router that yields to a recorded higher priority, for at most
//     Active_Down_Interval. A peer that has fallen silent (it died, or became Backup) within that time is another matter:
//     each recorded advert can be presented once, and keeps the receiver from being Active for Active_Down_Interval. That
//     is the time recorded, at most twice MaxSkew, stretched by the ratio of Active_Down_Interval to the interval, three to
//     four. Afterwards the receiver takes over as it should.
//     A Window that has been empty for weeks, because the peer was Backup, offers no more than that: recordings age.
//   - If he sets the receiver's clock back as well (unauthenticated NTP, a host without a clock that boots in the past), "lately"
//     means the time that the clock shows. A Window that knows the Sender does not care. Hence nothing is ever forgotten for
//     having been silent.
//   - He can make no advert be taken that was never sent: two holders that stay so need a cut link.
//
// Two links whose hosts have the same addresses, as the VLANs of one card have the same link-local ones, are told apart by
// nothing in the MAC: their routers need different VRIDs, or else somebody who is on both can carry adverts from one to the
// other.
//
// The price: a node whose clock is wrong by more than MaxSkew is not heard by those that start later (Stale), and a Sender
// that begins again with a lower Epoch is not heard by those that run (Replayed). Both are counted by these names, for an operator
// to see; the first is cured by the clock, the second by an Epoch made as Claim says.
package trailer
