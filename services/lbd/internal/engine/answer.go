package engine

import (
	"strconv"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/rule"
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
	b = http1.AppendStatusLine(b, status, nil)
	b = x.ownFields(b, status, why)
	planned := x.plan.Pool == nil && status == x.plan.Status // not a failure on the way
	kind, body := textType, strconv.Itoa(status)+" "+http1.Reason(status)+"\n"
	if planned && x.plan.Type != "" {
		kind, body = x.plan.Type, x.plan.Body
	}
	if !rule.Drops(x.plan.Response, contentType) {
		b = http1.AppendField(b, "Content-Type", []byte(kind))
	}
	if planned && x.plan.Location != nil {
		b = http1.AppendField(b, "Location", x.plan.Location)
	}
	b = appendEdits(b, x.plan.Response)
	b = http1.AppendLength(b, int64(len(body)))
	b = append(x.connection(b), "\r\n"...)
	if string(x.req.Method.In(x.in.bytes())) == "HEAD" {
		return b
	}
	return append(b, body...)
}

const textType = "text/plain; charset=utf-8"

var contentType = []byte("content-type")

// ownFields appends what goes with a status that is an error.
func (x *exchange) ownFields(b []byte, status int, why Reason) []byte {
	if status >= 400 {
		b = append(b, "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"...)
	}
	switch status {
	case 503:
		b = append(b, "Retry-After: 1\r\n"...)
	case 405:
		b = append(b, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"...)
	}
	if x.plan.Tell {
		b = http1.AppendField(b, "X-Everup-Reason", []byte(why))
	}
	return b
}

// appendEdits appends the fields that edits set and add.
func appendEdits(b []byte, edits []rule.Edit) []byte {
	for i := range edits {
		if edits[i].Op != rule.Remove {
			b = http1.AppendField(b, edits[i].Name, edits[i].Value)
		}
	}
	return b
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
