package engine

import (
	"bytes"
	"hash/maphash"

	"github.com/everup/everup/services/lbd/internal/forwarded"
	"github.com/everup/everup/services/lbd/internal/http1"
)

// Inform is a set of what a member is told of the client and the request's way.
type Inform uint16

// What a member may be told.
const (
	InformFor       Inform = 1 << iota // X-Forwarded-For
	InformProto                        // X-Forwarded-Proto
	InformHost                         // X-Forwarded-Host
	InformPort                         // X-Forwarded-Port
	InformForwarded                    // Forwarded (RFC 7239)
	InformHidden                       // an identifier in Forwarded in place of the address: the same for one client while the process runs
	InformID                           // X-Request-Id
	InformVia                          // Via (RFC 9110 section 7.6.3)
	InformNoTrace                      // neither traceparent nor tracestate as they came

	InformUsual = InformFor | InformProto | InformHost
)

// informs reports whether the plan has one of the bits.
func (x *exchange) informs(what Inform) bool { return x.plan.Inform&what != 0 }

// replaced reports whether a field of the client's is not passed on because the plan has one of its own, or does not believe
// it.
func (x *exchange) replaced(id http1.ID) bool {
	switch id {
	case http1.Host:
		return x.plan.Host != nil
	case http1.XForwardedFor:
		return !x.plan.Trusted || x.informs(InformFor)
	case http1.XForwardedProto:
		return !x.plan.Trusted || x.informs(InformProto)
	case http1.XForwardedHost:
		return !x.plan.Trusted || x.informs(InformHost)
	case http1.XForwardedPort:
		return !x.plan.Trusted || x.informs(InformPort)
	case http1.Forwarded:
		return !x.plan.Trusted || x.informs(InformForwarded)
	case http1.XRequestID:
		return x.informs(InformID)
	case http1.Traceparent, http1.Tracestate:
		return x.plan.Trace != nil || x.informs(InformNoTrace)
	case http1.Expect:
		return !x.req.Continue // from who speaks HTTP/1.0
	}
	return false
}

// inform appends what the plan says.
func (x *exchange) inform(o *headOut, in []byte) {
	if x.informs(InformFor) {
		x.begin(o, "X-Forwarded-For", http1.XForwardedFor, in)
		o.b = x.c.from().peer.Addr().Unmap().AppendTo(o.b)
		o.done()
	}
	if x.informs(InformProto) {
		x.informProto(o, in)
	}
	if x.informs(InformHost) {
		if host := x.seenHost(in); len(host) > 0 {
			o.field("X-Forwarded-Host", host)
		}
	}
	if x.informs(InformPort) {
		x.informPort(o, in)
	}
	if x.informs(InformForwarded) {
		x.informForwarded(o, in)
	}
	if x.informs(InformID) && len(x.plan.ID) > 0 {
		o.field("X-Request-Id", x.plan.ID)
	}
	if x.plan.Trace != nil {
		o.field("Traceparent", x.plan.Trace)
	}
	if x.informs(InformVia) {
		o.text("Via", x.via())
	}
}

// begin begins a list with what a proxy in front that is believed has put there.
func (x *exchange) begin(o *headOut, name string, id http1.ID, in []byte) {
	o.begin(name)
	if !x.plan.Trusted {
		return
	}
	for i := range x.req.Fields {
		if f := &x.req.Fields[i]; f.ID == id && f.Value.Len() > 0 {
			o.b = append(append(o.b, f.Value.In(in)...), ", "...)
		}
	}
}

// believed returns the last field's value with an ID, if the proxy in front is believed.
func (x *exchange) believed(id http1.ID, in []byte) (v []byte) {
	if !x.plan.Trusted {
		return nil
	}
	for i := range x.req.Fields {
		if f := &x.req.Fields[i]; f.ID == id {
			v = f.Value.In(in)
		}
	}
	return v
}

// informProto appends how the client speaks.
func (x *exchange) informProto(o *headOut, in []byte) {
	if v := x.believed(http1.XForwardedProto, in); len(v) > 0 {
		o.field("X-Forwarded-Proto", v)
		return
	}
	o.text("X-Forwarded-Proto", x.proto())
}

// proto returns how whoever is connected speaks.
func (x *exchange) proto() string {
	if x.c.from().tls != nil {
		return "https"
	}
	return "http"
}

// seenHost returns the host that the client asked for.
func (x *exchange) seenHost(in []byte) []byte {
	if v := x.believed(http1.XForwardedHost, in); len(v) > 0 {
		return v
	}
	return x.rec.Request.Host()
}

// informPort appends the port that the client asked at: what a proxy in front says, else that of the host, else the scheme's.
func (x *exchange) informPort(o *headOut, in []byte) {
	port, host := x.believed(http1.XForwardedPort, in), x.seenHost(in)
	if i := bytes.LastIndexByte(host, ':'); len(port) == 0 && i > bytes.LastIndexByte(host, ']') {
		port = host[i+1:]
	}
	secure := http1.Equal(x.believed(http1.XForwardedProto, in), "https") || x.proto() == "https"
	switch {
	case len(port) > 0:
		o.field("X-Forwarded-Port", port)
	case secure:
		o.text("X-Forwarded-Port", "443")
	default:
		o.text("X-Forwarded-Port", "80")
	}
}

// informForwarded appends an element to Forwarded.
func (x *exchange) informForwarded(o *headOut, in []byte) {
	e := forwarded.Element{Proto: x.proto(), Host: x.rec.Request.Host()}
	if peer := x.c.from().peer.Addr().Unmap(); x.informs(InformHidden) {
		e.Hidden = maphash.Comparable(x.w.e.hide, peer)
	} else {
		e.For = peer
	}
	x.begin(o, "Forwarded", http1.Forwarded, in)
	o.b = forwarded.Append(o.b, &e)
	o.done()
}

// via is lbd's entry in Via.
func (x *exchange) via() string {
	if x.req.Version == http1.HTTP10 {
		return "1.0 lbd"
	}
	return "1.1 lbd"
}

// answerID tells the client the request's id.
func (x *exchange) answerID(o *headOut) {
	if x.plan.AnswerID && len(x.plan.ID) > 0 {
		o.field("X-Request-Id", x.plan.ID)
	}
}
