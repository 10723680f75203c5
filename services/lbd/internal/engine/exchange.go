package engine

import (
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/spool"
)

// phase is how far an exchange is.
type phase uint8

const (
	reading   phase = iota // the request's head
	delayed                // as the plan says, before anything else becomes of the request
	gathering              // of the request's content what is wanted before a member is asked
	queuing                // for a member with room
	waiting                // for the answer's head
	answering              // the member's answer passes
	own                    // our answer does
	tunnel                 // after an upgrade
)

// exchange is one request and its answer. It is used again and again.
type exchange struct {
	w     *worker
	c     front // nil: not in use
	m     back  // nil: none asked
	phase phase

	in    buffer // the request's head; without content also what follows it
	body  buffer // the request's content and what follows it
	out   buffer // the answer
	req   http1.Head
	res   http1.Head
	up    flow
	down  flow
	kept  *spool.Spool // the request's content, where it is gathered whole; nil: it is not
	ready int          // bytes of body when a member was asked: they can be sent again if no more was read
	ended bool         // content that ends with its stream is all in body

	probe    http1.Chunks  // looks at chunked content before any of it is sent
	probed   int           // bytes of body that it has seen
	trailers *http1.Chunks // behind kept

	plan     Plan
	choice   pool.Choice
	result   pool.Result // of the try; what is known of it
	reported bool        // the pool knows
	tried    []*pool.Member
	place    *place // for the pool's queue; nil: none was needed yet
	toMember []byte // the head
	toClient []byte // the head
	content  []byte // of our own answer
	file     fileSource
	covered  []byte // the head of a member's answer that a page of ours stands in for; empty: there is none

	began     time.Duration // to read the request's head
	start     time.Duration // its head is there
	asked     time.Duration // the member for a connection
	until     time.Duration // the answer's head is waited for
	tryUntil  time.Duration // likewise, in this try
	timing    bool          // the head's deadline is set
	connected bool          // the member can be sent to
	heard     bool          // something of an answer came
	stalled   bool          // the member waits for the client
	upBroken  bool          // the member does not take the request
	last      bool          // the client's connection ends with the answer
	canceled  bool          // the member gave the request up, and its client is to see just that
	committed bool          // something of the answer is on its way to the client
	typed     bool          // the answer's content type is told of
	calls     bool          // the member's answer is one of gRPC
	rec       Record
}

// reset forgets a request, but not its memory.
func (x *exchange) reset() {
	x.closeFile()
	x.up.release()
	x.down.release()
	x.dropKept()
	*x = exchange{
		w: x.w, c: x.c, in: x.in, body: x.body, out: x.out, req: x.req, res: x.res,
		up: flow{w: x.w, trailer: x.up.trailer, body: x.up.body}, down: flow{w: x.w, trailer: x.down.trailer, body: x.down.body},
		tried: x.tried[:0], probe: x.probe, plan: Plan{Scratch: x.plan.Scratch}, toMember: x.toMember[:0], toClient: x.toClient[:0],
		content: x.content[:0], covered: x.covered[:0], began: x.w.loop.Now(), place: x.place,
	}
	x.req.Reset()
	x.res.Reset()
	x.probe.Reset()
}

// drive goes on as far as it can.
func (x *exchange) drive() {
	budget := turnBytes
	for x.c != nil && budget > 0 && x.step(&budget) {
	}
	if x.c == nil {
		return // it is over, or the client has no request under way
	}
	x.report()
	x.setDeadlines()
	if budget <= 0 {
		x.w.loop.Again(x.c.timer())
	}
}

// step does one thing; false if there is nothing to be done now.
func (x *exchange) step(budget *int) bool {
	switch x.phase {
	case reading:
		return x.c.readHead(x)
	case delayed:
		return x.stay()
	case gathering:
		return x.gather(budget)
	case queuing:
		return x.queue()
	case waiting:
		return x.wait(budget)
	case answering:
		return x.answer(budget)
	case tunnel:
		return x.relay(budget)
	}
	return x.sendOwn(budget)
}

// head returns the bytes of the request's head.
func (x *exchange) head() []byte { return x.in.b[x.in.r : x.in.r+x.req.Len] }

// arrived begins the record of a request whose head is in the bytes b.
func (x *exchange) arrived(b []byte) {
	x.start = x.w.loop.Now()
	x.w.e.counts.requests.Add(1)
	from := x.c.from()
	x.rec = Record{
		Request: Request{Head: &x.req, Bytes: b, Peer: from.peer, TLS: from.tls, Known: from.known, HTTP2: x.c.framed(), Worker: x.w.number}, Start: x.w.now(),
		Timing: Timing{Handshake: from.handshake, Read: x.start - x.began},
	}
	from.handshake = 0
}

