package engine

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// phase is how far an exchange is.
type phase uint8

const (
	reading   phase = iota // the request's head
	gathering              // of the request's content what is wanted before a member is asked
	waiting                // for the answer's head
	answering              // the member's answer passes
	own                    // our answer does
	tunnel                 // after an upgrade
)

// exchange is one request and its answer. It is used again and again.
type exchange struct {
	w     *worker
	c     *client // nil: not in use
	m     *member // nil: none asked
	phase phase

	in    buffer // the request's head; without content also what follows it
	body  buffer // the request's content and what follows it
	out   buffer // the answer
	req   http1.Head
	res   http1.Head
	up    flow
	down  flow
	ready int // bytes of body when a member was asked: they can be sent again if no more was read

	probe  http1.Chunks // looks at chunked content before any of it is sent
	probed int          // bytes of body that it has seen

	plan     Plan
	choice   Choice
	tried    []string
	toMember []byte // the head
	toClient []byte // the head, or all of our own answer

	start     time.Duration
	until     time.Duration // the answer's head is waited for
	tryUntil  time.Duration // likewise, in this try
	timing    bool          // the head's deadline is set
	heard     bool          // something of an answer came
	upBroken  bool          // the member does not take the request
	last      bool          // the client's connection ends with the answer
	committed bool          // something of the answer is on its way to the client
	rec       Record
}

// reset forgets a request, but not its memory.
func (x *exchange) reset() {
	*x = exchange{
		w: x.w, c: x.c, in: x.in, body: x.body, out: x.out, req: x.req, res: x.res,
		up: flow{trailer: x.up.trailer, body: x.up.body}, down: flow{trailer: x.down.trailer, body: x.down.body},
		tried: x.tried[:0], probe: x.probe, plan: Plan{Scratch: x.plan.Scratch}, toMember: x.toMember[:0], toClient: x.toClient[:0],
	}
	x.req.Reset()
	x.res.Reset()
	x.probe.Reset()
}

// begin waits for a request.
func (x *exchange) begin() { x.reset() }

// drive goes on as far as it can.
func (x *exchange) drive() {
	budget := turnBytes
	for x.c != nil && budget > 0 && x.step(&budget) {
	}
	if x.c == nil {
		return // it is over, or the client has no request under way
	}
	x.setDeadlines()
	if budget <= 0 {
		x.w.loop.Again(x.c.ref)
	}
}

// step does one thing; false if there is nothing to be done now.
func (x *exchange) step(budget *int) bool {
	switch x.phase {
	case reading:
		return x.readHead()
	case gathering:
		return x.gather()
	case waiting:
		return x.wait(budget)
	case answering:
		return x.answer(budget)
	case tunnel:
		return x.relay(budget)
	}
	return x.sendOwn(budget)
}

// readHead reads the request's head.
func (x *exchange) readHead() bool {
	lim := &x.w.e.o.Limits
	for {
		if !x.in.empty() {
			done, why := x.req.ParseRequest(x.in.bytes(), lim)
			if why != http1.OK {
				x.malformed(why)
				return true
			}
			if done {
				x.decide()
				return true
			}
			if x.in.w-x.in.r == len(x.in.b) {
				x.in.grow(lim.Head + 1) // one more, so that it is the parser that refuses
			}
		}
		n, err := x.c.read(x.in.room())
		switch {
		case err == nil:
			x.in.w += n
		case err == errAgain && x.in.empty():
			x.c.park()
			return false
		case err == errAgain:
			return false
		default: // between two requests, or within a head: nobody waits for an answer
			x.c.close()
			return false
		}
	}
}

// head returns the bytes of the request's head.
func (x *exchange) head() []byte { return x.in.b[x.in.r : x.in.r+x.req.Len] }

// decide asks the site what is to be done.
func (x *exchange) decide() {
	x.start = x.w.loop.Now()
	x.w.e.counts.requests.Add(1)
	x.rec = Record{Request: Request{Head: &x.req, Bytes: x.head(), Peer: x.c.peer}, Start: x.w.now()}
	x.last = x.req.Close || x.w.closing
	x.w.e.site.Decide(&x.rec.Request, &x.plan)
	x.takeBody()
	switch {
	case x.plan.Drop:
		x.abort(x.plan.Reason)
		return
	case x.plan.Pool == nil:
		x.answerOwn(x.plan.Status, x.plan.Reason)
		return
	case x.plan.MaxBody > 0 && x.req.Body.Length > x.plan.MaxBody:
		x.answerOwn(413, TooLarge)
		return
	}
	x.rec.Pool = x.plan.Pool.Name()
	x.until = x.start + x.plan.Timeout
	x.phase = gathering
}

