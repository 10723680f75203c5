package engine

import (
	"strconv"
	"time"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/files"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/page"
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
	x.dropKept()
	x.last = x.last || !x.received()
	a := &ownAnswer{status: status, why: why, planned: x.plan.Pool == nil && status == x.plan.Status}
	if a.planned {
		x.takeFile(a)
	}
	x.rec.Status, x.rec.Reason = a.status, a.why
	if x.c.framed() {
		x.toClient = x.toClient[:0] // a block that was not taken stands for itself
	}
	o := headOut{b: x.toClient, framed: x.c.framed()}
	if x.tellsGRPC(a.status) {
		x.grpcHead(&o, a)
	} else {
		x.ownHead(&o, a)
	}
	x.answered(nil) // where there was no type
	x.connection(&o)
	o.end()
	x.toClient = o.b
	x.sendHead(a)
	x.committed = true
	x.phase = own
}

// ownAnswer is an answer of ours while it is made.
type ownAnswer struct {
	status  int
	why     Reason
	planned bool          // not a failure on the way
	file    *files.Answer // nil: its content is in memory
	coded   encoding.Decision
	coder   *encoding.Encoder // of the file's content; nil: it goes as it is
	chunked bool
}

// ownHead appends the head of an answer of ours, and makes its text.
func (x *exchange) ownHead(o *headOut, a *ownAnswer) {
	o.status(a.status, nil)
	x.ownFields(o, a)
	switch {
	case noContent(a.status):
		x.content = x.content[:0]
	case a.file != nil && a.status < 300:
		x.fileLength(o, a)
	default:
		x.ownText(o, a)
	}
}

// sendHead begins to send an answer of ours.
func (x *exchange) sendHead(a *ownAnswer) {
	if a.file != nil && len(a.file.Content) > 0 {
		x.beginFile(a)
		return
	}
	x.closeFile()
	x.down.begin(nil, x.c, &x.out, http1.Framing{}, x.toClient, false)
	if !x.forHead() {
		x.down.data = x.content
	}
}

// forHead reports whether the request's method is HEAD, whose answer has no content.
func (x *exchange) forHead() bool { return string(x.req.Method.In(x.in.bytes())) == "HEAD" }

// noContent reports whether answers with a status have no content and no length (RFC 9110 section 8.6).
func noContent(status int) bool { return status == 204 || status == 304 }

const (
	textType = "text/plain; charset=utf-8"
	htmlType = "text/html; charset=utf-8"
)

// ownText makes x.content what the answer says for people, and tells its type and length.
func (x *exchange) ownText(o *headOut, a *ownAnswer) {
	kind, b := textType, x.content[:0]
	p := x.plan.Pages.Find(a.status)
	switch {
	case a.planned && x.plan.Type != "":
		kind, b = x.plan.Type, append(b, x.plan.Body...)
	case p != nil && page.WantsHTML(x.req.Get(x.in.bytes(), http1.Accept)):
		kind = htmlType
		b = p.Append(b, &page.Vars{Status: a.status, Why: string(a.why), Host: x.rec.Request.Host(), RequestID: x.plan.ID, RetryAfter: x.retryAfter()})
	default:
		b = appendLine(b, a.status)
	}
	x.content = b
	x.say(o, "Content-Type", []byte(kind))
	o.length(int64(len(b)))
}

// appendLine appends the line that says a status.
func appendLine(b []byte, status int) []byte {
	b = append(strconv.AppendInt(b, int64(status), 10), ' ')
	return append(append(b, http1.Reason(status)...), '\n')
}

// ownFields appends the fields that are not about content in memory.
func (x *exchange) ownFields(o *headOut, a *ownAnswer) {
	o.begin("Date")
	o.b = http1.AppendDate(o.b, time.Now().Unix())
	o.done()
	x.fileFields(o, a)
	if a.status >= 400 {
		x.say(o, "X-Content-Type-Options", []byte("nosniff"))
		x.say(o, "Cache-Control", []byte("no-store"))
	}
	switch {
	case a.status == 503:
		x.say(o, "Retry-After", strconv.AppendInt(nil, int64(x.retryAfter()), 10))
	case a.status == 405 && a.file == nil:
		x.say(o, "Allow", []byte("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
	}
	if x.plan.Tell {
		o.text("X-Everup-Reason", string(a.why))
	}
	if x.plan.Location != nil && a.planned {
		o.field("Location", x.plan.Location)
	}
	x.keepFields(o)
	x.answerID(o)
	o.edits(x.plan.Response)
}

// say appends a field, unless the site has it in its hand.
func (x *exchange) say(o *headOut, name string, value []byte) {
	if len(x.plan.Response) > 0 && rule.Drops(x.plan.Response, []byte(name)) {
		return
	}
	if name == "Content-Type" {
		x.answered(value)
	}
	o.field(name, value)
}

// retryAfter is what 503 says, in seconds.
func (x *exchange) retryAfter() int {
	return max(int((x.plan.RetryAfter+time.Second-1)/time.Second), 1)
}

// intercepts reports whether a page of ours is to stand in place of the member's answer.
func (x *exchange) intercepts() bool {
	return x.plan.Intercept && x.res.Status >= 400 && x.plan.Pages.Find(x.res.Status) != nil &&
		page.WantsHTML(x.req.Get(x.head(), http1.Accept))
}

// intercept answers with our page for the status that the member has answered with. What it has written for people is not read.
func (x *exchange) intercept() {
	x.covered = append(x.covered[:0], x.out.bytes()[:x.res.Len]...)
	x.dropMember()
	x.w.buffers.put(&x.out)
	x.answerOwn(x.res.Status, Intercepted)
}

// keepFields appends what of an answer that we stand in for is not about its content.
func (x *exchange) keepFields(o *headOut) {
	if len(x.covered) == 0 {
		return
	}
	for i := range x.res.Fields {
		f := &x.res.Fields[i]
		switch name := f.Name.In(x.covered); {
		case rule.Drops(x.plan.Response, name):
		case f.ID == http1.SetCookie, http1.Equal(name, "www-authenticate"), http1.Equal(name, "allow"):
			o.copy(f, x.covered)
		}
	}
}

// sendOwn sends our answer.
func (x *exchange) sendOwn(budget *int) bool {
	switch x.down.pump(budget) {
	case nil:
	case errSink:
		x.abort(ClientGone)
		return false
	default:
		x.abort(FileError)
		return false
	}
	if !x.down.done {
		return false
	}
	x.finish()
	return true
}
