package engine

import "github.com/everup/everup/services/lbd/internal/http1"

// failure is what a try has come to.
type failure struct {
	status  int
	reason  Reason
	again   bool // another try is allowed by what was sent and received
	suspect bool // the member is to blame
}

// try asks a member.
func (x *exchange) try() {
	choice, ok := x.plan.Pool.Pick(x.w.now(), x.tried)
	if !ok {
		if x.rec.Reason == NoReason {
			x.rec.Status, x.rec.Reason = 503, NoMember
		}
		x.answerOwn(x.rec.Status, x.rec.Reason)
		return
	}
	x.choice = choice
	x.rec.Member = choice.Member
	if len(x.tried) == 0 {
		x.ready = x.body.w
		x.rec.Gather = x.w.loop.Now() - x.start - x.rec.Delay - x.rec.Queue
	}
	x.ask(!idempotent(x.req.Method.In(x.head())))
}

// ask sends the request to the member that was chosen.
func (x *exchange) ask(fresh bool) {
	x.phase = waiting
	x.asked, x.rec.Connect = x.w.loop.Now(), 0
	m, err := x.w.reach(x, fresh)
	if err != nil {
		x.failed(unopened(err))
		return
	}
	x.m = m
	x.toMember = x.requestHead(x.toMember[:0], m.framed())
	x.body.r, x.body.w = 0, x.ready
	x.up.begin(x.c, m, &x.body, x.req.Body, x.toMember, x.hasBody() && x.req.Body.Kind != http1.Length && !m.framed())
	x.up.limit = x.plan.MaxBody
	if err := x.up.prime(); err != nil {
		x.badBody(err)
		return
	}
	x.heard, x.upBroken = false, false
	x.res.Reset()
	now := x.w.loop.Now()
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
	again := x.repeatable()
	switch {
	case x.heard:
		x.failed(failure{502, BadAnswer, false, false})
	case x.m.reused() && again:
		// It may have been closed for having been idle: that says nothing of the member.
		x.dropMember()
		x.ask(true)
	default:
		x.failed(failure{502, ClosedEarly, again, true})
	}
}

// failed ends a try, and makes another where that makes sense.
func (x *exchange) failed(f failure) {
	x.dropMember()
	member, now := x.choice.Member, x.w.now()
	x.release()
	if f.suspect {
		x.plan.Pool.Failed(member, now)
	}
	x.tried = append(x.tried, member)
	x.rec.Status, x.rec.Reason = f.status, f.reason
	x.w.buffers.put(&x.out)
	if !f.again || len(x.tried) > x.plan.Retries || x.w.loop.Now() >= x.until || !x.plan.Pool.Retry(now) {
		x.answerOwn(f.status, f.reason)
		return
	}
	x.rec.Retries++
	x.w.e.site.Retried(x.plan.Pool.Name(), f.reason)
	x.try()
}

// release gives the choice of a member back.
func (x *exchange) release() {
	if x.choice.Member != "" {
		x.plan.Pool.Release(x.choice.Member)
		x.choice = Choice{}
	}
}

// repeatable reports whether the request can be sent once more although the member may have done it.
func (x *exchange) repeatable() bool { return x.up.reads == 0 && idempotent(x.req.Method.In(x.head())) }

// idempotent reports whether doing the method twice is as good as once (RFC 9110 section 9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}
