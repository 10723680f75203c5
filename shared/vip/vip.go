// Package vip gives a daemon virtual addresses that outlive its host: VRRP (package vrrp) with its addresses, sockets and
// announcements in a small child process, and everything that decides how good a holder this host would be.
//
// # Two processes
//
// A virtual address must not move because a busy daemon was late. Hence the state machine does not run among the daemon's
// goroutines: the daemon starts its own binary as `<daemon> vrrp` (Child), which is one locked thread with SCHED_FIFO and
// locked memory where the system allows it, and no garbage collection. Both are joined by one socket (package wire). The
// child gives the addresses up at once when the daemon dies, for it reads the end of the socket and holds a pidfd, and after
// Lifeline when it is stuck. When the child dies the daemon starts another, which takes over what the first held.
//
//	daemon process                                child process
//	Manager: configuration, tracking (routes,     machines, sockets, addresses, announcements, carrier
//	files, probes, values), notify, events,   <->
//	health, metrics, admin calls
//
// # Who owns what
//
// Manager.Run owns the child and all goroutines: one reads the child's messages, one writes them (a queue of 64; a child that
// does not read for a second is killed and replaced), one tracks, one runs notify commands of each VIP in order (a queue of
// 16, the oldest change is left out first, and counted). Queues that are full never hold up the child. Manager's methods are
// safe for concurrent use and do not block on the child, but for SwitchOver, TakeOver, Release, Resume and Leave, which wait
// for its answer.
//
// # A life
//
// New checks that the daemon can give what the configuration wants, Run starts the child. No VIP takes part before the service
// has said Ready: an address is to come up where it is served. Leave, first step of a drain, gives all addresses to peers
// and returns when they have them. A daemon that has no VIPs has no child.
//
// # What is kept
//
// The state directory has one file, vips.json: where addresses may be, written before the child is told to add them, so that what a
// crash leaves is removed by the next life, whatever the configuration says then; which VIPs were released by hand, for a release
// stays until it is resumed; and the epoch of authenticated adverts, which grows with each child, also when the clock was set
// back. Where the file cannot be written the VIPs go on, and a health item says what that may cost.
//
// # A child that dies
//
// Its addresses stay where they are. The next child, 10 ms later at first and at most 10 s later, is told to adopt those that no
// peer can have taken over meanwhile (Active_Down_Interval); it removes the others. At the end of the daemon a last child is
// started if there is something left to be removed.
//
// A process that takes the place of another on the same host goes on in the same way: HandOver ends the one's child, Adopt tells the
// other's first child what it left.
//
// # What is told
//
// Events vip-active, vip-backup, vip-fault, vip-reasserted and vip-conflict about vip/NAME, with an Event. Health items vip.child,
// vip.record, and for each VIP vip.NAME.fault, conflict, released, readded (for 10 minutes) and system. A VIP is active when the
// routers of both its families are, and at fault when one takes no part, be it at fault, released or leaving.
package vip
