package engine

import (
	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/rule"
)

// codeFile decides whether a file is compressed for this client, and takes an encoder for it. Without a free one it is not. A client that wants parts
// of a file gets them as they are in it.
func (x *exchange) codeFile(a *ownAnswer) {
	p, pool, f := x.plan.Compress, x.w.e.o.Encoders, a.file
	if p == nil || pool == nil || f.Kind == "" {
		return
	}
	accept := encoding.ReadAccept(&x.req, x.head())
	a.coded = p.JudgeOwn(f.Kind, f.Whole, &accept)
	switch {
	case f.Status == 206:
		a.coded.Coding = encoding.Identity
	case a.coded.Coding != encoding.Identity && len(f.Content) > 0: // else only the header says what GET would give
		if a.coder = pool.Get(encoding.Spec{Coding: a.coded.Coding, Level: p.Level}); a.coder == nil {
			a.coded.Coding = encoding.Identity
		}
	}
}

// fileFields appends the fields of a file's answer, as compressing changes them.
func (x *exchange) fileFields(o *headOut, a *ownAnswer) {
	if a.file == nil {
		return
	}
	coded, varies := a.coded.Coding != encoding.Identity, false
	for i := range a.file.Fields {
		f := &a.file.Fields[i]
		switch id := http1.Lookup([]byte(f.Name)); {
		case a.coded.Drops(id, []byte(f.Name)):
		case coded && id == http1.ETag && !rule.Drops(x.plan.Response, []byte(f.Name)):
			o.begin(f.Name)
			o.b = encoding.AppendWeak(o.b, f.Value)
			o.done()
		default:
			varies = varies || id == http1.Vary
			x.say(o, f.Name, f.Value)
		}
	}
	if a.status == 304 {
		a.coded.Coding = encoding.Identity // of content that is not there
	}
	x.codedFields(o, a.coded, varies)
}

// fileLength appends how the end of a file's content is known.
func (x *exchange) fileLength(o *headOut, a *ownAnswer) {
	switch {
	case a.coded.Coding == encoding.Identity:
		o.length(a.file.Length)
	case a.coder == nil || o.framed:
	case x.req.Version == http1.HTTP11:
		a.chunked = true
		o.text("Transfer-Encoding", "chunked")
	default:
		x.last = true
	}
}
