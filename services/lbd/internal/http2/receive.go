package http2

import (
	"encoding/binary"
	"time"
)

// Next takes bytes from in, n of them, up to and with the first event. It is called until the event is None: then what is left of in is the
// beginning of a frame, and is to come again with more behind it. now rises steadily.
func (c *Conn) Next(now time.Duration, in []byte) (ev Event, n int) {
	c.now = now
	for {
		switch {
		case c.failed:
			return Event{Kind: Failed, Code: c.code, Reason: c.reason}, len(in)
		case len(c.queue) > 0:
			ev = c.queue[0]
			c.queue = append(c.queue[:0], c.queue[1:]...)
			return ev, n
		}
		k := 0
		switch rest := in[n:]; {
		case c.preface > 0:
			k = c.takePreface(rest)
		case c.left > 0:
			ev, k = c.takeContent(rest)
		case len(rest) >= FrameHeaderLen:
			ev, k = c.takeFrame(ParseFrameHeader(rest), rest[FrameHeaderLen:])
		}
		n += k
		if ev.Kind != None || k == 0 && !c.failed && len(c.queue) == 0 {
			return ev, n
		}
	}
}

func (c *Conn) takePreface(b []byte) int {
	at := len(Preface) - c.preface
	n := min(len(b), c.preface)
	if string(b[:n]) != Preface[at:at+n] {
		c.fail(ProtocolError, BadPreface)
		return 0
	}
	c.preface -= n
	return n
}

// takeFrame takes a frame of which p is what has come of the payload. n is 0 if more has to come.
func (c *Conn) takeFrame(h FrameHeader, p []byte) (ev Event, n int) {
	switch {
	case h.Length > MaxFrame:
		c.fail(FrameSizeError, BadFrameSize)
		return ev, 0
	case !c.settled && (h.Type != FrameSettings || h.Flags&FlagAck != 0):
		c.fail(ProtocolError, BadPreface) // RFC 9113 section 3.4
		return ev, 0
	case c.blockStream != 0 && (h.Type != FrameContinuation || h.Stream != c.blockStream):
		c.fail(ProtocolError, BadFrame)
		return ev, 0
	case h.Type == FrameData:
		return c.data(h, p)
	case len(p) < int(h.Length):
		return ev, 0
	}
	return c.whole(h, p[:h.Length]), FrameHeaderLen + int(h.Length)
}

// whole takes a frame other than DATA.
func (c *Conn) whole(h FrameHeader, p []byte) Event {
	switch h.Type {
	case FrameHeaders:
		return c.headers(h, p)
	case FrameContinuation:
		return c.continuation(h, p)
	case FrameRSTStream:
		return c.rstStream(h, p)
	case FrameWindowUpdate:
		return c.windowUpdate(h, p)
	case FrameSettings:
		c.settings(h, p)
	case FramePing:
		c.ping(h, p)
	case FrameGoAway:
		c.goAway(h, p)
	case FramePriority:
		return c.priority(h, p)
	case FramePushPromise:
		c.fail(ProtocolError, BadFrame) // we have said no, and a client never may
	case FramePriorityUpdate:
		if h.Stream != 0 || len(p) < 4 || c.role == Client {
			c.fail(ProtocolError, BadFrame)
			return Event{}
		}
		c.meaningless()
	default:
		c.meaningless()
	}
	return Event{}
}

// meaningless counts a frame that is ignored.
func (c *Conn) meaningless() {
	if !c.buckets.idle.pour(c.now, c.o.Allow.Idle) {
		c.flood(IdleFlood)
	}
}

