package engine

import (
	"errors"
	"io"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/spool"
)

// flow carries one message's content from a source to a sink: what was read is decoded in place, framed anew and written with the head
// before it in one call. On its way it may be compressed (coder), and wait in a store for a sink that is slower than the source.
type flow struct {
	w       *worker // whose memory is used
	src     source  // nil: all of the message is in ahead, data and store
	dst     sink    // nil: not known yet
	buf     *buffer
	body    http1.Body
	chunked bool // write as chunks
	limit   int64

	coder    *encoding.Encoder // nil: content goes out as it came
	may      *Buffering        // content may wait in a store; nil: it does not
	store    *spool.Spool      // nil: none was needed yet
	borrowed bool              // the store is somebody else's
	hold     []byte            // memory of our own, for data that is moved out of the way and for what is read of a file
	pipe     *pipe             // nil: content comes through the buffer

	ahead  []byte // head or chunk size, not written yet
	data   []byte // content, not written yet
	after  []byte // what ends a chunk or the body, not written yet
	used   int    // bytes of buf that data stands for
	stays  bool   // data stays as it is when more is read
	rest   []byte // content that comes behind what is in the store, which had no room for it
	behind int    // bytes of buf that rest stands for
	inFile int64  // bytes of content in the store's file that are sent from there, not sent yet
	unsent bool   // the store's file cannot be sent from

	file *fileSource // where all content comes from; nil: it does not come from a file

	framing [32]byte
	trailer []byte
	refusal http1.Refusal

	over    bool          // the source has no more
	ended   bool          // the message has no more to be framed
	whole   bool          // the message has ended as it should
	done    bool          // all is written
	dry     bool          // nothing is to be read just now
	trailed *http1.Chunks // its trailers, once it is over
	taken   int64         // bytes of content from the source
	carried int64         // bytes of content written
	coded   int           // bytes of content that the coder was given since it was last asked
	heard   bool          // something was read since it was last asked
	moved   bool          // something was written since it was last asked
	reads   int           // of src
}

// What ends a flow other than its message.
var (
	errSource    = errors.New("the source broke off")
	errSink      = errors.New("the sink broke off")
	errMalformed = errors.New("the content is malformed")
	errTooLarge  = errors.New("the content is larger than is taken")
	errStore     = errors.New("what was stored cannot be read")
)

// begin makes f ready for a message whose head is to be written before its content.
func (f *flow) begin(src source, dst sink, buf *buffer, framing http1.Framing, head []byte, chunked bool) {
	f.release()
	*f = flow{w: f.w, src: src, dst: dst, buf: buf, ahead: head, chunked: chunked, trailer: f.trailer[:0], body: f.body}
	f.body.Begin(framing)
	if f.body.Done() {
		f.over, f.whole = true, true
		f.ended = !chunked
	}
}

// release gives back what was taken for the message.
func (f *flow) release() {
	f.dropCoder()
	if f.store != nil && !f.borrowed {
		f.store.Close()
	}
	f.store = nil
	f.dropPipe()
	if f.hold != nil {
		f.w.buffers.keep(f.hold)
		f.hold = nil
	}
}

// prime frames the first content that was read already, so that it goes with the head. It reads nothing; an error says that
// the content is malformed or too large, and nothing was written.
func (f *flow) prime() error {
	if f.ended {
		return nil
	}
	f.dry = true
	err := f.next()
	f.dry = false
	return waits(err)
}

// pump moves what can be moved, at most budget bytes. It returns nil when it waits, is done, or has had its share: then the
// budget is used up.
func (f *flow) pump(budget *int) error {
	for !f.done {
		*budget -= f.effort()
		switch {
		case f.unwritten():
			err := f.write(budget)
			if err == errAgain {
				err = f.stash(budget)
			}
			if err != nil {
				return waits(err)
			}
		case f.ended:
			return f.end()
		case *budget <= 0:
			return nil
		case f.fromFile():
			if err := f.sendFile(budget); err != nil {
				return waits(err)
			}
		case f.splices():
			if err := f.splice(budget); err != nil {
				return waits(err)
			}
		default:
			if err := f.next(); err != nil {
				return waits(err)
			}
		}
	}
	return nil
}

// unwritten reports whether something framed is not written.
func (f *flow) unwritten() bool { return len(f.ahead)+len(f.data)+len(f.after) > 0 || f.inFile > 0 }

// pending reports whether something waits for its destination: what is framed, stored or in a pipe.
func (f *flow) pending() bool {
	return f.unwritten() || f.pipe != nil && f.pipe.held > 0 || f.store != nil && f.store.Len() > 0
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
	switch {
	case f.dst == nil:
		return errAgain
	case f.inFile > 0:
		return f.sendStored(budget)
	}
	return f.writePieces(budget)
}

func (f *flow) writePieces(budget *int) error {
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

// next frames the next piece of content: what waits comes first.
func (f *flow) next() error {
	if f.store != nil {
		if f.sends() {
			return nil
		}
		piece, err := f.stored()
		if err != io.EOF {
			f.frame(piece, 0, true)
			return err
		}
	}
	if f.rest != nil {
		piece, used := f.rest, f.behind
		f.rest, f.behind = nil, 0
		f.frame(piece, used, false)
		return nil
	}
	piece, used, err := f.take()
	switch {
	case err != nil:
		return err
	case len(piece) > 0:
		f.frame(piece, used, false)
	case f.over:
		f.finish()
	default:
		return errAgain
	}
	return nil
}

// frame puts content before write, for which used bytes of the buffer stand; stays says that it may be left where it is. If it is the last, what
// ends the message goes with it.
func (f *flow) frame(data []byte, used int, stays bool) {
	f.data, f.used, f.stays = data, used, stays
	f.ended = f.over && f.rest == nil && (f.store == nil || f.store.Len() == 0)
	if !f.chunked || len(data) == 0 {
		return
	}
	if len(f.ahead) == 0 { // else it is the head, and the size goes with it
		f.ahead = f.framing[:0]
	}
	f.ahead = http1.AppendChunkHead(f.ahead, len(data))
	f.after = crlf
	if f.ended {
		f.trailer = http1.AppendLastChunk(append(f.trailer[:0], crlf...), f.trailed)
		f.after = f.trailer
	}
}

var crlf = []byte("\r\n")

// finish ends a message behind its last piece of content.
func (f *flow) finish() {
	f.ended = true
	if f.chunked {
		f.trailer = http1.AppendLastChunk(f.trailer[:0], f.trailed)
		f.after = f.trailer
	}
}
