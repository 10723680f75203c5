package http2

import (
	"encoding/binary"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// headers takes a HEADERS frame (RFC 9113 section 6.2).
func (c *Conn) headers(h FrameHeader, p []byte) Event {
	if h.Stream == 0 {
		c.fail(ProtocolError, BadFrame)
		return Event{}
	}
	pad := 0
	if h.Flags&FlagPadded != 0 {
		if len(p) == 0 {
			c.fail(FrameSizeError, BadFrameSize)
			return Event{}
		}
		pad, p = int(p[0]), p[1:]
	}
	c.blockSelf = false
	if h.Flags&FlagPriority != 0 {
		if len(p) < 5 {
			c.fail(FrameSizeError, BadFrameSize)
			return Event{}
		}
		c.blockSelf = binary.BigEndian.Uint32(p)&maxStreamID == h.Stream
		p = p[5:]
	}
	if pad > len(p) {
		c.fail(ProtocolError, BadPadding)
		return Event{}
	}
	c.blockStream, c.blockFrames, c.blockEnds = h.Stream, 0, h.Flags&FlagEndStream != 0
	c.partial = c.partial[:0]
	return c.fragment(p[:len(p)-pad], h.Flags&FlagEndHeaders != 0)
}

// continuation takes a CONTINUATION frame (RFC 9113 section 6.10).
func (c *Conn) continuation(h FrameHeader, p []byte) Event {
	if c.blockStream == 0 {
		c.fail(ProtocolError, BadFrame)
		return Event{}
	}
	return c.fragment(p, h.Flags&FlagEndHeaders != 0)
}

// fragment takes a part of a header block.
func (c *Conn) fragment(p []byte, last bool) Event {
	// One that is too large for its use, but not out of all bounds, is decoded all the same: then a status can say so.
	if c.blockFrames++; c.blockFrames > c.o.maxBlockFrames() || len(c.partial)+len(p) > 2*c.o.Limits.Head {
		c.flood(BlockFlood)
		return Event{}
	}
	if last && len(c.partial) == 0 {
		return c.block(p)
	}
	c.partial = append(c.partial, p...)
	if !last {
		return Event{}
	}
	ev := c.block(c.partial)
	if cap(c.partial) > MaxFrame {
		c.partial = nil // it is rare
	}
	return ev
}

// block takes a whole header block.
func (c *Conn) block(b []byte) Event {
	id := c.blockStream
	c.blockStream = 0
	s := c.table.get(id)
	switch {
	case s != nil && s.remoteEnd:
		if !c.skip(b) {
			return Event{}
		}
		return c.streamError(s, StreamClosed, ClosedStream)
	case s != nil && s.headed:
		return c.trailers(s, b)
	case s != nil:
		return c.response(s, b)
	case c.role == Client || id <= c.highest || id&1 == 0:
		return c.lateBlock(id, b)
	}
	return c.request(id, b)
}

// lateBlock takes a block of a stream that there is not. A client's were all opened in order, so that one which is not remembered any more was
// there: what it was to get crosses with what took it back, behind however many others that took no longer than that.
func (c *Conn) lateBlock(id uint32, b []byte) Event {
	known, mine := c.ended.find(id)
	switch {
	case c.unopened(id) || !known && c.role == Server:
		c.fail(ProtocolError, BadStreamID)
	case known && !mine:
		c.fail(StreamClosed, ClosedStream)
	case c.skip(b):
		c.meaningless()
	}
	return Event{}
}

// request takes a new stream's head.
func (c *Conn) request(id uint32, b []byte) Event {
	switch {
	case id > c.admitted: // GOAWAY tells that it is not looked at, nor what follows on it
		return c.refuse(id, b, NoReason, NoError)
	case c.blockSelf:
		return c.refuse(id, b, SelfDependency, ProtocolError)
	case c.active >= c.o.MaxStreams:
		return c.refuse(id, b, TooManyStreams, RefusedStream)
	}
	why, ok := c.decodeHead(b, false)
	if !ok {
		return Event{}
	}
	c.buckets.useful()
	s := c.newStream(id)
	s.headed = true
	h := &c.pool.head
	if n, said := h.ContentLength(); said && why == http1.OK {
		s.declared = n
	}
	switch {
	case why != http1.OK:
	case !c.blockEnds && s.declared < 0:
		h.Body = http1.Framing{Kind: http1.UntilClose}
	case c.blockEnds && s.declared > 0:
		why = http1.BadLength // what it says is not to come
	}
	ev := Event{Kind: Head, Stream: s, End: c.blockEnds}
	if why != http1.OK {
		ev.Kind, ev.Why, ev.Reason = Refused, why, BadHead
		if !c.buckets.resets.pour(c.now, c.o.Allow.Resets) {
			c.flood(RapidReset)
		}
	}
	if c.blockEnds {
		c.endRemote(s)
	}
	return ev
}

// refuse lets a new stream be one that has ended, by a reset unless there is no reason for one.
func (c *Conn) refuse(id uint32, b []byte, why Reason, code ErrCode) Event {
	c.highest = id
	c.remember(id, true)
	if !c.skip(b) {
		return Event{}
	}
	if why != NoReason {
		c.sendReset(id, code, int(why))
	}
	if !c.buckets.refused.pour(c.now, c.o.Allow.Resets) {
		c.flood(StreamFlood)
	}
	return Event{}
}

// response takes an answer's head.
func (c *Conn) response(s *Stream, b []byte) Event {
	why, ok := c.decodeHead(b, true)
	if !ok {
		return Event{}
	}
	h := &c.pool.head
	interim := why == http1.OK && h.Status < 200
	if why != http1.OK || interim && c.blockEnds {
		return c.streamError(s, ProtocolError, BadHead)
	}
	if !interim {
		s.headed = true
		s.bodiless = s.bodiless || h.Status == 204 || h.Status == 304
		if n, said := h.ContentLength(); said && !s.bodiless {
			s.declared = n
		}
		if c.blockEnds && s.declared > 0 {
			return c.streamError(s, ProtocolError, LengthMismatch)
		}
	}
	if c.blockEnds {
		c.endRemote(s)
	}
	return Event{Kind: Head, Stream: s, End: c.blockEnds}
}

// trailers takes the fields behind the content.
func (c *Conn) trailers(s *Stream, b []byte) Event {
	why, ok := c.decodeFields(b, &message{kind: trailerBlock, stream: s})
	switch {
	case !ok:
		return Event{}
	case why != http1.OK || !c.blockEnds:
		return c.streamError(s, ProtocolError, BadTrailers)
	case s.declared >= 0 && s.received != s.declared:
		return c.streamError(s, ProtocolError, LengthMismatch)
	}
	c.endRemote(s)
	return Event{Kind: Data, Stream: s, End: true}
}

// Take moves the head that the last event has brought to h, and its bytes to dst, from its beginning; it returns dst.
func (c *Conn) Take(h *http1.Head, dst []byte) []byte {
	*h, c.pool.head = c.pool.head, *h
	return append(dst[:0], c.pool.text.b...)
}

// skip decodes a block of which only what it does to the table matters. False if the connection has failed.
func (c *Conn) skip(b []byte) bool {
	_, ok := c.decodeFields(b, &message{kind: skippedBlock})
	return ok
}

// decodeFields decodes a block and gathers each field, until one is refused; what then comes is decoded all the same. ok is false if the
// connection has failed.
func (c *Conn) decodeFields(b []byte, m *message) (why http1.Refusal, ok bool) {
	a := &c.pool.text
	a.b, a.room = a.b[:0], c.o.Limits.Head
	if b, ok = c.dec.update(b); !ok {
		c.fail(CompressionError, BadBlock)
		return why, false
	}
	for len(b) > 0 {
		f, rest, keep, ok := c.dec.next(b, a)
		if !ok {
			c.fail(CompressionError, BadBlock)
			return why, false
		}
		b = rest
		switch {
		case m.kind == skippedBlock || why != http1.OK:
			if keep {
				a.b = a.b[:f.name.Off()]
			}
		case !keep:
			why = http1.HeadTooLarge
		case m.kind == trailerBlock:
			why = c.gatherTrailer(m.stream, f)
		default:
			why = c.gather(m, f)
		}
	}
	return why, true
}
