package http2

import "encoding/binary"

// settings takes the peer's SETTINGS (RFC 9113 section 6.5) and acknowledges them.
func (c *Conn) settings(h FrameHeader, p []byte) {
	ack := h.Flags&FlagAck != 0
	switch {
	case h.Stream != 0:
		c.fail(ProtocolError, BadFrame)
		return
	case ack && len(p) != 0 || len(p)%6 != 0:
		c.fail(FrameSizeError, BadFrameSize)
		return
	case ack && !c.acked:
		c.acked = true
		return
	case !c.buckets.settings.pour(c.now, c.o.Allow.Settings):
		c.flood(SettingsFlood)
		return
	case ack: // of nothing
		return
	}
	c.settled = true
	for ; len(p) > 0; p = p[6:] {
		if c.apply(binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])); c.failed {
			return
		}
	}
	c.Out = FrameHeader{Type: FrameSettings, Flags: FlagAck}.Append(c.Out)
	c.answered()
}

func (c *Conn) apply(id uint16, v uint32) {
	switch id {
	case settingPush:
		if v > 1 || v == 1 && c.role == Client {
			c.fail(ProtocolError, BadSetting)
		}
	case settingStreams:
		c.peerStreams = v
	case settingWindow:
		if v > maxWindow {
			c.fail(FlowControlError, BadSetting)
			return
		}
		c.resizeWindows(int32(v))
	case settingFrameSize:
		if v < MaxFrame || v > 1<<24-1 {
			c.fail(ProtocolError, BadSetting)
		}
		// We send none of more than MaxFrame, whatever is taken: so streams take turns.
	}
	// The size of the table for our blocks does not matter: we use none. Of lists of fields we send those that came.
}

// resizeWindows changes the windows of all streams by as much as that of new ones changes (RFC 9113 section 6.9.2).
func (c *Conn) resizeWindows(size int32) {
	by := int64(size) - int64(c.peerWindow)
	c.peerWindow = size
	c.table.each(func(s *Stream) {
		if int64(s.send)+by > maxWindow {
			c.fail(FlowControlError, WindowOverflow)
			return
		}
		s.send += int32(by)
		c.unblock(s)
	})
}

func (c *Conn) ping(h FrameHeader, p []byte) {
	switch {
	case len(p) != 8:
		c.fail(FrameSizeError, BadFrameSize)
	case h.Stream != 0:
		c.fail(ProtocolError, BadFrame)
	case h.Flags&FlagAck != 0 && [8]byte(p) == drainPing && c.draining == warned:
		c.FinishDrain()
	case h.Flags&FlagAck != 0 && [8]byte(p) == probePing && c.probe.id != 0:
		c.probed()
	case !c.buckets.pings.pour(c.now, c.o.Allow.Pings):
		c.flood(PingFlood)
	case h.Flags&FlagAck == 0:
		c.Out = appendPing(c.Out, FlagAck, [8]byte(p))
		c.answered()
	}
}

// goAway takes it that the peer ends the connection. A client's streams beyond the last one that the server has looked at may be tried
// again elsewhere: they are told of as Reset with PeerGone.
func (c *Conn) goAway(h FrameHeader, p []byte) {
	switch {
	case h.Stream != 0:
		c.fail(ProtocolError, BadFrame)
		return
	case len(p) < 8:
		c.fail(FrameSizeError, BadFrameSize)
		return
	}
	c.meaningless()
	if !c.gone {
		c.tally().GoAways[Received].add(ErrCode(binary.BigEndian.Uint32(p[4:])).cause())
	}
	c.gone = true
	if c.role == Server {
		return
	}
	c.goneAt = min(c.goneAt, dependency(p))
	c.table.each(func(s *Stream) {
		if s.id > c.goneAt {
			c.close(s, true)
			c.queue = append(c.queue, Event{Kind: Reset, Stream: s, Code: RefusedStream, Reason: PeerGone})
		}
	})
}

// drainPing tells by its acknowledgement that the peer has read the GOAWAY before it.
var drainPing = [8]byte{'e', 'v', 'e', 'r', 'u', 'p', 0, 1}

// Drain begins a server's graceful end (RFC 9113 section 6.8): the peer is told to open no more streams, but what it has opened before it
// read that is served. It goes on by itself a round trip later; FinishDrain does so at once.
func (c *Conn) Drain() {
	if c.draining != serving || c.failed {
		return
	}
	c.draining = warned
	c.tally().GoAways[Sent].add(NoError.cause())
	c.Out = appendGoAway(c.Out, maxStreamID, NoError, "")
	c.Out = appendPing(c.Out, 0, drainPing)
}

// FinishDrain names the last stream that is served.
func (c *Conn) FinishDrain() {
	if c.draining == closing || c.failed {
		return
	}
	if c.draining == serving {
		c.tally().GoAways[Sent].add(NoError.cause())
	}
	c.draining = closing
	c.admitted = c.highest
	c.Out = appendGoAway(c.Out, c.lastSeen(), NoError, "")
}

// Draining reports whether Drain was called.
func (c *Conn) Draining() bool { return c.draining != serving }

// Done reports whether a graceful end is complete: nothing is served any more, and nothing will be.
func (c *Conn) Done() bool { return c.active == 0 && (c.draining == closing || c.gone) }
