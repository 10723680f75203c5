package http1

// note takes in what a field says of the message, and refuses what readers disagree on.
func (h *Head) note(f *Field, v []byte) Refusal {
	s := &h.scan
	switch f.ID {
	case Host:
		if s.hosts++; s.hosts > 1 {
			return TwoHosts
		}
		h.HostAt = len(h.Fields)
	case ContentLength:
		if s.lengths++; s.lengths > 1 {
			return TwoLengths
		}
		var ok bool
		if s.length, ok = parseLength(v); !ok {
			return BadLength
		}
	case TransferEncoding:
		return h.noteCoding(v)
	case Connection:
		return h.noteConnection(v)
	case Upgrade:
		s.upgrade = true
		Elements(v, func(e []byte) bool {
			s.h2c = s.h2c || Equal(e, "h2c") || Equal(e, "h2")
			return !s.h2c
		})
	case Expect:
		if s.expects++; s.expects > 1 || !Equal(v, "100-continue") {
			return BadExpect
		}
		h.Continue = true
	case TE:
		Elements(v, func(e []byte) bool {
			h.TrailersOK = h.TrailersOK || Equal(e, "trailers")
			return true
		})
	}
	return OK
}

// noteCoding takes exactly "chunked". A coding that is a token, but another, is not known; all else is wrong.
func (h *Head) noteCoding(v []byte) Refusal {
	s := &h.scan
	if s.codings++; s.codings > 1 {
		return BadCoding
	}
	switch {
	case Equal(v, "chunked"):
		s.chunked = true
	case Equal(v, "identity"), len(v) == 0, !all(v, tchar):
		return BadCoding
	default:
		s.unknown = true
	}
	return OK
}

// noteConnection reads the options. One that is no token is refused, for a reader that takes it for a field's name would drop
// another field than we do; so is one that names a field that frames or routes, for dropping it changes the message.
func (h *Head) noteConnection(v []byte) Refusal {
	why := OK
	Elements(v, func(e []byte) bool {
		switch {
		case !all(e, tchar):
			why = BadConnection
		case Equal(e, "close"):
			h.Close = true
		case Equal(e, "keep-alive"):
			h.KeepAlive = true
		case Equal(e, "upgrade"):
			h.scan.connected = true
		default:
			switch Lookup(e) {
			case Host, ContentLength, TransferEncoding:
				why = BadConnection
			}
		}
		return why == OK
	})
	return why
}

// parseLength takes 1 to 18 digits, which fit in 63 bits, and 19 if they do.
func parseLength(v []byte) (n int64, ok bool) {
	if len(v) == 0 || len(v) > 19 {
		return 0, false
	}
	for _, c := range v {
		if classes[c]&digit == 0 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
		if n < 0 {
			return 0, false
		}
	}
	return n, true
}

// finishRequest judges the head as a whole (RFC 9112 sections 3.2 and 6).
func (h *Head) finishRequest(b []byte) Refusal {
	s := &h.scan
	switch {
	case h.HostAt < 0 && h.Version == HTTP11:
		return NoHost
	case h.HostAt >= 0 && !h.hostFits(b):
		return BadHost
	case h.Target.Form == Absolute && h.HostAt >= 0 && !EqualFold(h.Target.Host.In(b), h.Fields[h.HostAt].Value.In(b)):
		return OtherHost
	}
	if why := h.finish(); why != OK {
		return why
	}
	if s.chunked {
		h.Body = Framing{Kind: Chunked}
	} else if s.lengths > 0 {
		h.Body = Framing{Kind: Length, Length: s.length}
	}
	content := s.chunked || s.length > 0
	switch {
	case content && string(h.Method.In(b)) == "CONNECT":
		return BadLength // it has no meaning (RFC 9110 section 9.3.6)
	case content && h.Upgrades:
		return BadUpgrade // whether it comes before the new protocol, readers disagree on
	}
	return OK
}

// hostFits checks the field Host; it may be empty where the target has no authority (RFC 9112 section 3.2), which a server of
// sites has no use for.
func (h *Head) hostFits(b []byte) bool { return validHost(h.Fields[h.HostAt].Value.In(b)) }

// finish judges what requests and answers share.
func (h *Head) finish() Refusal {
	s := &h.scan
	switch {
	case s.codings > 0 && s.lengths > 0:
		return LengthAndCoding
	case s.codings > 0 && h.Version == HTTP10:
		return CodingInHTTP10
	case s.unknown:
		return UnknownCoding
	}
	h.Close = h.Close || h.Version == HTTP10 && !h.KeepAlive
	h.Upgrades = s.connected && s.upgrade && !s.h2c && h.Version == HTTP11
	h.Continue = h.Continue && h.Version == HTTP11
	return OK
}

// finishResponse leaves Body to Response.
func (h *Head) finishResponse([]byte) Refusal { return h.finish() }

// Response returns how the body of an answer ends, whose request had the method HEAD, CONNECT, or another (RFC 9112
// section 6.3).
func (h *Head) Response(head, connect bool) Framing {
	s := &h.scan
	switch {
	case head, h.Status < 200, h.Status == 204, h.Status == 304, connect && h.Status < 300:
		return Framing{}
	case s.chunked:
		return Framing{Kind: Chunked}
	case s.lengths > 0:
		return Framing{Kind: Length, Length: s.length}
	}
	return Framing{Kind: UntilClose}
}