// hasBody reports whether the request has content.
func (x *exchange) hasBody() bool {
	b := x.req.Body
	return b.Kind == http1.Chunked || b.Kind == http1.Length && b.Length > 0
}

// received reports whether the client has sent all of the request.
func (x *exchange) received() bool { return !x.hasBody() || x.up.body.Done() && x.up.src != nil }

// takeBody moves what has come of the content to a buffer of its own, for the head stays until the end.
func (x *exchange) takeBody() {
	if !x.hasBody() {
		return
	}
	size := bufferLen
	if b := x.req.Body; idempotent(x.req.Method.In(x.head())) && (b.Kind == http1.Chunked || b.Length > bufferLen && b.Length <= largeLen) {
		size = largeLen // it is kept for another try
	}
	x.w.buffers.get(&x.body, size)
	rest := x.in.bytes()[x.req.Len:]
	if len(rest) > len(x.body.b) { // the head had a larger buffer
		x.body.b = make([]byte, len(rest))
	}
	x.body.w = copy(x.body.b, rest)
	x.in.w = x.in.r + x.req.Len
}

// gather reads of the content what is wanted before a member is asked: where the request may be sent twice all of it, if it is not
// long; of other chunked content the first piece, so that what is malformed from its start reaches no member. A client that
// waits to be told to send it is not waited for.
func (x *exchange) gather() bool {
	for {
		enough, why := x.gathered()
		if why != http1.OK {
			x.up.refusal = why
			x.badBody(errMalformed)
			return true
		}
		if enough {
			x.try()
			return true
		}
		n, err := x.c.read(x.body.room())
		if err == errAgain {
			return false
		}
		if err != nil {
			x.clientGone()
			return true
		}
		x.body.w += n
	}
}

func (x *exchange) gathered() (enough bool, why http1.Refusal) {
	b := x.req.Body
	repeats := idempotent(x.req.Method.In(x.head()))
	full := x.body.w == len(x.body.b)
	switch {
	case !x.hasBody() || x.req.Continue:
		return true, http1.OK
	case b.Kind == http1.Length:
		return !repeats || int64(x.body.w) >= b.Length || full || b.Length > int64(len(x.body.b)), http1.OK
	}
	seen := false
	for x.probed < x.body.w && !x.probe.Done() {
		data, n, why := x.probe.Next(x.body.b[x.probed:x.body.w])
		if why != http1.OK {
			return false, why
		}
		x.probed += n
		seen = seen || len(data) > 0
	}
	return x.probe.Done() || full || seen && !repeats, http1.OK
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
	}
	x.ask(!idempotent(x.req.Method.In(x.head())))
}

// ask sends the request to the member that was chosen.
func (x *exchange) ask(fresh bool) {
	x.toMember = x.requestHead(x.toMember[:0])
	x.body.r, x.body.w = 0, x.ready
	x.up.begin(&x.c.sock, nil, &x.body, x.req.Body, x.toMember, x.req.Body.Kind == http1.Chunked)
	x.up.limit = x.plan.MaxBody
	if err := x.up.prime(); err != nil {
		x.badBody(err)
		return
	}
	m, err := x.w.reach(x.choice.Addr, fresh)
	if err != nil {
		x.phase = waiting
		x.failed(failure{503, ConnectError, true, true})
		return
	}
	x.m, m.x = m, x
	x.up.dst = &m.sock
	x.heard, x.upBroken = false, false
	x.res.Reset()
	now := x.w.loop.Now()
	x.tryUntil = x.until
	if x.plan.PerTry > 0 {
		x.tryUntil = min(x.until, now+x.plan.PerTry)
	}
	wait := x.tryUntil
	if m.connecting {
		wait = min(wait, now+x.plan.Connect)
	}
	x.w.loop.SetDeadline(m.ref, wait)
	x.phase = waiting
}

// wait sends the request and waits for the answer's head.
func (x *exchange) wait(budget *int) bool {
	if x.m.connecting {
		switch err := x.m.connected(); {
		case err == errAgain:
			return false
		case err != nil:
			x.failed(failure{503, ConnectError, true, true})
			return true
		}
		x.w.loop.SetDeadline(x.m.ref, x.tryUntil)
	}
	if len(x.toClient) > 0 && !x.sendInterim() {
		return true
	}
	if !x.upBroken {
		if err := x.up.pump(budget); err != nil && !x.uploadFailed(err) {
			return true
		}
	}
	return x.readAnswer()
}

