package engine

import (
	"io"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// hasBody reports whether the request has content. That of a stream may end with the stream.
func (x *exchange) hasBody() bool {
	b := x.req.Body
	return b.Kind > http1.Length || b.Kind == http1.Length && b.Length > 0
}

// received reports whether the client has sent all of the request.
func (x *exchange) received() bool { return !x.hasBody() || x.up.whole && x.up.src != nil }

// atHand reports whether all of the request's content is here.
func (x *exchange) atHand() bool {
	b := x.req.Body
	switch {
	case !x.hasBody(), x.kept != nil:
		return true
	case b.Kind == http1.Length:
		return int64(x.ready) >= b.Length
	case b.Kind == http1.UntilClose:
		return x.ended
	}
	return x.probe.Done()
}

// takeBody moves what has come of the content to a buffer of its own, for the head stays until the end.
func (x *exchange) takeBody() {
	if !x.hasBody() {
		return
	}
	size := bufferLen
	if b := x.req.Body; idempotent(x.req.Method.In(x.head())) && (b.Kind > http1.Length || b.Length > bufferLen && b.Length <= largeLen) {
		size = largeLen // it is kept for another try
	}
	if x.collects() && (x.req.Body.Kind > http1.Length || x.req.Body.Length > largeFrom) {
		size = largeLen
	}
	x.w.buffers.get(&x.body, size)
	rest := x.in.bytes()[x.req.Len:]
	if len(rest) > len(x.body.b) { // the head had a larger buffer
		x.body.b = make([]byte, len(rest))
	}
	x.body.w = copy(x.body.b, rest)
	x.body.whole = true
	x.in.w = x.in.r + x.req.Len
}

// gather reads of the content what is wanted before a member is asked: where the request may be sent twice all of it, if it is not
// long; of other chunked content the first piece, so that what is malformed from its start reaches no member. A client that
// waits to be told to send it is not waited for.
func (x *exchange) gather(budget *int) bool {
	if x.collects() {
		return x.collect(budget)
	}
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
		switch {
		case err == nil:
			x.body.w += n
		case err == errAgain:
			return false
		case err == io.EOF && x.req.Body.Kind == http1.UntilClose:
			x.ended = true
			x.try()
			return true
		default:
			x.clientGone()
			return true
		}
	}
}

func (x *exchange) gathered() (enough bool, why http1.Refusal) {
	b := x.req.Body
	repeats := idempotent(x.req.Method.In(x.head()))
	full := x.body.w == len(x.body.b)
	switch {
	case !x.hasBody() || x.req.Continue:
		return true, http1.OK
	case b.Kind == http1.UntilClose:
		return !repeats || full, http1.OK
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