// data takes the beginning of a DATA frame; content takes what follows.
func (c *Conn) data(h FrameHeader, p []byte) (ev Event, n int) {
	length, pad, skip := int(h.Length), 0, 0
	if h.Flags&FlagPadded != 0 {
		switch {
		case length == 0:
			c.fail(FrameSizeError, BadFrameSize)
			return ev, 0
		case len(p) == 0:
			return ev, 0
		}
		pad, skip = int(p[0]), 1
		if pad >= length {
			c.fail(ProtocolError, BadPadding)
			return ev, 0
		}
	}
	switch {
	case h.Stream == 0:
		c.fail(ProtocolError, BadFrame)
		return ev, 0
	case int32(length) > c.receive:
		c.fail(FlowControlError, WindowExceeded)
		return ev, 0
	}
	c.receive -= int32(length)
	s := c.table.get(h.Stream)
	content := length - skip - pad
	ev = c.admit(h, s, length, content)
	if ev.Kind != None || s == nil || s.closed || c.failed {
		c.credit(int32(length))
		c.filling, c.left, c.pad = nil, length-skip, 0
		return ev, FrameHeaderLen + skip
	}
	s.receive -= int32(length)
	s.held += int32(content)
	c.used(s, int32(length-content))
	c.filling, c.left, c.pad, c.fillEnds = s, content, pad, h.Flags&FlagEndStream != 0
	if content == 0 {
		ev, _ = c.takeContent(nil)
	}
	return ev, FrameHeaderLen + skip
}

// admit judges a DATA frame. Where it is not None, or there is no stream, the content is thrown away.
func (c *Conn) admit(h FrameHeader, s *Stream, length, content int) Event {
	end := h.Flags&FlagEndStream != 0
	switch {
	case s == nil:
		return c.afterEnd(h, content)
	case s.remoteEnd:
		return c.streamError(s, StreamClosed, ClosedStream)
	case !s.headed:
		return c.streamError(s, ProtocolError, BadFrame)
	case int32(length) > s.receive:
		return c.streamError(s, FlowControlError, WindowExceeded)
	}
	s.received += int64(content)
	if s.declared >= 0 && (s.received > s.declared || end && s.received != s.declared) || s.bodiless && content > 0 {
		return c.streamError(s, ProtocolError, LengthMismatch)
	}
	if content > 0 {
		c.buckets.useful()
		c.probeContent(s, content)
	} else if !end && !c.buckets.empty.pour(c.now, c.o.Allow.Empty) {
		c.flood(EmptyFlood)
	}
	return Event{}
}

// afterEnd judges a DATA frame on a stream that there is not. Content of one that we reset was on its way, or is still to be stopped: that takes as
// many frames as the peer made of a window, and is no more than it could have sent had we taken it.
func (c *Conn) afterEnd(h FrameHeader, content int) Event {
	if c.unopened(h.Stream) {
		c.fail(ProtocolError, BadFrame)
		return Event{}
	}
	known, mine := c.ended.find(h.Stream)
	mine = mine || !known && c.role == Client // see lateBlock
	if mine && content > 0 {
		return Event{}
	}
	c.meaningless()
	if !mine {
		c.sendReset(h.Stream, StreamClosed, int(ClosedStream))
	}
	return Event{}
}

// unopened reports whether a stream is idle (RFC 9113 section 5.1). Those that a server could open are for good.
func (c *Conn) unopened(id uint32) bool { return id&1 == 0 || id > c.highest }

// takeContent takes bytes of a payload.
func (c *Conn) takeContent(b []byte) (ev Event, n int) {
	n = min(len(b), c.left)
	c.left -= n
	s := c.filling
	ends := s != nil && c.left == 0 && c.fillEnds
	if s != nil && (n > 0 || ends) {
		ev = Event{Kind: Data, Stream: s, Data: b[:n:n], End: ends}
	}
	if c.left == 0 {
		c.filling, c.left, c.pad = nil, c.pad, 0
	}
	if ends {
		c.endRemote(s)
	}
	return ev, n
}

// endRemote takes it that the peer has sent all.
func (c *Conn) endRemote(s *Stream) {
	s.remoteEnd = true
	if s.localEnd {
		c.close(s, false)
	}
}

