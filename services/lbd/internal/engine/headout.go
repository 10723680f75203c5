package engine

import (
	"strconv"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/rule"
)

// headOut appends a head in the form that its sink wants: lines of HTTP/1.1.
type headOut struct {
	b      []byte
	framed bool // a header block, for a sink that frames by itself: it has no fields of the connection
}

// request begins a request's head.
func (o *headOut) request(method, target []byte) { o.b = http1.AppendRequestLine(o.b, method, target) }

// status begins an answer's head. An empty reason stands for the usual one.
func (o *headOut) status(status int, reason []byte) {
	o.b = http1.AppendStatusLine(o.b, status, reason)
}

// field appends a field.
func (o *headOut) field(name string, value []byte) { o.b = http1.AppendField(o.b, name, value) }

// text is field with a text.
func (o *headOut) text(name, value string) {
	o.begin(name)
	o.b = append(o.b, value...)
	o.done()
}

// begin begins a field: what is appended to o.b then is its value, up to done.
func (o *headOut) begin(name string) { o.b = append(append(o.b, name...), ": "...) }

// done ends what begin began.
func (o *headOut) done() { o.b = append(o.b, "\r\n"...) }

// copy appends a field of another head, which is in the bytes in.
func (o *headOut) copy(f *http1.Field, in []byte) { o.b = f.Append(o.b, in) }

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
func (o *headOut) end() { o.b = append(o.b, "\r\n"...) }
