package engine

import (
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/services/lbd/internal/rule"
)

// requestHead appends the request's head as it goes to a member: hop-by-hop fields are dropped, the connection's own are
// written anew, the client is told of.
func (x *exchange) requestHead(b []byte, framed bool) []byte {
	in := x.head()
	o := &headOut{b: b, framed: framed}
	if framed {
		o.b = http2.AppendRequest(o.b, x.req.Method.In(in), x.schemeUp(), x.authorityOf(in), x.targetFor(in))
	} else {
		o.request(x.req.Method.In(in), x.targetFor(in))
	}
	named := x.namedByConnection(&x.req, in)
	for i := range x.req.Fields {
		f := &x.req.Fields[i]
		if f.ID.HopByHop() || framed && f.ID == http1.Host || x.replaced(f.ID) || named && isNamed(&x.req, in, f) || rule.Drops(x.plan.Request, f.Name.In(in)) {
			continue
		}
		if !x.strengthens(o, f, in) {
			o.copy(f, in)
		}
	}
	o.edits(x.plan.Request)
	if framed {
		// :authority says it
	} else if x.plan.Host != nil {
		o.field("Host", x.plan.Host)
	} else if x.req.HostAt < 0 { // HTTP/1.0; what goes out is HTTP/1.1
		host := x.req.Target.Host.In(in)
		if len(host) == 0 {
			host = []byte(x.choice.Seat.Member.Name())
		}
		o.field("Host", host)
	}
	if x.measured() {
		o.length(x.kept.Size())
	}
	if !framed {
		x.connectionUp(o, in)
	}
	if x.req.TrailersOK {
		o.text("TE", "trailers")
	}
	x.inform(o, in)
	o.end()
	return o.b
}

// connectionUp appends the fields that are about the connection to the member.
func (x *exchange) connectionUp(o *headOut, in []byte) {
	if x.chunksUp(false) {
		o.text("Transfer-Encoding", "chunked")
	}
	switch {
	case x.req.Upgrades:
		o.text("Connection", "Upgrade")
		o.field("Upgrade", x.req.Get(in, http1.Upgrade))
	case x.req.TrailersOK && x.plan.Via.once():
		o.text("Connection", "TE, close")
	case x.req.TrailersOK:
		o.text("Connection", "TE") // RFC 9110 section 10.1.4
	case x.plan.Via.once():
		o.text("Connection", "close")
	}
}

// targetFor returns the target in origin form.
func (x *exchange) targetFor(in []byte) []byte {
	t := &x.req.Target
	switch {
	case x.plan.Target != nil:
		return x.plan.Target
	case t.Form != http1.Absolute:
		return t.Raw.In(in)
	}
	raw := t.Raw.In(in)[t.Host.Len()+len(scheme(t.Raw.In(in))):]
	switch {
	case len(raw) == 0:
		if string(x.req.Method.In(in)) == "OPTIONS" {
			return []byte("*") // RFC 9112 section 3.2.4
		}
		return []byte("/")
	case raw[0] == '?':
		return append([]byte("/"), raw...)
	}
	return raw
}

func scheme(raw []byte) string {
	if raw[4]|0x20 == 's' {
		return "https://"
	}
	return "http://"
}

// namedByConnection reports whether a head's Connection may name fields besides the usual ones.
func (x *exchange) namedByConnection(h *http1.Head, in []byte) bool {
	for i := range h.Fields {
		if h.Fields[i].ID != http1.Connection {
			continue
		}
		v := h.Fields[i].Value.In(in)
		if !http1.Equal(v, "keep-alive") && !http1.Equal(v, "close") && !http1.Equal(v, "upgrade") {
			return true
		}
	}
	return false
}

// isNamed reports whether Connection names the field f.
func isNamed(h *http1.Head, in []byte, f *http1.Field) bool {
	name := f.Name.In(in)
	found := false
	for i := range h.Fields {
		if h.Fields[i].ID == http1.Connection {
			http1.Elements(h.Fields[i].Value.In(in), func(e []byte) bool {
				found = http1.EqualFold(e, name)
				return !found
			})
		}
		if found {
			return true
		}
	}
	return false
}

// schemeUp is the scheme that the member is asked by.
func (x *exchange) schemeUp() []byte {
	if x.plan.Via.TLS != nil {
		return []byte("https")
	}
	return []byte("http")
}
