package lbd

import (
	"runtime"
	"time"

	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/trace"
)

// naming is what a request is called on its way. The slices are of the request, or of text.
type naming struct {
	id    []byte
	trace []byte // the trace id; nil: it is in no trace
	valid bool   // the request's traceparent is, or there is none
	text  [trace.IDLen + trace.ParentLen]byte
}

// newSources returns a source of ids for each worker.
func newSources() (out []*trace.Source) {
	for range runtime.GOMAXPROCS(0) {
		out = append(out, trace.NewSource())
	}
	return out
}

// name finds the request's id, or makes one, and its trace.
func (n *naming) name(r *engine.Request, accept bool, src *trace.Source) {
	n.id, n.trace, n.valid = nil, nil, true
	parents := 0
	for i := range r.Head.Fields {
		switch f := &r.Head.Fields[i]; f.ID {
		case http1.XRequestID:
			if v := r.Text(f.Value); accept && n.id == nil && trace.ValidID(v) {
				n.id = v
			}
		case http1.Traceparent:
			parents++
			n.trace = trace.TraceID(r.Text(f.Value))
		}
	}
	if parents > 1 { // which one counts, readers disagree on
		n.trace = nil
	}
	n.valid = parents == 0 || n.trace != nil
	if n.id == nil {
		n.id = src.AppendID(n.text[:0], time.Now())
	}
}

// told says what a member of g is told. A traceparent that is not valid is not passed on, nor is the tracestate that goes with it.
func (g *group) told(n *naming, p *engine.Plan, src *trace.Source) {
	p.Inform = g.inform
	switch {
	case n.trace == nil && g.beginsTraces:
		p.Trace = src.AppendParent(n.text[trace.IDLen:trace.IDLen], int(src.Chance(100)) < g.sampled)
		n.trace = trace.TraceID(p.Trace)
	case !n.valid:
		p.Inform |= engine.InformNoTrace
	}
}
