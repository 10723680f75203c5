package engine

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/pool"
)

// place is an exchange's in a pool's queue. It is used again, unless a seat was granted that the exchange did not wait for any more.
type place struct {
	w      *worker
	x      *exchange // nil: given up
	pool   Pool
	ticket *pool.Ticket // nil: it does not wait
	grant  *pool.Grant  // what has come for it; nil: nothing yet
	since  time.Duration
}

var _ pool.Waiter = (*place)(nil)

// Granted has the exchange go on by its own loop. It is called by whoever gave a seat back.
func (p *place) Granted(g pool.Grant) {
	if !p.w.loop.Post(func() { p.granted(g) }) {
		p.refund(time.Now(), g) // the loop has ended, or has so much to do that the exchange will be late
	}
}

// refund gives back a seat that nobody wants.
func (p *place) refund(now time.Time, g pool.Grant) {
	if g.Outcome == pool.Granted {
		p.pool.Release(now, g.Seat, pool.Result{}, false)
	}
}

func (p *place) granted(g pool.Grant) {
	if p.x == nil {
		p.refund(p.w.now(), g)
		return
	}
	p.grant = &g
	p.w.loop.Again(p.x.c.timer())
}

// queue goes on once the pool has told of a seat, or the client has gone away: it will not be missed.
func (x *exchange) queue() bool {
	if g := x.place.grant; g != nil {
		x.place.grant, x.place.ticket = nil, nil
		x.leftQueue()
		if g.Outcome == pool.Granted {
			x.seated(x.plan.Pool.Seated(g.Seat, &x.plan.Ask))
		} else {
			x.unseated(g.Outcome)
		}
		return true
	}
	if c, ok := x.c.(interface{ gone() bool }); ok && c.gone() {
		x.clientGone()
		return true
	}
	return false
}

// queued begins to wait for a member.
func (x *exchange) queued(t *pool.Ticket) {
	x.place.ticket, x.place.since = t, x.w.loop.Now()
	x.phase = queuing
	x.timing = false // the deadline is the queue's
	x.w.loop.SetDeadline(x.c.timer(), min(x.w.loop.Now()+x.plan.Wait, x.until))
}

// leftQueue notes how long the request was in the queue.
func (x *exchange) leftQueue() { x.rec.Queue += x.w.loop.Now() - x.place.since }

// giveUp ends waiting. A seat that was granted meanwhile is given back when it comes.
func (x *exchange) giveUp() {
	p := x.place
	if p == nil || p.ticket == nil {
		return
	}
	x.leftQueue()
	switch {
	case p.grant != nil:
		p.refund(p.w.now(), *p.grant)
		p.grant = nil
	case !p.pool.Cancel(p.ticket):
		p.x, x.place = nil, nil
		return
	}
	p.ticket = nil
}

// queueLate takes it that the time to wait has passed.
func (x *exchange) queueLate() {
	x.giveUp()
	x.turnedAway(QueueTimeout)
	x.drive()
}