func (c *Conn) rstStream(h FrameHeader, p []byte) Event {
	switch {
	case len(p) != 4:
		c.fail(FrameSizeError, BadFrameSize)
		return Event{}
	case h.Stream == 0 || c.unopened(h.Stream):
		c.fail(ProtocolError, BadFrame)
		return Event{}
	}
	s := c.table.get(h.Stream)
	if s == nil {
		c.meaningless()
		return Event{}
	}
	if c.role == Server && !c.buckets.resets.pour(c.now, c.o.Allow.Resets) {
		c.flood(RapidReset)
		return Event{}
	}
	ended, code := s.remoteEnd, ErrCode(binary.BigEndian.Uint32(p))
	c.tally().Resets[Received].add(code.cause())
	c.close(s, false)
	return Event{Kind: Reset, Stream: s, End: ended, Code: code, Reason: PeerReset}
}

func (c *Conn) windowUpdate(h FrameHeader, p []byte) Event {
	if len(p) != 4 {
		c.fail(FrameSizeError, BadFrameSize)
		return Event{}
	}
	n := int64(binary.BigEndian.Uint32(p) & maxWindow)
	if !c.buckets.updates.pour(c.now, c.o.Allow.Updates) {
		c.flood(UpdateFlood)
		return Event{}
	}
	if h.Stream == 0 {
		switch {
		case n == 0:
			c.fail(ProtocolError, ZeroIncrement)
		case int64(c.send)+n > maxWindow:
			c.fail(FlowControlError, WindowOverflow)
		default:
			c.send += int32(n)
		}
		return Event{}
	}
	s := c.table.get(h.Stream)
	switch {
	case s == nil && c.unopened(h.Stream):
		c.fail(ProtocolError, BadFrame)
	case s == nil: // it was on its way when the stream ended
	case n == 0:
		return c.streamError(s, ProtocolError, ZeroIncrement)
	case int64(s.send)+n > maxWindow:
		return c.streamError(s, FlowControlError, WindowOverflow)
	default:
		s.send += int32(n)
		c.unblock(s)
	}
	return Event{}
}

// priority checks a PRIORITY frame, which means nothing any more (RFC 9113 section 5.3.2).
func (c *Conn) priority(h FrameHeader, p []byte) Event {
	s := c.table.get(h.Stream)
	switch {
	case h.Stream == 0:
		c.fail(ProtocolError, BadFrame)
	case len(p) != 5 && s != nil:
		return c.streamError(s, FrameSizeError, BadFrameSize)
	case len(p) != 5:
		c.fail(FrameSizeError, BadFrameSize)
	case dependency(p) == h.Stream && s != nil:
		return c.streamError(s, ProtocolError, SelfDependency)
	case dependency(p) == h.Stream:
		c.fail(ProtocolError, SelfDependency)
	default:
		c.meaningless()
	}
	return Event{}
}

func dependency(p []byte) uint32 { return binary.BigEndian.Uint32(p) & maxStreamID }

// streamError ends a stream for the peer's fault. A peer that has us reset stream after stream is as bad as one that does so itself
// (CVE-2025-8671).
func (c *Conn) streamError(s *Stream, code ErrCode, why Reason) Event {
	c.sendReset(s.id, code, int(why))
	c.close(s, true)
	if c.role == Server && !c.buckets.resets.pour(c.now, c.o.Allow.Resets) {
		c.flood(RapidReset)
	}
	return Event{Kind: Reset, Stream: s, Code: code, Reason: why}
}

// close takes a stream out of the table. It is the caller's until Release.
func (c *Conn) close(s *Stream, mine bool) {
	if s.closed {
		return
	}
	s.closed, s.localEnd, s.remoteEnd = true, true, true
	c.table.remove(s)
	c.remember(s.id, mine)
	c.unwait(s)
	if c.filling == s {
		c.filling = nil
	}
}
