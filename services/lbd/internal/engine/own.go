package engine

import (
	"strconv"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/rule"
)

// malformed refuses a request whose head cannot be taken. There is nothing to decide about it, and no next one.
func (x *exchange) malformed(why http1.Refusal) {
	x.arrived(x.in.bytes())
	x.rec.Refusal = why
	x.req.Len = x.in.w - x.in.r
	x.last = true
	x.plan.Write = x.w.e.o.Header
	x.answerOwn(why.Status(), Reason(why.String()))
}

// badBody refuses a request whose content cannot be taken.
func (x *exchange) badBody(err error) {
	x.dropMember()
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
	o := headOut{b: x.toClient, framed: x.c.framed()}
	body := x.ownAnswer(&o, status, why)
	x.toClient = o.b
	x.down.begin(nil, x.c, &x.out, http1.Framing{}, x.toClient, false)
	if string(x.req.Method.In(x.in.bytes())) != "HEAD" {
		x.down.data = append(x.content[:0], body...)
		x.content = x.down.data
	}
	x.committed = true
	x.phase = own
}

// ownAnswer appends the head of an answer of ours and returns its content.
func (x *exchange) ownAnswer(o *headOut, status int, why Reason) (body string) {
	o.status(status, nil)
	x.ownFields(o, status, why)
	planned := x.plan.Pool == nil && status == x.plan.Status // not a failure on the way
	kind, body := textType, strconv.Itoa(status)+" "+http1.Reason(status)+"\n"
	if planned && x.plan.Type != "" {
		kind, body = x.plan.Type, x.plan.Body
	}
	if !rule.Drops(x.plan.Response, contentType) {
		o.text("Content-Type", kind)
	}
	if planned && x.plan.Location != nil {
		o.field("Location", x.plan.Location)
	}
	o.edits(x.plan.Response)
	o.length(int64(len(body)))
	x.connection(o)
	o.end()
	return body
}

const textType = "text/plain; charset=utf-8"

var contentType = []byte("content-type")

// ownFields appends what goes with a status that is an error.
func (x *exchange) ownFields(o *headOut, status int, why Reason) {
	if status >= 400 {
		o.text("X-Content-Type-Options", "nosniff")
		o.text("Cache-Control", "no-store")
	}
	switch status {
	case 503:
		o.text("Retry-After", "1")
	case 405:
		o.text("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	if x.plan.Tell {
		o.text("X-Everup-Reason", string(why))
	}
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
