package engine

import "github.com/everup/everup/services/lbd/internal/pool"

// setDeadlines sets when the exchange's connections are late, after it has gone as far as it can. A deadline moves on only
// when something has moved, so that a trickle of events does not keep a connection that stands still.
func (x *exchange) setDeadlines() {
	l := x.w.loop
	now := l.Now()
	switch x.phase {
	case reading:
		if !x.timing {
			x.timing = true
			l.SetDeadline(x.c.timer(), now+x.w.e.o.Header)
		}
	case queuing: // queued has set it
	case gathering:
		l.SetDeadline(x.c.timer(), now+x.plan.Read)
	case waiting, answering, own:
		x.setClient()
	case tunnel:
		if up, down := x.up.news(), x.down.news(); up || down || !x.timing {
			x.timing = true
			l.SetDeadline(x.c.timer(), now+x.plan.Tunnel)
		}
	}
}

// setClient sets the client's deadline by whom the exchange waits for.
func (x *exchange) setClient() {
	l := x.w.loop
	now := l.Now()
	up := x.phase != own && !x.up.done && !x.upBroken && !x.up.pending()
	down := x.committed && !x.down.done && (x.down.pending() || x.down.file != nil) // a file is always there
	switch {
	case down:
		if x.down.moved || !x.timing {
			l.SetDeadline(x.c.timer(), now+x.plan.Write)
		}
	case up:
		talks := x.phase == answering && x.down.heard // who listens to an answer may have nothing to say meanwhile, as in a call of gRPC
		if x.up.heard || x.up.moved || talks || !x.timing {
			l.SetDeadline(x.c.timer(), now+x.plan.Read)
		}
	default:
		l.SetDeadline(x.c.timer(), 0)
	}
	x.timing = up || down
	if x.phase == answering && x.m != nil {
		x.setMember(down)
	}
	x.up.news()
	x.down.news()
}

// setMember sets the deadline of a member that answers. down says that the client is waited for, whose time is not the member's, unless the
// answer is taken all the same.
func (x *exchange) setMember(down bool) {
	f := &x.down
	switch {
	case f.over || down && !f.stores():
		x.w.loop.SetDeadline(x.m.timer(), 0)
		x.stalled = true
	case f.heard || x.stalled:
		x.w.loop.SetDeadline(x.m.timer(), x.w.loop.Now()+x.plan.Timeout)
		x.stalled = false
	}
}

// news reports whether something has moved since it was last asked.
func (f *flow) news() bool {
	moved := f.heard || f.moved
	f.heard, f.moved = false, false
	return moved
}

// clientLate takes it that the client's deadline has passed.
func (x *exchange) clientLate() {
	switch x.phase {
	case delayed:
		x.waited()
		x.proceed()
		x.drive()
	case queuing:
		x.queueLate()
	case gathering, waiting:
		x.dropMember()
		x.last = true
		x.answerOwn(408, ClientSlow)
		x.drive()
	default:
		x.abort(ClientSlow)
	}
}

// memberLate takes it that the member's deadline has passed.
func (x *exchange) memberLate() {
	switch x.phase {
	case waiting:
		switch now := x.w.loop.Now(); {
		case !x.connected && now < x.tryUntil:
			x.failed(failure{503, whyLate(x.m), true, pool.Connect})
		default:
			again := now < x.until && !x.heard && x.repeatable()
			blame := pool.Late
			if !x.up.done && !x.up.pending() {
				blame = pool.None // it is the client that was waited for
			}
			x.failed(failure{504, TimedOut, again, blame})
		}
		x.drive()
	case answering:
		x.broke()
		x.abort(Truncated)
	}
}
