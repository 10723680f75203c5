// Package holder is the body of the child process that holds virtual addresses: VRRP's machines (package vrrp), their
// sockets, addresses and announcements, told what to hold by the daemon over one socket (package wire).
//
// # One thread
//
// Run works on one locked thread and starts no goroutine. It waits in one epoll_pwait2 for the socket to the daemon, a pidfd
// of the daemon, the kernel's news of links and addresses, the VRRP sockets, and the next deadline to the nanosecond. In each
// turn it does, in this order,
//
//  1. what is due: machines' timers, the second's look at the addresses, limits of what was asked for;
//  2. what is ready, bounded: at most 64 packets of each socket, one read of the daemon's, the kernel's news;
//  3. what the first two have left for the turn's end: answers that are complete, a Snapshot if something has changed.
//
// A flood of packets hence delays a timer by 64 packets of each socket. A machine whose Down timer has expired asks for what
// lies in its socket (vrrp.DoDrain): that is read until the socket is empty, or gives a packet which the kernel received after
// the reading began, so that a flood does not hold this up either.
//
// The Go runtime has a memory limit in place of a garbage collection that follows the heap; adverts in and out need no memory.
//
// # What is pure
//
// The holder steps with explicit time and reaches the system through an interface (system) and the daemon through another
// (daemon); Run's loop puts the real ones to it. A plan is compared with what there is by diff. Tests have a system of
// their own.
//
//	loop.go                  epoll; what is ready
//	control.go, parent.go    the socket to the daemon; its death
//	holder.go, timers.go     the holder: messages, time
//	plan.go, apply.go        what a plan changes
//	assess.go                verdicts, carriers and faults of a group become events
//	router.go, prepare.go    a router's interface, source, sockets, macvlan
//	effect.go, send.go       what a machine has the router do
//	address.go, look.go      addresses put, taken, looked after
//	receive.go, auth.go      adverts
//	request.go, tell.go      what is asked, what is told
//
// # Queues and their bounds
//
// What is told waits in a buffer of 256 KiB if the daemon does not read; a Tell beyond is dropped and counted
// (wire.Snapshot.Lost). Answers may use up to 2 MiB. A Snapshot is made when nothing waits, so that it is new and never dropped.
// At most 64 requests (wire.Do) wait to end; another is answered with an error. Sockets' buffers are the kernel's.
//
// # A group's life
//
// Its machines are in Initialize until the daemon's first Verdict. It is at fault while the daemon says so, while the daemon is
// stuck (Plan.Lifeline), while a router's interface is absent, down, without carrier or without an address to send from, while
// a tracked link of weight 0 is, and for a growing time (10 s to 10 min) after the system has refused to add an address: a
// holder without the address would be worse than none. Sockets are opened when there is an interface to open them on.
//
// Routers that a new plan no longer has leave as by wire.Release: they go on until a peer has the addresses, at most
// Active_Down_Interval. One that joins a group which is Active is Active at once; whoever holds its addresses is found by the
// adverts. An address that two of our routers have on the same interface, because one succeeds the other, stays when one
// lets go.
//
// # Addresses
//
// A router that is not Active does not have its addresses: those found at its start are removed, and those that something adds
// later, within a second. Two exceptions: an address that is to be adopted (Router.Adopt) stays until the first Verdict, at
// most for Active_Down_Interval; and what an owner (priority 255) finds on its interface is the host's own, configured by the
// system: it is never removed, whatever becomes of the router. Whoever wants an owner to give its address to others leaves it
// out of the system's configuration. (An owner's child that crashed cannot tell the two apart, and leaves the address too.)
//
// Addresses that vanish while a router is Active are added again by the machine (vrrp.EvAddressLost), at most once a second.
// Without Accept the addresses are announced but not put on the interface, so that the host takes no packet to them; nor does
// it then answer ARP and neighbour solicitations for them, which RFC 9568 wants of a router: that is for a router that has
// other means to.
//
// With VMAC a router has a macvlan of its own, named after family, VRID and the parent's index, down while it is not Active.
// It goes when the router does; one that is left after a crash is used again, or removed if it has an address of Plan.Leftovers.
// arp_ignore, arp_filter and arp_announce of the parent are set and not set back, for others may rely on them by then.
//
// # The end
//
// When the daemon is dead (its end of the socket is closed, or its pidfd or one of some of its threads says so, see parent) all
// routers send priority 0 first, then the addresses are removed, then macvlans; Run returns nil. On wire.Stop the addresses are released before. SIGTERM, SIGINT and
// SIGHUP are ignored: the daemon decides, and a terminal's or a service manager's signal reaches both.
package holder
