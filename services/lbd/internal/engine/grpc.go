package engine

import (
	"strings"

	"github.com/everup/everup/services/lbd/internal/grpc"
	"github.com/everup/everup/services/lbd/internal/http1"
)

// tellsGRPC reports whether an answer of ours is an error for a client that speaks gRPC, which reads statuses in a place of its own. gRPC is
// spoken over HTTP/2 alone: by HTTP/1 the client is another one, whatever it says it sends.
func (x *exchange) tellsGRPC(status int) bool {
	return status >= 400 && x.c.framed() && grpc.IsType(x.req.Get(x.in.bytes(), http1.ContentType))
}

// grpcHead appends the head of an error as gRPC has it: all of the answer is a head, whose status is 200 (Trailers-Only). The record keeps the
// status that others would be told.
func (x *exchange) grpcHead(o *headOut, a *ownAnswer) {
	x.rec.GRPC = grpc.Of(a.status)
	o.status(200, nil)
	x.say(o, "Content-Type", []byte(grpc.Type))
	o.begin("Grpc-Status")
	o.b = x.rec.GRPC.Append(o.b)
	o.done()
	o.begin("Grpc-Message")
	o.b = grpc.AppendMessage(o.b, x.message(a))
	o.done()
	x.content = x.content[:0]
	x.ownFields(o, a)
}

// message is what a call's error says for people: the operator's text, else the line that other clients get.
func (x *exchange) message(a *ownAnswer) []byte {
	if p := &x.plan; a.planned && strings.HasPrefix(p.Type, "text/plain") {
		x.content = append(x.content[:0], p.Body...)
	} else {
		x.content = appendLine(x.content[:0], a.status)
	}
	return x.content
}

// sawGRPC notes that the member's answer is one to a call, and how the call has ended, if its head says that already.
func (x *exchange) sawGRPC(kind, in []byte) {
	if x.calls = grpc.IsType(kind); !x.calls {
		return
	}
	for i := range x.res.Fields {
		if f := &x.res.Fields[i]; f.ID == http1.Other && http1.Equal(f.Name.In(in), "grpc-status") {
			x.rec.GRPC = grpc.Parse(f.Value.In(in))
		}
	}
}

// endGRPC notes how a call has ended.
func (x *exchange) endGRPC() {
	if !x.calls || x.down.trailed == nil {
		return
	}
	x.down.trailed.Trailers(func(name, value []byte) {
		if http1.Equal(name, "grpc-status") {
			x.rec.GRPC = grpc.Parse(value)
		}
	})
}
