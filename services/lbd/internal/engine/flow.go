package engine

import (
	"errors"
	"io"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// flow carries one message's content from a source to a sink: what was read is decoded in place, framed anew and written with the head
// before it in one call.
type flow struct {
	src     source // nil: all of the message is in ahead
	dst     sink   // nil: not known yet
	buf     *buffer
	body    http1.Body
	chunked bool // write as chunks
	limit   int64

	ahead []byte // head or chunk size, not written yet
	data  []byte // content, a part of buf, not written yet
	after []byte // what ends a chunk or the body, not written yet
	used  int    // bytes of buf that data stands for

	file *fileSource // where all content comes from; nil: it does not come from a file

	framing [32]byte
	trailer []byte
	refusal http1.Refusal

	done    bool          // all is written
	ended   bool          // the message has no more to be framed
	whole   bool          // the message has ended as it should
	trailed *http1.Chunks // its trailers, for a sink that frames by itself
	carried int64
	moved   bool // since it was last asked
	reads   int  // of src
}

// What ends a flow other than its message.
var (
	errSource    = errors.New("the source broke off")
	errSink      = errors.New("the sink broke off")
	errMalformed = errors.New("the content is malformed")
	errTooLarge  = errors.New("the content is larger than is taken")
)

// begin makes f ready for a message whose head is to be written before its content.
func (f *flow) begin(src source, dst sink, buf *buffer, framing http1.Framing, head []byte, chunked bool) {
	trailer := f.trailer[:0]
	*f = flow{src: src, dst: dst, buf: buf, ahead: head, chunked: chunked, trailer: trailer, body: f.body}
	f.body.Begin(framing)
	if f.body.Done() {
		f.whole = true
		f.ended = !chunked
	}
}

// prime frames the first content that was read already, so that it goes with the head. It reads nothing; an error says that
// the content is malformed or too large, and nothing was written.
func (f *flow) prime() error {
	if f.ended || f.buf.empty() {
		return nil
	}
	for !f.buf.empty() && !f.body.Done() {
		if took, err := f.decode(); took || err != nil {
			return err
		}
	}
	if f.body.Done() {
		f.finish()
	}
	return nil
}

// decode takes a piece of content from the buffer; false if it was framing only.
func (f *flow) decode() (took bool, err error) {
	data, n, why := f.body.Next(f.buf.bytes())
	switch {
	case why != http1.OK:
		f.refusal = why
		return false, errMalformed
	case len(data) == 0:
		f.buf.use(n)
		return false, nil
	case f.limit > 0 && f.carried+int64(len(data)) > f.limit:
		return false, errTooLarge
	}
	f.frame(data, n)
	return true, nil
}

// pump moves what can be moved, at most budget bytes. It returns nil when it waits, is done, or has had its share: then the
// budget is used up.
func (f *flow) pump(budget *int) error {
	for !f.done {
		if len(f.ahead)+len(f.data)+len(f.after) > 0 {
			if err := f.write(budget); err != nil {
				return waits(err)
			}
			continue
		}
		if f.ended {
			return f.end()
		}
		if *budget <= 0 {
			return nil
		}
		if f.fromFile() {
			if err := f.sendFile(budget); err != nil {
				return waits(err)
			}
			continue
		}
		if err := f.next(); err != nil {
			return waits(err)
		}
	}
	return nil
}

// end waits until what was written has gone.
func (f *flow) end() error {
	if f.dst == nil {
		return nil
	}
	switch f.dst.finish(f.trailed) {
	case nil:
		f.done = true
	case errAgain:
	default:
		return errSink
	}
	return nil
}

func waits(err error) error {
	if err == errAgain {
		return nil
	}
	return err
}

// write writes what is framed.
func (f *flow) write(budget *int) error {
	if f.dst == nil {
		return errAgain
	}
	n, err := f.dst.write(f.ahead, f.data, f.after)
	if err == errAgain {
		return err
	}
	if err != nil {
		return errSink
	}
	f.moved = true
	*budget -= n
	n = advance(&f.ahead, n)
	before := len(f.data)
	n = advance(&f.data, n)
	f.carried += int64(before - len(f.data))
	advance(&f.after, n)
	if len(f.data) == 0 && f.used > 0 {
		f.buf.use(f.used)
		f.used = 0
	}
	return nil
}

// advance takes up to n bytes off p and returns what is left of n.
func advance(p *[]byte, n int) int {
	k := min(n, len(*p))
	*p = (*p)[k:]
	return n - k
}

// next takes the next piece of content from what was read, or reads.
func (f *flow) next() error {
	for {
		for !f.buf.empty() && !f.body.Done() {
			if took, err := f.decode(); took || err != nil {
				return err
			}
		}
		if f.body.Done() {
			f.finish()
			return nil
		}
		if err := f.read(); err != nil {
			return err
		}
		if f.ended {
			return nil
		}
	}
}

// frame puts content before write: n bytes of the buffer, which end with data.
func (f *flow) frame(data []byte, n int) {
	f.data, f.used = data, n
	if !f.chunked {
		f.ended = f.body.Done()
		f.whole = f.ended
		return
	}
	if len(f.ahead) == 0 { // else it is the head, and the size goes with it
		f.ahead = f.framing[:0]
	}
	f.ahead = http1.AppendChunkHead(f.ahead, len(data))
	f.after = crlf
}

var crlf = []byte("\r\n")

// finish ends a body.
func (f *flow) finish() {
	f.ended, f.whole = true, true
	t := f.body.Chunks()
	if f.src != nil {
		if own := f.src.trailers(); own != nil {
			t = own
		}
	}
	if !f.chunked {
		f.trailed = t
		return
	}
	f.trailer = http1.AppendLastChunk(f.trailer[:0], t)
	f.after = f.trailer
}

// read reads more.
func (f *flow) read() error {
	n, err := f.src.read(f.buf.room())
	switch {
	case err == nil:
		f.buf.w += n
		f.moved = true
		f.reads++
		return nil
	case err == errAgain:
		return err
	case err == io.EOF && f.body.UntilClose():
		f.finish()
		return nil
	}
	return errSource
}
