package engine

import (
	"strconv"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/services/lbd/internal/rule"
)

// headOut appends a head in the form that its sink wants: lines of HTTP/1.1, or a header block of HTTP/2.
type headOut struct {
	b      []byte
	framed bool   // a header block, for a sink that frames by itself: it has no fields of the connection
	name   string // of the field that was begun
	value  int    // where its value begins
}

// request begins a request's head.
func (o *headOut) request(method, target []byte) { o.b = http1.AppendRequestLine(o.b, method, target) }

// status begins an answer's head. An empty reason stands for the usual one.
func (o *headOut) status(status int, reason []byte) {
	if o.framed {
		o.b = http2.AppendStatus(o.b, status)
		return
	}
	o.b = http1.AppendStatusLine(o.b, status, reason)
}

// field appends a field.
func (o *headOut) field(name string, value []byte) {
	switch {
	case !o.framed:
		o.b = http1.AppendField(o.b, name, value)
	case !ofConnection(http1.Lookup([]byte(name))):
		o.b = http2.AppendField(o.b, []byte(name), value)
	}
}

// ofConnection reports whether a field may not stand in a message of HTTP/2 (RFC 9113 section 8.2.2).
func ofConnection(id http1.ID) bool {
	switch id {
	case http1.Connection, http1.KeepAlive, http1.ProxyConnection, http1.TransferEncoding, http1.Upgrade, http1.HTTP2Settings:
		return true
	}
	return false
}

// text is field with a text.
func (o *headOut) text(name, value string) {
	o.begin(name)
	o.b = append(o.b, value...)
	o.done()
}

// begin begins a field: what is appended to o.b then is its value, up to done.
func (o *headOut) begin(name string) {
	if !o.framed {
		o.b = append(append(o.b, name...), ": "...)
	}
	o.name, o.value = name, len(o.b)
}

// done ends what begin began.
func (o *headOut) done() {
	if !o.framed {
		o.b = append(o.b, "\r\n"...)
		return
	}
	// What stands before the value is known only now: the field is written behind it, and moved.
	end := len(o.b)
	o.field(o.name, o.b[o.value:end])
	o.b = o.b[:o.value+copy(o.b[o.value:], o.b[end:])]
}

// copy appends a field of another head, which is in the bytes in.
func (o *headOut) copy(f *http1.Field, in []byte) {
	switch {
	case !o.framed:
		o.b = f.Append(o.b, in)
	case !ofConnection(f.ID):
		o.b = http2.AppendField(o.b, f.Name.In(in), f.Value.In(in))
	}
}

// length appends Content-Length.
func (o *headOut) length(n int64) {
	o.begin("Content-Length")
	o.b = strconv.AppendInt(o.b, n, 10)
	o.done()
}

// edits appends the fields that edits set and add.
func (o *headOut) edits(edits []rule.Edit) {
	for i := range edits {
		if edits[i].Op != rule.Remove {
			o.field(edits[i].Name, edits[i].Value)
		}
	}
}

// end ends the head.
func (o *headOut) end() {
	if !o.framed {
		o.b = append(o.b, "\r\n"...)
	}
}
