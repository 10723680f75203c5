package limit

import (
	"slices"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Verdict is what a Gate says to one who comes.
type Verdict uint8

// The verdicts.
const (
	Granted Verdict = iota // go on; Leave when done
	Queued                 // wait for the Effects that name you
	Refused                // the queue is full too, or there is none
)

// Ticket names a place in a Gate's queue.
type Ticket uint64

// Effects are what a step of a Gate leads to. The caller passes one that it empties and uses again.
type Effects[T any] struct {
	Granted []T // may go on, in the order they came; each must Leave
	Expired []T // have waited too long and are out
}

// Reset empties the effects for the next step.
func (fx *Effects[T]) Reset() {
	clear(fx.Granted) // so that nothing is held from the collector
	clear(fx.Expired)
	fx.Granted, fx.Expired = fx.Granted[:0], fx.Expired[:0]
}

// Gate lets a number in at once and has a number wait, first come first served, for a time. It is the pure core of a
// concurrency limit: who is T, the shell knows (a connection, a channel to close).
type Gate[T any] struct {
	limit    int
	maxQueue int
	patience int64 // ns, below 2^62

	inside int
	queue  []waiter[T] // from head on, by ticket and deadline
	head   int
	next   Ticket
}

type waiter[T any] struct {
	who      T
	ticket   Ticket
	deadline int64
}

// NewGate returns a gate that lets limit in and has at most queue wait, each at most for patience. A limit of 0 lets
// nobody in. Negative numbers, and a queue without patience, are fault.Invalid.
func NewGate[T any](limit, queue int, patience time.Duration) (*Gate[T], error) {
	if limit < 0 || queue < 0 || patience < 0 || queue > 0 && patience == 0 {
		return nil, fault.New(fault.Invalid, "limit: gate of %d with %d waiting for %v", limit, queue, patience)
	}
	return &Gate[T]{limit: limit, maxQueue: queue, patience: min(int64(patience), maxTime-1)}, nil
}

// Enter asks to let who in. The ticket is for Cancel and means something when the verdict is Queued.
func (g *Gate[T]) Enter(now int64, who T, fx *Effects[T]) (Verdict, Ticket) {
	g.Expire(now, fx)
	if g.inside < g.limit { // then nobody waits
		g.inside++
		return Granted, 0
	}
	if g.Waiting() >= g.maxQueue {
		return Refused, 0
	}
	g.next++
	g.push(waiter[T]{who, g.next, clamp(now) + g.patience})
	return Queued, g.next
}

// Leave says that one who was let in is done. Nobody inside is a broken invariant and panics.
func (g *Gate[T]) Leave(now int64, fx *Effects[T]) {
	if g.inside == 0 {
		panic("BUG: limit: one leaves a gate that nobody is in")
	}
	g.inside--
	g.Expire(now, fx)
	g.admit(fx)
}

// Cancel takes one who waits out of the queue; false means that the ticket does not wait any more.
func (g *Gate[T]) Cancel(ticket Ticket) bool {
	waiting := g.queue[g.head:]
	i, found := slices.BinarySearchFunc(waiting, ticket, func(w waiter[T], t Ticket) int {
		return int(int64(w.ticket - t))
	})
	if found {
		g.queue = slices.Delete(g.queue, g.head+i, g.head+i+1)
	}
	return found
}

// Expire puts out those who have waited too long.
func (g *Gate[T]) Expire(now int64, fx *Effects[T]) {
	for g.Waiting() > 0 && g.queue[g.head].deadline <= clamp(now) {
		fx.Expired = append(fx.Expired, g.pop())
	}
}

// SetLimit changes how many are let in at once. Those inside stay, even above the new limit.
func (g *Gate[T]) SetLimit(now int64, limit int, fx *Effects[T]) {
	g.limit = max(limit, 0)
	g.Expire(now, fx)
	g.admit(fx)
}

// Deadline returns the time at which Expire has the next to put out; false when nobody waits.
func (g *Gate[T]) Deadline() (int64, bool) {
	if g.Waiting() == 0 {
		return 0, false
	}
	return g.queue[g.head].deadline, true
}

// Inside returns how many are in.
func (g *Gate[T]) Inside() int { return g.inside }

// Waiting returns how many wait.
func (g *Gate[T]) Waiting() int { return len(g.queue) - g.head }

func (g *Gate[T]) admit(fx *Effects[T]) {
	for g.inside < g.limit && g.Waiting() > 0 {
		g.inside++
		fx.Granted = append(fx.Granted, g.pop())
	}
}

// push appends to the queue. A clock that went back must not break the order of deadlines.
func (g *Gate[T]) push(w waiter[T]) {
	if n := len(g.queue); n > g.head {
		w.deadline = max(w.deadline, g.queue[n-1].deadline)
	}
	if g.head > 0 && len(g.queue) == cap(g.queue) { // move to the front in place of growing
		n := copy(g.queue, g.queue[g.head:])
		clear(g.queue[n:])
		g.queue, g.head = g.queue[:n], 0
	}
	g.queue = append(g.queue, w)
}

// pop takes the first of the queue.
func (g *Gate[T]) pop() T {
	w := g.queue[g.head]
	g.queue[g.head] = waiter[T]{}
	if g.head++; g.head == len(g.queue) {
		g.queue, g.head = g.queue[:0], 0
	}
	return w.who
}
