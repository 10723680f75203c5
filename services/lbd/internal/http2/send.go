package http2

import "slices"

// minRoom is the least that SendData makes a frame for, if there is more to send.
const minRoom = 2048

// noIndexing begins the first block that is sent on a connection: a table of size 0 (RFC 7541 section 6.3). We use none, and no
// smaller one can be asked for later, so that nothing has to be said about it again.
const noIndexing = 0x20

// Open opens a stream, of a client, whose head is to be sent before another's is: streams begin in the order of their numbers (RFC 9113 section
// 5.1.1). bodiless says that the answer has no content whatever it says, as that to HEAD. nil: the peer takes no more at present, or at all.
func (c *Conn) Open(bodiless bool) *Stream {
	if !c.CanOpen(0) {
		return nil
	}
	id := uint32(1)
	if c.highest > 0 {
		id = c.highest + 2
	}
	s := c.newStream(id)
	s.bodiless = bodiless
	return s
}

// CanOpen reports whether Open will open a stream, besides n others.
func (c *Conn) CanOpen(n int) bool {
	return c.role == Client && !c.failed && !c.gone && c.active+n < int(min(c.peerStreams, 1<<20)) && c.highest+2*uint32(n) < maxStreamID-1
}

// Looked reports whether the peer, if it has sent GOAWAY, has looked at a request of this connection at all.
func (c *Conn) Looked() bool { return c.goneAt > 0 }

func (c *Conn) newStream(id uint32) *Stream {
	s := c.pool.get()
	s.id, s.send, s.declared = id, c.peerWindow, -1
	s.window, s.receive, s.probeAt = c.o.StreamWindow, c.o.StreamWindow, int64(c.o.StreamWindow/2)
	c.highest = id
	c.table.add(s)
	c.active++
	c.tally().Opened.Add(1)
	return s
}

// SendHead sends a header block: a request, an answer, interim ones too, or trailers. end says that nothing follows.
func (c *Conn) SendHead(s *Stream, block []byte, end bool) {
	if s.localEnd || c.failed {
		return
	}
	s.lastFrame = int(c.base) + len(c.Out)
	flags, kind := Flags(0), FrameHeaders
	if end {
		flags = FlagEndStream
	}
	prefix := !c.encoded
	c.encoded = true
	for {
		n := min(len(block), MaxFrame-1)
		length := n
		if prefix {
			length++
		}
		if n == len(block) {
			flags |= FlagEndHeaders
		}
		c.Out = FrameHeader{uint32(length), kind, flags, s.id}.Append(c.Out)
		if prefix {
			c.Out = append(c.Out, noIndexing)
		}
		c.Out = append(c.Out, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			break
		}
		flags, kind, prefix = 0, FrameContinuation, false
	}
	c.buckets.useful()
	if end {
		c.endLocal(s)
	}
}

// SendData sends content and returns how many bytes were taken. If that is not all, Writable gives the stream when there is room again. end
// says that nothing follows p.
func (c *Conn) SendData(s *Stream, p []byte, end bool) (n int) {
	if s.localEnd || c.failed {
		return 0
	}
	mine := c.turn == s
	c.turn = nil
	if c.first != nil && !mine && len(p) > 0 {
		c.wait(s)
		return 0
	}
	for n < len(p) {
		k := c.grant(s, len(p)-n)
		if k == 0 {
			c.wait(s)
			return n
		}
		c.frame(s, p[n:n+k])
		n += k
	}
	if end {
		c.End(s)
	}
	return n
}

// grant returns how much of n bytes can be sent in a frame now.
func (c *Conn) grant(s *Stream, n int) int {
	k := min(n, MaxFrame, int(c.send), int(s.send))
	if room := c.o.MaxPending - c.Pending(); k > room {
		if k = room; k < minRoom {
			return 0
		}
	}
	return max(k, 0)
}

func (c *Conn) frame(s *Stream, p []byte) {
	s.lastFrame = int(c.base) + len(c.Out)
	c.Out = FrameHeader{Length: uint32(len(p)), Type: FrameData, Stream: s.id}.Append(c.Out)
	c.Out = append(c.Out, p...)
	c.send -= int32(len(p))
	s.send -= int32(len(p))
	c.buckets.useful()
}