// decide asks the site what is to be done.
func (x *exchange) decide() {
	x.arrived(x.head())
	x.last = x.req.Close || x.w.closing
	x.w.e.site.Decide(&x.rec.Request, &x.plan)
	x.rec.Mark = x.plan.Mark
	if !x.delay() {
		x.proceed()
	}
}

// proceed does what was decided.
func (x *exchange) proceed() {
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
	x.until = x.w.loop.Now() + x.plan.Timeout
	x.phase = gathering
}

// wait sends the request and waits for the answer's head.
func (x *exchange) wait(budget *int) bool {
	if !x.connected {
		switch err := x.m.opened(); {
		case err == errAgain:
			return false
		case err == errElsewhere:
			x.memberEnded(err)
			return true
		case err != nil:
			x.failed(unopened(err))
			return true
		}
		x.connected = true
		x.rec.Connect = x.w.loop.Now() - x.asked
		x.w.loop.SetDeadline(x.m.timer(), x.tryUntil)
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
	case errStore:
		x.dropMember()
		x.answerOwn(500, BadStore)
		return false
	}
	x.badBody(err)
	return false
}

// readAnswer reads the answer's head. True if it went on.
func (x *exchange) readAnswer() bool {
	x.w.buffers.get(&x.out, bufferLen)
	switch err := x.m.readHead(x); err {
	case nil:
		x.beginAnswer()
	case errAgain:
		return false
	case errMalformed:
		x.failed(failure{502, BadAnswer, false, pool.Garbage})
	default:
		x.memberEnded(err)
	}
	return true
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
		x.broke()
		x.abort(Truncated)
		return false
	case !x.down.done:
		x.spareMember()
		return *budget <= 0
	}
	x.finish()
	return true
}

// finish ends an exchange whose answer is sent.
func (x *exchange) finish() {
	x.endGRPC()
	x.returnMember()
	rest := !x.received()
	x.record()
	x.c.over(x, rest)
}

// returnMember gives the member back after its answer.
func (x *exchange) returnMember() {
	m := x.m
	if m == nil {
		return
	}
	x.m = nil
	if x.up.done && !x.res.Close && !x.down.body.UntilClose() && x.out.empty() {
		m.keep()
	} else {
		m.close()
	}
}

// consume lets go of the request, so that in begins with what follows it.
func (x *exchange) consume() {
	if x.body.b != nil {
		x.in, x.body = x.body, x.in
		x.in.whole = false
		x.in.use(0)
	} else {
		x.in.use(x.req.Len)
	}
	x.w.buffers.put(&x.body)
	x.w.buffers.put(&x.out)
}

// record tells the site.
func (x *exchange) record() {
	x.release()
	x.waited()
	if x.phase == tunnel {
		x.w.e.tunnels.Add(-1)
	}
	x.rec.Duration = x.w.loop.Now() - x.start
	x.rec.Sent, x.rec.Received = x.down.carried, max(x.rec.Received, x.up.carried)
	x.over()
	x.w.e.site.Done(&x.rec)
}

// abort ends the exchange, and lets the client see that.
func (x *exchange) abort(why Reason) {
	if m, ok := x.m.(*h2call); ok && m.broken == errCanceled {
		x.canceled = true
	}
	x.dropMember()
	if x.phase > reading || x.plan.Drop {
		x.rec.Reason = why
		if x.rec.Status == 0 {
			x.rec.Status = statusClientGone
		}
		x.record()
	}
	x.c.cut(x)
}

// dropMember ends what there is with a member.
func (x *exchange) dropMember() {
	if x.m != nil {
		x.m.close()
		x.m = nil
	}
}

// fail lets go of what is held outside after a panic.
func (x *exchange) fail() {
	x.closeFile()
	x.dropMember()
	x.waited()
	x.over()
	if x.down.coder != nil {
		x.w.e.o.Encoders.Discard(x.down.coder) // it may be what failed
		x.down.coder = nil
	}
	x.up.release()
	x.down.release()
	x.dropKept()
	if x.phase == tunnel {
		x.w.e.tunnels.Add(-1)
	}
	x.release()
}

func (x *exchange) clientGone() { x.abort(ClientGone) }
