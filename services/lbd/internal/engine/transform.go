package engine

import (
	"io"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/http1"
)

// take takes the next piece of content, as it goes out, from what was read, or reads: used bytes of the buffer stand for it. No piece: the content
// is over.
func (f *flow) take() (piece []byte, used int, err error) {
	for !f.over {
		data, used, err := f.decode()
		if err == nil && len(data) == 0 && !f.over {
			if err = f.read(); err == nil && !f.over {
				continue
			}
		}
		switch {
		case err == errAgain && f.coder != nil && f.coder.Waiting() && !f.dry:
			piece, err = f.coder.Flush() // the source pauses, and what it has said so far is not to wait
			return piece, 0, err
		case err != nil:
			return nil, 0, err
		case f.coder == nil:
			return data, used, nil
		}
		piece, err = f.coder.Push(data, f.over)
		f.coded += len(data)
		f.buf.use(used)
		if len(piece) > 0 || err != nil {
			return piece, 0, err
		}
	}
	return nil, 0, nil
}

// decode takes the next piece of content from the buffer; none if that holds no more than framing.
func (f *flow) decode() (data []byte, used int, err error) {
	for !f.buf.empty() && !f.body.Done() {
		data, n, why := f.body.Next(f.buf.bytes())
		switch {
		case why != http1.OK:
			f.refusal = why
			return nil, 0, errMalformed
		case len(data) == 0:
			f.buf.use(n)
			continue
		case f.limit > 0 && f.taken+int64(len(data)) > f.limit:
			return nil, 0, errTooLarge
		}
		f.taken += int64(len(data))
		f.see()
		return data, n, nil
	}
	f.see()
	return nil, 0, nil
}

// see notes the content's end.
func (f *flow) see() {
	if f.body.Done() {
		f.last()
	}
}

// last notes that the content has ended as it should.
func (f *flow) last() {
	f.over, f.whole = true, true
	f.trailed = f.body.Chunks()
	if f.src != nil {
		if own := f.src.trailers(); own != nil {
			f.trailed = own
		}
	}
}

// read reads more.
func (f *flow) read() error {
	if f.dry {
		return errAgain
	}
	n, err := f.src.read(f.buf.room())
	switch {
	case err == nil:
		f.buf.w += n
		f.heard = true
		f.reads++
		return nil
	case err == errAgain:
		return err
	case err == io.EOF && f.body.UntilClose():
		f.last()
		return nil
	}
	return errSource
}

// effort returns what compressing has cost since it was last asked, in the terms of a turn's budget: it takes several times as long as moving.
func (f *flow) effort() int {
	n := f.coded * codingEffort
	f.coded = 0
	return n
}

const codingEffort = 4

// dropCoder gives the encoder back. What it has returned is not good any more.
func (f *flow) dropCoder() {
	if f.coder != nil {
		f.w.e.o.Encoders.Put(f.coder)
		f.coder = nil
	}
}

// code decides whether an answer, whose content is framed so, is compressed for this client, and takes an encoder for it. Without a free one it is not.
func (x *exchange) code(in []byte, framing http1.Framing) (encoding.Decision, *encoding.Encoder) {
	p, pool := x.plan.Compress, x.w.e.o.Encoders
	if p == nil || pool == nil {
		return encoding.Decision{}, nil
	}
	accept := encoding.ReadAccept(&x.req, x.head())
	d := p.Judge(&x.res, in, &accept)
	if d.Coding == encoding.Identity || framing.Kind == http1.NoBody {
		return d, nil // to HEAD, only the header says what GET would give
	}
	var e *encoding.Encoder
	if framing.Kind != http1.Length || framing.Length > 0 {
		e = pool.Get(encoding.Spec{Coding: d.Coding, Level: p.Level})
	}
	if e == nil {
		d.Coding = encoding.Identity
	}
	return d, e
}

// codedField appends a field of the answer where compressing changes it; false if it does not.
func (x *exchange) codedField(o *headOut, f *http1.Field, in []byte, d encoding.Decision) bool {
	switch {
	case d.Drops(f.ID, f.Name.In(in)):
	case f.ID == http1.ETag && x.weakens(f.Value.In(in), d):
		o.begin("ETag")
		o.b = encoding.AppendWeak(o.b, f.Value.In(in))
		o.done()
	default:
		return false
	}
	return true
}

// weakens reports whether an answer's tag is to be a weak one.
func (x *exchange) weakens(tag []byte, d encoding.Decision) bool {
	if x.res.Status == 304 && x.plan.Compress != nil {
		return encoding.ReweakenETag(&x.req, x.head(), tag)
	}
	return d.Coding != encoding.Identity
}

// codedFields appends the fields that compressing adds.
func (x *exchange) codedFields(o *headOut, d encoding.Decision, varies bool) {
	if d.Coding != encoding.Identity {
		o.text("Content-Encoding", d.Coding.String())
	}
	if d.Vary && !varies {
		o.text("Vary", "Accept-Encoding")
	}
}

// strengthens appends an If-Match of a request as the member knows its tags, if the client may know them as weak ones; false if it is not that.
func (x *exchange) strengthens(o *headOut, f *http1.Field, in []byte) bool {
	if x.plan.Compress == nil || f.ID != http1.IfMatch || !encoding.Restores(&x.req, in) {
		return false
	}
	o.begin("If-Match")
	o.b = encoding.AppendStrong(o.b, f.Value.In(in))
	o.done()
	return true
}
