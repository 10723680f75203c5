package engine

import (
	"strconv"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// failure is what a try has come to.
type failure struct {
	status  int
	reason  Reason
	again   bool // another try is allowed by what was sent and received
	suspect bool // the member is to blame
}

// failed ends a try, and makes another where that makes sense.
func (x *exchange) failed(f failure) {
	if x.m != nil {
		x.m.close()
		x.m = nil
	}
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

// malformed refuses a request whose head cannot be taken. There is nothing to decide about it, and no next one.
func (x *exchange) malformed(why http1.Refusal) {
	x.start = x.w.loop.Now()
	x.w.e.counts.requests.Add(1)
	x.rec = Record{Request: Request{Head: &x.req, Bytes: x.in.bytes(), Peer: x.c.peer}, Start: x.w.now(), Refusal: why}
	x.req.Len = x.in.w - x.in.r
	x.last = true
	x.plan.Write = x.w.e.o.Header
	x.answerOwn(why.Status(), Reason(why.String()))
}

// badBody refuses a request whose content cannot be taken.
func (x *exchange) badBody(err error) {
	if x.m != nil {
		x.m.close()
		x.m = nil
	}
	x.last = true
	status, why := 400, BadBody
	if err == errTooLarge {
		status, why = 413, TooLarge
	}
	x.rec.Refusal = x.up.refusal
	x.answerOwn(status, why)
}

func reasonOf(err error) Reason {
	if err == errTooLarge {
		return TooLarge
	}
	return BadBody
}

// answerOwn answers in lbd's own name.
func (x *exchange) answerOwn(status int, why Reason) {
	x.release()
	x.rec.Status, x.rec.Reason = status, why
	x.last = x.last || !x.received()
	x.toClient = x.ownAnswer(x.toClient, status, why)
	x.down.begin(nil, &x.c.sock, &x.out, http1.Framing{}, x.toClient, false)
	x.committed = true
	x.phase = own
}

func (x *exchange) ownAnswer(b []byte, status int, why Reason) []byte {
	text := http1.Reason(status)
	b = http1.AppendStatusLine(b, status, nil)
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"...)
	switch status {
	case 503:
		b = append(b, "Retry-After: 1\r\n"...)
	case 405:
		b = append(b, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"...)
	}
	if x.plan.Tell {
		b = http1.AppendField(b, "X-Everup-Reason", []byte(why))
	}
	b = http1.AppendLength(b, int64(len("404 ")+len(text)+len("\n")))
	b = append(x.connection(b), "\r\n"...)
	if string(x.req.Method.In(x.in.bytes())) == "HEAD" {
		return b
	}
	b = strconv.AppendInt(b, int64(status), 10)
	return append(append(append(b, ' '), text...), '\n')
}

// sendOwn sends our answer.
func (x *exchange) sendOwn(budget *int) bool {
	if x.down.pump(budget) != nil {
		x.abort(ClientGone)
		return false
	}
	if !x.down.done {
		return false
	}
	x.finish()
	return true
}
