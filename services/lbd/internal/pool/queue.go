package pool

import (
	"slices"
	"strconv"
)

// priorities of the queue: 0 goes first.
const priorities = 10

// Waiter is told when a request that was queued may go on. It is called once, by any goroutine, and must not block.
type Waiter interface {
	Granted(g Grant)
}

// Grant tells a Waiter what has become of it: a seat with Granted, to be given back by Release, else why there is none.
type Grant struct {
	Waiter  Waiter
	Seat    Seat
	Outcome Outcome
}

// Ticket is a place in the queue.
type Ticket struct {
	ask      Ask
	number   uint64  // in the order of coming
	only     *Member // nil: any
	in       *line   // nil: not waiting
	next, at *Ticket // behind it, and before it
}

// line is those who wait for the same: by priority, then in the order of coming.
type line struct {
	heads, tails [priorities]*Ticket
	n            int
}

// first returns who is to go on, nil if nobody waits.
func (l *line) first() *Ticket {
	if l.n > 0 {
		for _, t := range l.heads {
			if t != nil {
				return t
			}
		}
	}
	return nil
}

// put adds a ticket behind those that came before it.
func (l *line) put(t *Ticket) {
	p := t.ask.Priority
	before := l.tails[p]
	for before != nil && before.number > t.number { // only where one moves from a member's line
		before = before.at
	}
	t.in, t.at = l, before
	if before == nil {
		t.next, l.heads[p] = l.heads[p], t
	} else {
		t.next, before.next = before.next, t
	}
	if t.next == nil {
		l.tails[p] = t
	} else {
		t.next.at = t
	}
	l.n++
}

// remove takes a ticket of the line out.
func (l *line) remove(t *Ticket) {
	p := t.ask.Priority
	if t.at == nil {
		l.heads[p] = t.next
	} else {
		t.at.next = t.next
	}
	if t.next == nil {
		l.tails[p] = t.at
	} else {
		t.next.at = t.at
	}
	l.n--
	t.in, t.next, t.at = nil, nil, nil
}

// queue is all who wait: in one line for any member, and in one for each member whose sessions wait.
type queue struct {
	any     line
	n       int    // in all lines
	come    uint64 // ever
	wasFull bool   // it was told, and the queue was not empty since
}

func (q *queue) remove(t *Ticket) {
	t.in.remove(t)
	if q.n--; q.n == 0 {
		q.wasFull = false
	}
}

// unstick lets those go to any member whose own takes no sessions any more.
func (q *queue) unstick(members []*Member) {
	if q.n == q.any.n {
		return
	}
	for _, m := range members {
		if !m.sticks() {
			q.free(m)
		}
	}
}

// free lets all who wait for a member go to any.
func (q *queue) free(m *Member) {
	for t := m.sticking.first(); t != nil; t = m.sticking.first() {
		m.sticking.remove(t)
		t.only = nil
		q.any.put(t)
	}
}

// wait queues a request, for one member alone or for any; nil if it may not.
func (c *Core) wait(a *Ask, only *Member) *Ticket {
	q := &c.queue
	if a.Waiter == nil || c.rules.Queue == 0 {
		return nil
	}
	if q.n >= c.rules.Queue {
		if !q.wasFull {
			q.wasFull = true
			c.tell(QueueIsFull, nil, strconv.Itoa(q.n)+" requests wait")
		}
		return nil
	}
	q.come++
	q.n++
	t := &Ticket{ask: *a, number: q.come, only: only}
	t.ask.Tried = slices.Clone(a.Tried)
	t.ask.Priority = min(a.Priority, priorities-1)
	if only != nil {
		only.sticking.put(t)
	} else {
		q.any.put(t)
	}
	return t
}

// Cancel takes a ticket out of the queue; false: its Waiter was told already, or will be.
func (c *Core) Cancel(t *Ticket) bool {
	if t.in == nil {
		return false
	}
	c.drop(t)
	return true
}

// drop takes out one who gets no seat.
func (c *Core) drop(t *Ticket) {
	c.queue.remove(t)
	if t.ask.Retry {
		c.retries--
	}
}

// admit lets those go on for whom there is room, and turns away all of them where no member may serve.
func (c *Core) admit() {
	for c.queue.n > 0 && (c.rules.MaxRequests == 0 || c.active < c.rules.MaxRequests) {
		t := c.nextTicket()
		if t == nil {
			break
		}
		m := t.only
		if m == nil {
			m = c.place(&t.ask, true)
		}
		if m == nil { // only where it has failed has room: better there than that all wait behind it
			again := t.ask
			again.Tried = nil
			m = c.place(&again, true)
		}
		c.queue.remove(t)
		c.grants = append(c.grants, Grant{Waiter: t.ask.Waiter, Seat: c.enter(m, &t.ask)})
	}
	for c.usable == 0 && c.queue.any.n > 0 {
		t := c.queue.any.first()
		c.drop(t)
		c.grants = append(c.grants, Grant{Waiter: t.ask.Waiter, Outcome: c.whyNone()})
	}
}

// nextTicket returns who goes on next, nil if there is no room for anybody.
func (c *Core) nextTicket() *Ticket {
	var best *Ticket
	if c.queue.n > c.queue.any.n {
		for _, m := range c.members {
			if t := m.sticking.first(); t != nil && c.takes(m) {
				best = earlier(best, t)
			}
		}
	}
	if t := c.queue.any.first(); t != nil && slices.ContainsFunc(c.best().members, c.takes) {
		best = earlier(best, t)
	}
	return best
}

// takes reports whether one more request may be under way at a member.
func (c *Core) takes(m *Member) bool { return m.room() && c.trialsLeft(m) }

// best returns the first rank that has members, an empty one if none has.
func (c *Core) best() *rank {
	for i := range c.ranks {
		if len(c.ranks[i].members) > 0 {
			return &c.ranks[i]
		}
	}
	return &c.ranks[0]
}

// earlier returns which of two is to go on first; nil stands for nobody.
func earlier(a, b *Ticket) *Ticket {
	switch {
	case a == nil:
		return b
	case b == nil, a.ask.Priority < b.ask.Priority:
		return a
	case b.ask.Priority < a.ask.Priority:
		return b
	case a.number < b.number:
		return a
	}
	return b
}
