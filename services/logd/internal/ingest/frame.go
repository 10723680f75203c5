package ingest

import (
	"bytes"
	"io"

	"github.com/everup/everup/shared/fault"
)

const (
	startBuffer = 4 << 10
	// maxCountDigits bounds MSG-LEN of RFC 6587 §3.4.1: a longer number is no length.
	maxCountDigits = 7
)

// Frame is one message cut out of a stream.
type Frame struct {
	Data      []byte // valid until the next call of Next
	Truncated bool   // the message was longer than the limit, or the stream ended inside it
}

// Framer cuts a stream into syslog messages: octet counting and non-transparent framing (RFC 6587 §3.4), told apart frame by
// frame. A frame that begins with a number, a space and '<' is counted; any other ends with LF or NUL.
// Empty frames are skipped. What exceeds the limit of a message is read and dropped.
type Framer struct {
	r   io.Reader
	max int
	// before is called ahead of every read with whether part of a frame is there already; it sets read deadlines.
	before func(partial bool)

	buf        []byte
	start, end int
	counted    bool // an octet-counted frame came before: the next need not show a PRI
	err        error
}

// NewFramer returns a framer for messages of at most limit bytes. before may be nil.
func NewFramer(r io.Reader, limit int, before func(partial bool)) *Framer {
	if before == nil {
		before = func(bool) {}
	}
	return &Framer{r: r, max: limit, before: before, buf: make([]byte, min(startBuffer, limit+maxCountDigits+1))}
}

// Next returns the next frame. At the end of the stream, what is left of an unfinished frame comes first, truncated unless it is a line that
// only lacks its end; then the reader's error. Bytes that are no frame give fault.Invalid: the stream cannot be followed any further.
func (f *Framer) Next() (Frame, error) {
	for {
		if f.start == f.end && f.err == nil {
			f.fill()
		}
		if f.start == f.end {
			return Frame{}, f.err
		}
		switch c := f.buf[f.start]; {
		case c == '\n' || c == '\r' || c == 0:
			f.start++
			continue
		case compressed(f.buf[f.start:f.end]):
			return Frame{}, fault.New(fault.Unsupported, "ingest: the stream is compressed (zlib)")
		case c >= '1' && c <= '9':
			n, digits, verdict := f.count()
			if verdict == isCount {
				f.start += digits + 1
				f.counted = true
				return f.take(n)
			}
			if verdict == tooLarge {
				return Frame{}, fault.New(fault.Invalid, "ingest: octet count of more than %d digits", maxCountDigits)
			}
		}
		return f.line()
	}
}

// compressed reports whether b begins like rsyslog's compressed stream (RFC 1950).
func compressed(b []byte) bool {
	return len(b) >= 2 && b[0] == 0x78 && (b[1] == 0x01 || b[1] == 0x9c || b[1] == 0xda)
}

type verdict uint8

const (
	noCount verdict = iota
	isCount
	tooLarge
)

// count reads "NUMBER SP" at the start of the buffer, filling it as far as needed to decide.
func (f *Framer) count() (n, digits int, v verdict) {
	for i := 0; ; i++ {
		c, ok := f.peek(i)
		switch {
		case !ok:
			return 0, 0, noCount
		case c >= '0' && c <= '9':
			if i == maxCountDigits {
				if f.counted {
					return 0, 0, tooLarge
				}
				return 0, 0, noCount
			}
			n = n*10 + int(c-'0')
		case c != ' ':
			return 0, 0, noCount
		default:
			if next, ok := f.peek(i + 1); f.counted || ok && next == '<' {
				return n, i, isCount
			}
			return 0, 0, noCount
		}
	}
}

// peek returns the i-th byte of what is buffered, reading on when needed; false at the end of the stream.
func (f *Framer) peek(i int) (byte, bool) {
	for f.start+i >= f.end {
		if f.err != nil {
			return 0, false
		}
		f.fill()
	}
	return f.buf[f.start+i], true
}

// take returns a frame of n bytes.
func (f *Framer) take(n int) (Frame, error) {
	want := min(n, f.max)
	for f.end-f.start < want && f.err == nil {
		f.fill()
	}
	got := min(want, f.end-f.start)
	fr := Frame{Data: f.buf[f.start : f.start+got], Truncated: got < n}
	f.start += got
	if got == want && n > want {
		return f.skip(fr, func(b []byte) (used int, done bool) {
			used = min(len(b), n-got)
			n -= used
			return used, n == got
		})
	}
	if got == 0 && n > 0 {
		return Frame{}, f.err
	}
	return fr, nil
}

// line returns a frame that ends with LF or NUL.
func (f *Framer) line() (Frame, error) {
	seen := 0
	for {
		b := f.buf[f.start:f.end]
		if i := indexEnd(b[seen:]); i >= 0 && seen+i <= f.max {
			fr := Frame{Data: trimCR(b[:seen+i])}
			f.start += seen + i + 1
			return fr, nil
		}
		if len(b) > f.max {
			fr := Frame{Data: b[:f.max], Truncated: true}
			f.start += f.max
			return f.skip(fr, func(b []byte) (used int, done bool) {
				if i := indexEnd(b); i >= 0 {
					return i + 1, true
				}
				return len(b), false
			})
		}
		if f.err != nil {
			f.start = f.end
			return Frame{Data: trimCR(b), Truncated: f.err != io.EOF}, nil
		}
		seen = len(b)
		f.fill()
	}
}

// skip keeps fr's bytes and drops what follows as far as drop says.
func (f *Framer) skip(fr Frame, drop func([]byte) (used int, done bool)) (Frame, error) {
	fr.Data = bytes.Clone(fr.Data)
	for {
		used, done := drop(f.buf[f.start:f.end])
		f.start += used
		if done || f.err != nil {
			return fr, nil
		}
		f.fill()
	}
}

// fill reads once more, after making room: it moves what is unread to the front, or grows up to a whole frame.
func (f *Framer) fill() {
	partial := f.end > f.start
	if f.start > 0 {
		f.end = copy(f.buf, f.buf[f.start:f.end])
		f.start = 0
	}
	if f.end == len(f.buf) {
		grown := make([]byte, min(2*len(f.buf), f.max+maxCountDigits+2))
		copy(grown, f.buf[:f.end])
		f.buf = grown
	}
	f.before(partial)
	n, err := f.r.Read(f.buf[f.end:])
	f.end += n
	f.err = err
}

func indexEnd(b []byte) int {
	i := bytes.IndexByte(b, '\n')
	if i >= 0 {
		b = b[:i]
	}
	if j := bytes.IndexByte(b, 0); j >= 0 {
		return j
	}
	return i
}

func trimCR(b []byte) []byte {
	if len(b) > 0 && b[len(b)-1] == '\r' {
		return b[:len(b)-1]
	}
	return b
}
