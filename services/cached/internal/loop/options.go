// Package loop carries cached's plain connections, TCP and unix sockets, on event loops.
//
// # Who owns what
//
// A Group has N loops. Each is one goroutine with its own epoll set, connections, input buffer and output buffer; only that
// goroutine touches them. What others want of a loop (adopt this socket, list your connections, stop) lies in
// its inbox, and an eventfd wakes it. Beside the loops run one goroutine that counts seconds and one for each detached
// connection. Run starts all of them and returns when the last has ended.
//
// # Accepting
//
// All loops poll each listening socket with EPOLLEXCLUSIVE, so that an arrival wakes one of them; it hands the connection to the
// loop that has the fewest. A listener for each loop by SO_REUSEPORT would save the hand-over, once per connection, but deals by a
// hash (of 50 connections the fullest of 4 loops got 16 in the median of 200 tries and 23 at worst; here 13), loses what is queued when the
// number of loops changes over an upgrade, and cannot be had from a socket unit.
//
// # One turn
//
// Events are edge-triggered. A connection that became readable gets a turn: one read into the loop's buffer, Steps until the
// session wants more, one write. So a request costs epoll_pwait + recvfrom + sendto, shared by as many requests as came
// together; a read that did not fill the buffer is not repeated, since whatever comes later is a new edge. (Level-triggered needs
// the same calls and measures the same; but a client that sends without reading its answers would have to be taken out of the set.)
// What stays unconsumed is copied to a buffer borrowed from a bounded pool, and the loop's buffer is free for the next
// connection. The bytes of a long value are read straight to where they will stay, together with what follows them (readv).
// Long values are sent from where they lie, behind the answers before them (writev).
//
// A session that yields, a read that filled the buffer and a turn that moved session.TurnBytes go to the end of the ready queue;
// between two rounds of the queue the loop looks for events. So a connection waits at most for one turn of each other one.
//
// A socket that takes no more keeps what is left in a backlog of the connection's own, and nothing is stepped or read until it has gone. Only then
// is EPOLLOUT asked for.
//
// # Bounds
//
//   - connections: the Gate, shared with other carriers. One more gets memcached's refusal, or waits in the kernel's queue.
//   - an idle connection: one entry of the slab (88 bytes; 94 with what leads there), no goroutine, no buffer, no session before its first byte.
//   - input held for a connection: session.MaxHeld and one read; a session that keeps more is closed as a fault.
//   - output kept for a connection: the answers of one turn (session.OutHigh + session.TurnBytes) and one pinned value.
//   - input and output kept for all: Limits.Buffers. A connection that would need more is closed and counted.
//   - buffers kept for reuse: poolKeep per loop and size.
//   - the inbox: the Gate bounds adoptions; the number of loops bounds listings.
//   - the ready queue: each connection is in it at most once.
//   - a client that takes nothing for Limits.Write, or sends nothing for Limits.Idle, is closed. A scan of the connections each second finds them, a part
//     at a time where there are many: up to 8 s late.
//
// # The scheduler
//
// A loop waits in a system call that the scheduler knows of (epoll_pwait) and makes all others behind its back, for they do not
// wait. GOMAXPROCS should be Procs: a spare processor lets a loop keep its own while it waits. The goroutines are not locked to their
// threads: see breathe, which on a locked thread would cost a switch to another thread and back.
//
// A request of a lone client costs 3.0 system calls, one of 50 busy clients 2.1 (a wait finds nine of them ready), one of 50
// clients with 16 requests in flight each 0.13; the runtime's own (futex, nanosleep) are 0.01 per request under load.
//
// # Faults
//
// A panic of a session ends its connection and is reported (Hooks.Bug); the loop goes on. An accept that fails is reported when it
// begins and when it is over (Hooks.Accept), and retried when a connection has ended or a second has passed.
package loop

import (
	"net"
	"time"

	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/session"
)

// Options of a Group.
type Options struct {
	Threads   int // event loops, at least 1
	Listeners []Listener
	Factory   session.Factory
	Env       *session.Env
	Gate      *conns.Gate // shared with other carriers
	Limits    Limits
	Hooks     Hooks

	timeless bool // for tests: seconds pass only by Group.tick
}

// Listener is a socket that the group accepts from. The group works with a duplicate: it neither closes Net nor calls its Accept.
type Listener struct {
	Net       net.Listener // with a descriptor: *net.TCPListener, *net.UnixListener or netio's
	Transport session.Transport
	Tag       uint64
	Only      session.Protocol
}

// Limits may change while the group runs. Time-outs are in whole seconds, rounded up.
type Limits = conns.Limits

// Hooks report what an operator must know.
type Hooks = conns.Hooks

// seconds rounds up, so that a time-out never is shorter than asked.
func seconds(d time.Duration) uint32 {
	return uint32(min((d+time.Second-1)/time.Second, 1<<30))
}