// End says that nothing more follows: on the stream's last frame if that was not sent yet, else by an empty one.
func (c *Conn) End(s *Stream) {
	if s.localEnd || c.failed {
		return
	}
	if at := s.lastFrame - int(c.base); s.lastFrame > 0 && at >= c.kept {
		c.Out[at+4] |= byte(FlagEndStream)
	} else {
		c.Out = FrameHeader{Type: FrameData, Flags: FlagEndStream, Stream: s.id}.Append(c.Out)
	}
	c.endLocal(s)
}

// endLocal takes it that we have sent all.
func (c *Conn) endLocal(s *Stream) {
	s.localEnd = true
	c.unwait(s)
	c.buckets.resets.earn(1)
	if s.remoteEnd {
		c.close(s, false)
	}
}

// Reset ends a stream that has not ended.
func (c *Conn) Reset(s *Stream, code ErrCode) {
	if s.closed || c.failed {
		return
	}
	c.sendReset(s.id, code, code.cause())
	c.close(s, true)
}

// sendReset tells the peer that a stream has ended, for a cause.
func (c *Conn) sendReset(id uint32, code ErrCode, cause int) {
	c.Out = appendRSTStream(c.Out, id, code)
	c.answered()
	c.tally().Resets[Sent].add(cause)
}

// Release says that the caller is done with a stream, which is not used again. What has not ended of it is reset: without an error where
// we have sent all, for the rest of a request is not wanted then (RFC 9113 section 8.1).
func (c *Conn) Release(s *Stream) {
	if c.failed {
		c.close(s, true)
	}
	switch {
	case s.closed:
	case s.localEnd:
		c.Reset(s, NoError)
	default:
		c.Reset(s, Cancel)
	}
	c.credit(s.held)
	c.ungrow(s)
	c.active--
	c.tally().Released.Add(1)
	c.queue = slices.DeleteFunc(c.queue, func(ev Event) bool { return ev.Stream == s })
	c.pool.put(s)
}

// Took says that n bytes of a stream's content were used: the peer may send as much again.
func (c *Conn) Took(s *Stream, n int) {
	s.held -= int32(n)
	c.used(s, int32(n))
}

func (c *Conn) used(s *Stream, n int32) {
	c.credit(n)
	if s.remoteEnd || c.failed {
		return
	}
	if s.owed += n; s.owed >= s.window/2 {
		c.tellRoom(s, 0)
	}
}

// tellRoom tells the peer of what was used, and of more.
func (c *Conn) tellRoom(s *Stream, more int32) {
	s.owed += more
	c.Out = appendWindowUpdate(c.Out, s.id, s.owed)
	c.answered()
	s.receive += s.owed
	s.owed = 0
}

// credit gives the peer room on the connection.
func (c *Conn) credit(n int32) {
	if c.owed += n; c.owed >= c.o.ConnWindow/2 && !c.failed {
		c.Out = appendWindowUpdate(c.Out, 0, c.owed)
		c.answered()
		c.receive += c.owed
		c.owed = 0
	}
}

// wait puts a stream in the queue, or leaves it until its own window opens.
func (c *Conn) wait(s *Stream) {
	if s.waiting {
		return
	}
	if s.send <= 0 {
		s.blocked = true
		return
	}
	s.waiting, s.nextWait = true, nil
	if c.last != nil {
		c.last.nextWait = s
	} else {
		c.first = s
	}
	c.last = s
}

// unblock puts a stream in the queue whose window has opened.
func (c *Conn) unblock(s *Stream) {
	if s.blocked && s.send > 0 {
		s.blocked = false
		c.wait(s)
	}
}

// unwait takes a stream out of the queue.
func (c *Conn) unwait(s *Stream) {
	if c.turn == s {
		c.turn = nil
	}
	s.blocked = false
	if !s.waiting {
		return
	}
	s.waiting = false
	var before *Stream
	for at := c.first; at != s; at = at.nextWait {
		before = at
	}
	if before == nil {
		c.first = s.nextWait
	} else {
		before.nextWait = s.nextWait
	}
	if c.last == s {
		c.last = before
	}
	s.nextWait = nil
}

// Writable returns the stream that has waited longest to send and can do so now; nil if none can. It has its turn until another is
// returned: one that sends all, or has nothing to send, leaves the queue, another goes to its end.
func (c *Conn) Writable() *Stream {
	for c.first != nil && c.send > 0 && c.o.MaxPending-c.Pending() >= minRoom {
		s := c.first
		c.unwait(s)
		if s.send <= 0 {
			s.blocked = true
			continue
		}
		c.turn = s
		return s
	}
	return nil
}
