package engine

import (
	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/services/lbd/internal/rule"
)

// beginAnswer passes the answer's head on.
func (x *exchange) beginAnswer() {
	in := x.out.bytes()[:x.res.Len]
	switch {
	case x.res.Status == 101:
		x.upgrade(in)
		return
	case x.res.Status < 200:
		x.interim(in)
		return
	}
	if x.retryInstead() {
		return
	}
	x.headCame(x.res.Status)
	if x.intercepts() {
		x.intercept()
		return
	}
	if !x.received() {
		x.last = true // what follows on the connection could be the rest of the request
	}
	framing := x.res.Response(string(x.req.Method.In(x.head())) == "HEAD", false)
	coded, coder := x.code(in, framing)
	framed := x.c.framed()
	unknown := framing.Kind == http1.Chunked || framing.Kind == http1.UntilClose || coder != nil // how long it is
	chunked := unknown && !framed && x.req.Version == http1.HTTP11
	x.last = x.last || unknown && !framed && !chunked
	kind := x.res.Get(in, http1.ContentType)
	x.answered(kind)
	x.sawGRPC(kind, in)
	if framed {
		x.toClient = x.toClient[:0] // a block that was not taken stands for itself
	}
	o := headOut{b: x.toClient, framed: framed}
	x.answerHead(&o, in, chunked, coded)
	x.toClient = o.b
	absorbs := x.absorbs(in)
	x.out.use(x.res.Len)
	if x.up.done {
		x.dropKept()
	}
	if framing.Length > largeFrom {
		x.w.buffers.enlarge(&x.out)
	}
	if x.m.framed() && framing.Kind == http1.Length {
		framing = http1.Framing{Kind: http1.UntilClose} // with the stream, and its trailers: it has that length, or breaks
	}
	x.down.begin(x.m, x.c, &x.out, framing, x.toClient, chunked)
	x.down.coder, x.down.may = coder, absorbs
	x.committed = true
	x.phase = answering
	x.w.loop.SetDeadline(x.m.timer(), x.w.loop.Now()+x.plan.Timeout)
	if x.down.prime() != nil {
		x.broke()
		x.abort(Truncated)
	}
}

// answerHead appends the answer's head as it goes to the client.
func (x *exchange) answerHead(o *headOut, in []byte, chunked bool, coded encoding.Decision) {
	varies := false
	o.status(x.res.Status, x.res.Reason.In(in))
	named := x.namedByConnection(&x.res, in)
	for i := range x.res.Fields {
		f := &x.res.Fields[i]
		if f.ID.HopByHop() || f.ID == http1.XRequestID && x.plan.AnswerID || named && isNamed(&x.res, in, f) || rule.Drops(x.plan.Response, f.Name.In(in)) {
			continue
		}
		varies = varies || f.ID == http1.Vary && encoding.NamesAcceptEncoding(f.Value.In(in))
		if !x.codedField(o, f, in, coded) {
			o.copy(f, in)
		}
	}
	x.answerID(o)
	x.codedFields(o, coded, varies)
	o.edits(x.plan.Response)
	if x.plan.SetCookie != nil {
		o.field("Set-Cookie", x.plan.SetCookie)
	}
	if x.choice.Cookie != nil {
		o.field("Set-Cookie", x.choice.Cookie)
	}
	if chunked {
		o.text("Transfer-Encoding", "chunked")
	}
	x.connection(o)
	o.end()
}

// connection appends the field Connection where it says more than the version.
func (x *exchange) connection(o *headOut) {
	switch {
	case o.framed:
	case x.last:
		o.text("Connection", "close")
	case x.req.Version == http1.HTTP10:
		o.text("Connection", "keep-alive")
	}
}

// interim passes an answer of 1xx on, and waits for the next (RFC 9110 section 15.2). 100 goes only to who asked for it.
func (x *exchange) interim(in []byte) {
	if x.req.Version == http1.HTTP11 && (x.res.Status != 100 || x.req.Continue) && len(x.toClient) < maxInterim && !(x.c.framed() && len(x.toClient) > 0) {
		o := headOut{b: x.toClient, framed: x.c.framed()}
		o.status(x.res.Status, x.res.Reason.In(in))
		for i := range x.res.Fields {
			if f := &x.res.Fields[i]; !f.ID.HopByHop() {
				o.copy(f, in)
			}
		}
		o.end()
		x.toClient = o.b
		if !x.sendInterim() {
			return
		}
	}
	x.out.use(x.res.Len)
	x.res.Reset()
}

// sendInterim sends what waits of interim answers; false if the client does not take it.
func (x *exchange) sendInterim() bool {
	n, err := x.c.write(x.toClient, nil, nil)
	if err != nil && err != errAgain {
		x.clientGone()
		return false
	}
	x.toClient = append(x.toClient[:0], x.toClient[n:]...)
	return true
}

// maxInterim bounds what of interim answers waits for the client.
const maxInterim = 8 << 10

// upgrade passes 101 on and relays bytes from then on.
func (x *exchange) upgrade(in []byte) {
	protocol := x.res.Get(in, http1.Upgrade)
	if !x.c.relays() || !x.req.Upgrades || !x.res.Upgrades || !http1.EqualFold(protocol, x.req.Get(x.head(), http1.Upgrade)) {
		x.failed(failure{502, BadUpgrade, false, pool.Garbage})
		return
	}
	x.headCame(101)
	o := headOut{b: x.toClient}
	o.status(101, nil)
	for i := range x.res.Fields {
		if f := &x.res.Fields[i]; !f.ID.HopByHop() {
			o.copy(f, in)
		}
	}
	o.text("Connection", "Upgrade")
	o.field("Upgrade", protocol)
	o.end()
	x.toClient = o.b
	x.out.use(x.res.Len)
	x.w.buffers.get(&x.body, bufferLen)
	rest := x.in.bytes()[x.req.Len:]
	x.body.w = copy(x.body.b, rest)
	x.in.w -= len(rest)
	forever := http1.Framing{Kind: http1.UntilClose}
	x.down.begin(x.m, x.c, &x.out, forever, x.toClient, false)
	x.up.begin(x.c, x.m, &x.body, forever, nil, false)
	x.committed, x.last = true, true
	x.phase = tunnel
	x.w.e.tunnels.Add(1)
	x.w.loop.SetDeadline(x.m.timer(), 0)
}

// relay moves bytes both ways until both ends have ended, or one breaks. The end of one direction is passed on.
func (x *exchange) relay(budget *int) bool {
	if !x.relayOne(&x.up, x.m, budget) || !x.relayOne(&x.down, x.c, budget) {
		x.abort(NoReason)
		return false
	}
	if x.up.done && x.down.done {
		x.dropMember()
		x.last = true
		x.record()
		x.c.over(x, false)
		return false
	}
	return *budget <= 0
}

// relayOne moves what there is one way; false if that way broke.
func (x *exchange) relayOne(f *flow, to interface{ endSending() error }, budget *int) bool {
	was := f.done
	return f.pump(budget) == nil && (was || !f.done || to.endSending() == nil)
}
