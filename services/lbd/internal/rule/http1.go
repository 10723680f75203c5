package rule

import "github.com/everup/everup/services/lbd/internal/http1"

// HTTP1 offers an HTTP/1 head as a Request. Use it by its address.
type HTTP1 struct {
	Head  *http1.Head
	Bytes []byte // what Head's texts are places in
}

var _ Request = (*HTTP1)(nil)

// Method returns the method.
func (r *HTTP1) Method() []byte { return r.Head.Method.In(r.Bytes) }

// Authority returns Host, or the target's host where there is no Host.
func (r *HTTP1) Authority() []byte {
	if r.Head.HostAt >= 0 {
		return r.Head.Fields[r.Head.HostAt].Value.In(r.Bytes)
	}
	return r.Head.Target.Host.In(r.Bytes)
}

// Path returns the target's path; "/" for an absolute form without one.
func (r *HTTP1) Path() []byte {
	t := &r.Head.Target
	switch {
	case t.Form == http1.Authority:
		return nil
	case t.Form == http1.Asterisk:
		return t.Raw.In(r.Bytes)
	case t.Path.Len() == 0:
		return []byte("/")
	}
	return t.Path.In(r.Bytes)
}

// Query returns the target's query.
func (r *HTTP1) Query() []byte {
	if !r.Head.Target.HasQ {
		return nil
	}
	return r.Head.Target.Query.In(r.Bytes)
}

// Fields returns the number of field lines.
func (r *HTTP1) Fields() int { return len(r.Head.Fields) }

// Field returns a field line.
func (r *HTTP1) Field(i int) (name, value []byte) {
	f := &r.Head.Fields[i]
	return f.Name.In(r.Bytes), f.Value.In(r.Bytes)
}