// uploadFailed takes in what has ended the upload; true if an answer may come all the same.
func (x *exchange) uploadFailed(err error) bool {
	switch err {
	case errSink:
		x.upBroken, x.last = true, true
		return true
	case errSource:
		x.clientGone()
		return false
	}
	x.badBody(err)
	return false
}

// readAnswer reads the answer's head. True if it went on.
func (x *exchange) readAnswer() bool {
	x.w.buffers.get(&x.out, bufferLen)
	for {
		if !x.out.empty() {
			done, why := x.res.ParseResponse(x.out.bytes(), &x.w.e.o.Limits)
			if why != http1.OK {
				x.failed(failure{502, BadAnswer, false, false})
				return true
			}
			if done {
				x.beginAnswer()
				return true
			}
			if x.out.w-x.out.r == len(x.out.b) {
				x.out.grow(x.w.e.o.Limits.Head + 1)
			}
		}
		n, err := x.m.read(x.out.room())
		switch {
		case err == nil:
			x.out.w += n
			x.heard = true
		case err == errAgain:
			return false
		default:
			x.memberEnded(err)
			return true
		}
	}
}

// memberEnded judges a connection that broke before there was an answer.
func (x *exchange) memberEnded(err error) {
	again := x.repeatable()
	switch {
	case x.heard:
		x.failed(failure{502, BadAnswer, false, false})
	case x.m.reused && again:
		// It may have been closed for having been idle: that says nothing of the member.
		x.m.close()
		x.m = nil
		x.ask(true)
	default:
		x.failed(failure{502, ClosedEarly, again, true})
	}
}

// answer passes the answer on, and what is left of the request.
func (x *exchange) answer(budget *int) bool {
	if !x.up.done && !x.upBroken {
		switch err := x.up.pump(budget); err {
		case nil:
		case errSink:
			x.upBroken, x.last = true, true
		case errSource:
			x.abort(ClientGone)
			return false
		default:
			x.abort(reasonOf(err))
			return false
		}
	}
	switch err := x.down.pump(budget); {
	case err == errSink:
		x.abort(ClientGone)
		return false
	case err != nil:
		x.abort(Truncated)
		return false
	case !x.down.done:
		return *budget <= 0
	}
	x.finish()
	return true
}

// finish ends an exchange whose answer is sent.
func (x *exchange) finish() {
	if m := x.m; m != nil {
		x.m = nil
		if x.up.done && !x.res.Close && !x.down.body.UntilClose() && x.out.empty() {
			x.w.keep(m)
		} else {
			m.close()
		}
	}
	uploaded := x.received()
	x.record()
	switch {
	case !uploaded, x.rec.Refusal != http1.OK, x.last && !x.in.empty() && x.in.w > x.in.r+x.req.Len:
		x.c.startLinger()
	case x.last:
		x.c.close()
	default:
		x.next()
	}
}

// next goes on with what follows the request.
func (x *exchange) next() {
	if x.body.b != nil {
		x.in, x.body = x.body, x.in
	} else {
		x.in.use(x.req.Len)
	}
	x.w.buffers.put(&x.body)
	x.w.buffers.put(&x.out)
	x.reset()
}

// record tells the site.
func (x *exchange) record() {
	x.release()
	if x.phase == tunnel {
		x.w.e.tunnels.Add(-1)
	}
	x.rec.Duration = x.w.loop.Now() - x.start
	x.rec.Sent, x.rec.Received = x.down.carried, x.up.carried
	x.w.e.site.Done(&x.rec)
}

// release gives the choice of a member back.
func (x *exchange) release() {
	if x.choice.Member != "" {
		x.plan.Pool.Release(x.choice.Member)
		x.choice = Choice{}
	}
}

// abort ends the exchange and both connections.
func (x *exchange) abort(why Reason) {
	if x.m != nil {
		x.m.close()
		x.m = nil
	}
	if x.phase > reading || x.plan.Drop {
		x.rec.Reason = why
		if x.rec.Status == 0 {
			x.rec.Status = statusClientGone
		}
		x.record()
	}
	x.c.close()
}

func (x *exchange) clientGone() { x.abort(ClientGone) }

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
