package engine

import "github.com/everup/everup/services/lbd/internal/pool"

// failure is what a try has come to.
type failure struct {
	status int
	reason Reason
	again  bool         // another try is allowed by what was sent and received
	blame  pool.Failure // of the member
}

// try asks for a member.
func (x *exchange) try() {
	if len(x.tried) == 0 {
		x.ready = x.body.w
		x.rec.Gather = x.w.loop.Now() - x.start - x.rec.Delay - x.rec.Queue
	}
	if x.place == nil {
		x.place = &place{w: x.w, x: x}
	}
	x.place.pool = x.plan.Pool
	a := &x.plan.Ask
	a.Tried, a.Retry, a.Waiter = x.tried, x.rec.Retries > 0, x.place
	choice, ticket, outcome := x.plan.Pool.Pick(x.w.now(), a)
	switch outcome {
	case pool.Granted:
		x.seated(choice)
	case pool.Queued:
		x.queued(ticket)
	default:
		x.unseated(outcome)
	}
}

// seated asks the member that was chosen.
func (x *exchange) seated(c pool.Choice) {
	x.choice = c
	x.rec.Member = c.Seat.Member.Name()
	x.ask(!x.shares())
}

// shares reports whether the request may go on a connection that has served others. A member may close one at that moment: then the request is
// to be sent once more. In HTTP/2 the member says what it has not looked at.
func (x *exchange) shares() bool {
	if via := x.plan.Via; via != nil && (via.Share || via.HTTP2) {
		return true
	}
	return idempotent(x.req.Method.In(x.head())) && (x.req.Continue || x.atHand())
}

// unseated answers a request that gets no member.
func (x *exchange) unseated(o pool.Outcome) {
	switch o {
	case pool.CircuitOpen:
		x.turnedAway(BreakerOpen)
	case pool.QueueFull:
		x.turnedAway(QueueFull)
	default:
		x.turnedAway(NoMember)
	}
}

// turnedAway answers in place of a member; after a failed try with what that has come to.
func (x *exchange) turnedAway(why Reason) {
	if x.rec.Reason == NoReason {
		x.rec.Status, x.rec.Reason = 503, why
	}
	x.answerOwn(x.rec.Status, x.rec.Reason)
}

// ask sends the request to the member that was chosen.
func (x *exchange) ask(fresh bool) {
	x.phase = waiting
	now := x.w.loop.Now()
	x.asked, x.rec.Connect = now, 0
	m, err := x.w.reach(x, fresh)
	if err != nil {
		x.failed(unopened(err))
		return
	}
	x.m = m
	x.toMember = x.requestHead(x.toMember[:0], m.framed())
	if !x.beginUp(m) {
		return
	}
	x.heard, x.upBroken = false, false
	x.res.Reset()
	x.tryUntil = x.until
	if x.plan.PerTry > 0 {
		x.tryUntil = min(x.until, now+x.plan.PerTry)
	}
	wait := x.tryUntil
	if x.connected = m.opened() == nil; !x.connected {
		wait = min(wait, now+x.plan.Connect)
	}
	x.w.loop.SetDeadline(m.timer(), wait)
}

// memberEnded judges a connection that broke before there was an answer.
func (x *exchange) memberEnded(err error) {
	again := x.repeatable() || x.untaken()
	blame := pool.Closed
	unprocessed := err == errRefused || err == errGone
	if unprocessed {
		blame = pool.None
		again = x.stays() // safe whatever the method
	}
	switch {
	case err == errCanceled && x.c.framed() && !again:
		// As gRPC's servers do when the request's deadline is over: an answer of ours would say something else.
		x.rec.Status = 502
		x.abort(ClosedEarly)
	case x.heard:
		x.failed(failure{502, BadAnswer, false, pool.Garbage})
	case err == errElsewhere, err == errGone && again:
		x.dropMember()
		x.ask(false) // on another connection: this one has served others, so that each is a step ahead
	case x.m.reused() && again && !unprocessed:
		// It may have been closed for having been idle: that says nothing of the member.
		x.dropMember()
		x.ask(true)
	default:
		x.failed(failure{502, ClosedEarly, again, blame})
	}
}

// failed ends a try, and makes another where that makes sense.
func (x *exchange) failed(f failure) {
	x.result = pool.Result{Failure: f.blame, Head: x.w.loop.Now() - x.asked}
	x.rec.Status, x.rec.Reason = f.status, f.reason
	if !f.again || !x.mayRetry() {
		x.dropMember()
		x.w.buffers.put(&x.out)
		x.answerOwn(f.status, f.reason)
		return
	}
	x.retry()
}

// retryInstead makes another try in place of passing on an answer whose status says that the member could not do it; false if the answer
// is to be passed on. Its connection is not used again, for its content is not read.
func (x *exchange) retryInstead() bool {
	if !x.plan.RetryOn.Has(x.res.Status) || !x.repeatable() || !x.mayRetry() {
		return false
	}
	x.result = pool.Result{Status: x.res.Status, Head: x.w.loop.Now() - x.asked}
	x.rec.Status, x.rec.Reason = x.res.Status, BadStatus
	x.retry()
	return true
}

// mayRetry reports whether the bounds of tries allow one more, and counts it.
func (x *exchange) mayRetry() bool {
	return x.rec.Retries < x.plan.Retries && x.w.loop.Now() < x.until && x.plan.Pool.Retry(x.w.now())
}

// retry makes another try, which mayRetry has allowed.
func (x *exchange) retry() {
	x.dropMember()
	x.w.buffers.put(&x.out)
	x.tried = append(x.tried, x.choice.Seat.Member)
	x.release()
	x.rec.Retries++
	x.w.e.site.Retried(x.plan.Pool.Name(), x.rec.Reason)
	x.try()
}

// headCame notes that the head of a final answer has come.
func (x *exchange) headCame(status int) {
	x.rec.Status, x.rec.Reason = status, NoReason
	x.rec.Head = x.w.loop.Now() - x.start
	x.result = pool.Result{Status: status, Head: x.w.loop.Now() - x.asked}
}

// report tells the pool what came of an exchange that goes on for longer.
func (x *exchange) report() {
	if x.choice.Seat.Member != nil && !x.reported && x.result.Status != 0 {
		x.reported = true
		x.plan.Pool.Report(x.w.now(), x.choice.Seat, x.result)
	}
}

// broke notes that the member's answer broke off after its head.
func (x *exchange) broke() {
	x.report()
	x.result, x.reported = pool.Result{Failure: pool.Truncated}, false
}

// release gives the choice of a member back, or the place in the queue.
func (x *exchange) release() {
	x.giveUp()
	if x.choice.Seat.Member != nil {
		x.plan.Pool.Release(x.w.now(), x.choice.Seat, x.result, x.reported)
		x.choice, x.result, x.reported = pool.Choice{}, pool.Result{}, false
	}
}

// repeatable reports whether the request can be sent once more although the member may have done it.
func (x *exchange) repeatable() bool { return x.stays() && idempotent(x.req.Method.In(x.head())) }

// stays reports whether all of the request's content that has come is here, so that it can be sent once more.
func (x *exchange) stays() bool { return x.up.reads == 0 || x.body.whole }

// untaken reports whether the member has closed its connection before it got anything of the request, which can be sent once more then.
func (x *exchange) untaken() bool {
	m, ok := x.m.(*member)
	return ok && x.stays() && m.untaken()
}

// idempotent reports whether doing the method twice is as good as once (RFC 9110 section 9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}
